"""The board: its processor, how warm it is, and whether it gets enough power."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from edgeface.service.doctor.finding import Finding, NotTriedError, Patient, number_of, text_of

WARM_C: Final = 70.0
HOT_C: Final = 85.0
"""From 80 on a Raspberry Pi slows itself down, at 85 it is as slow as it gets."""
_FIRMWARE: Final = "sys/devices/platform/soc/soc:firmware/get_throttled"
_ASK_S: Final = 5.0
_UNDER_VOLTAGE: Final = 0
_BITS: Final = {
    _UNDER_VOLTAGE: "too little voltage",
    1: "a limited clock",
    2: "throttling",
    3: "the limit of temperature",
}
"""Of what the firmware says; sixteen bits higher: since it was started."""
_SUPPLY: Final = "take the power supply made for this board, a short cable, and a powered USB hub"
_COOL: Final = "give it a heat sink, a fan or a cooler place, and lower camera.fps"


def python(_: Patient) -> Finding:
    """The interpreter and the machine."""
    text = f"{platform.python_version()}, {platform.machine()}, {platform.system()}"
    if sys.maxsize < 2**32:
        cure = "install the 64 bit system: there is no TFLite runtime for 32 bit"
        return Finding("fail", f"{text}, 32 bit", cure)
    return Finding("ok", text)


def temperature(patient: Patient) -> Finding:
    """The warmest part that the kernel tells of."""
    classes = patient.root / "sys/class"
    found = [
        (number_of(folder / "temp"), text_of(folder / "type") or folder.name)
        for folder in sorted(classes.glob("thermal/thermal_zone*"))
    ] + [
        (number_of(folder / "temp"), f"the accelerator {folder.name}")
        for folder in sorted(classes.glob("apex/apex_*"))
    ]
    known = [(value / 1000, name) for value, name in found if value is not None]
    if not known:
        raise NotTriedError("the kernel tells no temperature")
    warmest_c, name = max(known)
    text = f"{warmest_c:.0f} degrees Celsius ({name})"
    if warmest_c < WARM_C:
        return Finding("ok", text)
    return Finding("warn" if warmest_c < HOT_C else "fail", text, _COOL)


def power(patient: Patient) -> Finding:
    """Whether a Raspberry Pi is short of power, or slowed down, or was since it was started."""
    alarm, flags = _low_voltage(patient.root), number_of(patient.root / _FIRMWARE)
    if flags is None:
        flags = _asked()
    if alarm is None and flags is None:
        raise NotTriedError("no firmware of a Raspberry Pi tells of it")
    flags = (flags or 0) | (1 << _UNDER_VOLTAGE if alarm else 0)
    now = [bit for bit in _BITS if flags >> bit & 1]
    before = [bit for bit in _BITS if flags >> (bit + 16) & 1 and bit not in now]
    if not now and not before:
        return Finding("ok", "enough, and never throttled since it was started")
    told = [f"{_BITS[bit]} now" for bit in now]
    told += [f"{_BITS[bit]} since it was started" for bit in before]
    cure = _SUPPLY if _UNDER_VOLTAGE in now + before else _COOL
    return Finding("fail" if _UNDER_VOLTAGE in now else "warn", ", ".join(told), cure)


def _low_voltage(root: Path) -> bool | None:
    """The kernel's alarm; None where it watches no voltage."""
    for folder in sorted((root / "sys/class/hwmon").glob("*")):
        if text_of(folder / "name") == "rpi_volt":
            return number_of(folder / "in0_lcrit_alarm") == 1
    return None


def _asked() -> int | None:
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, "get_throttled"], capture_output=True, text=True, timeout=_ASK_S, check=True
        )
        return int(done.stdout.strip().removeprefix("throttled="), 16)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise NotTriedError(f"vcgencmd does not answer (group video?): {error}") from error
