"""The board, by a folder with the files that its kernel would show."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeface.service.doctor.finding import NotTriedError, Patient
from edgeface.service.doctor.host import power, temperature

THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"


def put(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(f"{text}\n")


@pytest.fixture(autouse=True)
def without_vcgencmd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


@pytest.mark.parametrize(
    ("millidegrees", "verdict"), [(48_312, "ok"), (72_000, "warn"), (85_000, "fail")]
)
def test_the_warmest_part_counts(tmp_path: Path, millidegrees: int, verdict: str) -> None:
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", str(millidegrees))
    put(tmp_path, "sys/class/thermal/thermal_zone0/type", "cpu-thermal")
    put(tmp_path, "sys/class/apex/apex_0/temp", "41000")
    found = temperature(Patient(None, root=tmp_path))
    assert found.verdict == verdict
    assert "cpu-thermal" in found.detail
    assert bool(found.cure) == (verdict != "ok")


def test_an_accelerator_that_is_hot_is_told(tmp_path: Path) -> None:
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "50000")
    put(tmp_path, "sys/class/apex/apex_0/temp", "92000")
    found = temperature(Patient(None, root=tmp_path))
    assert (found.verdict, found.detail) == (
        "fail",
        "92 degrees Celsius (the accelerator apex_0)",
    )


def test_where_the_kernel_tells_nothing_nothing_is_tried(tmp_path: Path) -> None:
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "")
    for look in (temperature, power):
        with pytest.raises(NotTriedError):
            look(Patient(None, root=tmp_path))


@pytest.mark.parametrize(
    ("flags", "verdict", "words"),
    [
        ("0", "ok", "never throttled"),
        ("0x50005", "fail", "too little voltage now, throttling now"),
        ("0x50000", "warn", "too little voltage since it was started"),
        ("0x80008", "warn", "the limit of temperature now"),
    ],
)
def test_what_the_firmware_says(tmp_path: Path, flags: str, verdict: str, words: str) -> None:
    put(tmp_path, THROTTLED, flags)
    found = power(Patient(None, root=tmp_path))
    assert found.verdict == verdict
    assert words in found.detail
    assert ("supply" in found.cure) == ("voltage" in found.detail)


def test_the_kernels_alarm_of_low_voltage(tmp_path: Path) -> None:
    put(tmp_path, "sys/class/hwmon/hwmon1/name", "rpi_volt")
    put(tmp_path, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1")
    assert power(Patient(None, root=tmp_path)).verdict == "fail"
    put(tmp_path, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "0")
    assert power(Patient(None, root=tmp_path)).verdict == "ok"


def test_vcgencmd_is_asked_where_it_is(tmp_path: Path, without_vcgencmd: Path) -> None:
    program = without_vcgencmd / "vcgencmd"
    program.write_text("#!/bin/sh\necho throttled=0x20002\n")
    program.chmod(0o755)
    found = power(Patient(None, root=tmp_path))
    assert (found.verdict, found.detail) == ("warn", "a limited clock now")
    program.write_text("#!/bin/sh\necho VCHI initialization failed; exit 1\n")
    with pytest.raises(NotTriedError, match="group video"):
        power(Patient(None, root=tmp_path))
