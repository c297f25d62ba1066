"""Versions that are known to fail together, by name and by dpkg's own list."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeface.service.doctor.finding import Patient
from edgeface.service.doctor.known_pairs import known_bad, versions
from edgeface.settings.loading import load_settings
from tests.service.doctor.test_host import put

GOOD = {
    "python": "3.11.2",
    "numpy": "1.26.4",
    "opencv-python-headless": "4.11.0.86",
    "tflite-runtime": "2.14.0",
    "paho-mqtt": "2.1.0",
    "picamera2": "0.3.30",
    "libedgetpu1-std": "16.0TF2.16.1-1",
}


def patient(folder: Path, camera: str, models: str = "{}") -> Patient:
    file = folder / "edgeface.yaml"
    file.write_text(f"{{site: a, device: b, camera: {{source: {camera}}}, models: {models}}}\n")
    return Patient(load_settings(file), root=folder)


def test_what_goes_together_is_not_complained_about() -> None:
    assert list(known_bad(GOOD, Patient(None))) == []
    trixie = {"python": "3.13.5", "numpy": "2.2.4", "picamera2": "0.3.31", "ai-edge-litert": "2.0"}
    assert list(known_bad(trixie, Patient(None))) == []


@pytest.mark.parametrize(
    ("change", "words", "verdict"),
    [
        ({"numpy": "2.0.1", "picamera2": "0"}, "tflite-runtime 2.14.0 fails with numpy", "fail"),
        ({"numpy": "2.0.1", "picamera2": "0"}, "picamera2 of Bookworm fails with numpy", "warn"),
        ({"libedgetpu1-std": "16.0"}, "is of TensorFlow 2.5", "warn"),
        ({"opencv-python": "4.10.0"}, "lies beside opencv-python-headless", "warn"),
        ({"paho-mqtt": "1.6.1"}, "paho-mqtt 1.6.1 is too old", "fail"),
    ],
)
def test_each_pair_that_is_known_to_fail(change: dict[str, str], words: str, verdict: str) -> None:
    found = [one for one in known_bad({**GOOD, **change}, Patient(None)) if words in one.detail]
    assert [one.verdict for one in found] == [verdict]
    assert found[0].cure


def test_a_pair_that_is_in_use_fails_and_one_that_is_not_is_a_warning(tmp_path: Path) -> None:
    numpy_2 = {**GOOD, "numpy": "2.1.0", "ai-edge-litert": "2.0.1"}
    told = {one.detail.split()[0]: one.verdict for one in known_bad(numpy_2, Patient(None))}
    assert told == {"tflite-runtime": "warn", "picamera2": "warn"}
    own = patient(tmp_path, "picamera2", "{runtime: tflite}")
    told = {one.detail.split()[0]: one.verdict for one in known_bad(numpy_2, own)}
    assert told == {"tflite-runtime": "fail", "picamera2": "fail"}
    coral = patient(tmp_path, "picamera2", "{accelerator: edgetpu}")
    assert [one.verdict for one in known_bad({**GOOD, "libedgetpu1-max": "16.0"}, coral)] == [
        "fail"
    ]


def test_what_is_installed_here_is_told(tmp_path: Path) -> None:
    put(
        tmp_path,
        "var/lib/dpkg/status",
        "Package: libedgetpu1-std\nStatus: install ok installed\nVersion: 16.0\n\n"
        "Package: libedgetpu1-max\nStatus: deinstall ok config-files\nVersion: 15.0\n",
    )
    found = versions(Patient(None, root=tmp_path))
    assert "libedgetpu1-std 16.0" in found.detail
    assert "15.0" not in found.detail
    assert "numpy " in found.detail
