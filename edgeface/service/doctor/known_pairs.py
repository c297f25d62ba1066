"""Versions that are known not to go together, by what is installed."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from edgeface.service.doctor.finding import Finding, Patient, together

PACKAGES: Final = (
    "numpy",
    "opencv-python",
    "opencv-python-headless",
    "ai-edge-litert",
    "tflite-runtime",
    "paho-mqtt",
    "picamera2",
)
EDGETPU_PACKAGES: Final = ("libedgetpu1-std", "libedgetpu1-max")


def versions(patient: Patient) -> Finding:
    """What is installed, and what of it is known to fail together."""
    found = {"python": platform.python_version(), **_installed(), **_edgetpu(patient.root)}
    wrong = list(known_bad(found, patient))
    told = ", ".join(f"{name} {version}" for name, version in found.items())
    return together([Finding("ok", told), *wrong])


def known_bad(found: Mapping[str, str], patient: Patient) -> Iterator[Finding]:
    """A finding for each pair among `found`, from names to versions."""
    numpy_2 = _at_least(found.get("numpy"), 2)
    litert, tflite = found.get("ai-edge-litert"), found.get("tflite-runtime")
    if tflite and numpy_2:
        text = f"tflite-runtime {tflite} fails with numpy {found['numpy']}: it was built for 1.x"
        spare = litert is not None and patient.models.runtime != "tflite"
        cure = 'pip install "numpy<2", or ai-edge-litert instead (models.runtime: litert)'
        yield Finding("warn" if spare else "fail", text, cure)
    camera = None if patient.settings is None else patient.settings.camera.source
    if "picamera2" in found and numpy_2 and not _at_least(found["python"], 3, 12):
        text = (
            f"picamera2 of Bookworm fails with numpy {found['numpy']}: its simplejpeg was built "
            "for 1.x (numpy.dtype size changed)"
        )
        cure = "install with -c constraints/bookworm.txt, which takes numpy before 2"
        yield Finding("fail" if camera == "picamera2" else "warn", text, cure)
    edgetpu = {name: version for name, version in found.items() if name in EDGETPU_PACKAGES}
    for name, version in edgetpu.items():
        # Those that others have built since name their TensorFlow: 16.0TF2.19.1-1.
        if "TF" not in version and (litert or _at_least(tflite, 2, 12)):
            text = f"{name} {version} is of TensorFlow 2.5: runtimes from 2.12 on crash with it"
            wanted = "edgetpu" in patient.models.accelerators
            cure = "take one of the runtime's TensorFlow: docs/coral.md"
            yield Finding("fail" if wanted else "warn", text, cure)
    if {"opencv-python", "opencv-python-headless"} <= found.keys():
        text = "opencv-python lies beside opencv-python-headless: one overwrites the other's files"
        cure = "pip uninstall opencv-python opencv-python-headless, then install the latter again"
        yield Finding("warn", text, cure)
    if (paho := found.get("paho-mqtt")) and not _at_least(paho, 2, 1):
        text = f"paho-mqtt {paho} is too old, as Debian 12 has it"
        yield Finding("fail", text, 'pip install "paho-mqtt>=2.1,<3"')


def _installed() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _edgetpu(root: Path) -> dict[str, str]:
    """Debian's packages of libedgetpu, by dpkg's list (deb822: a paragraph a package)."""
    try:
        paragraphs = (root / "var/lib/dpkg/status").read_text(errors="replace").split("\n\n")
    except OSError:
        return {}
    found = {}
    for paragraph in paragraphs:
        fields = {
            name: value.strip()
            for name, colon, value in (line.partition(":") for line in paragraph.splitlines())
            if colon
        }
        installed = fields.get("Status", "").endswith(" installed")
        if installed and fields.get("Package") in EDGETPU_PACKAGES:
            found[fields["Package"]] = fields.get("Version", "")
    return found


def _at_least(version: str | None, *wanted: int) -> bool:
    """Whether there is one, whose first numbers are `wanted` or later."""
    numbers = []
    for part in (version or "").split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
    return bool(numbers) and tuple(numbers) >= wanted
