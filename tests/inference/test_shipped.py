"""The packages that ship, on every runtime that is installed here."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.demo.photographs import COLLINS
from edgeface.inference.detector import Detector
from edgeface.inference.golden import check_golden
from edgeface.inference.models import open_on_cpu
from edgeface.inference.package import load_package, packages_in
from edgeface.inference.runtimes import RUNTIMES, find_runtime, probe_runtime
from edgeface.recognition.second_look import look_again
from edgeface.settings.places import shipped_models


def shipped() -> list[Path]:
    return list(packages_in(shipped_models()))


def test_a_model_of_each_task_ships() -> None:
    tasks = {load_package(folder).description.task for folder in shipped()}
    assert tasks == {"face-detection", "face-embedding", "attack-detection"}


@pytest.mark.parametrize("name", list(RUNTIMES))
@pytest.mark.parametrize("folder", shipped(), ids=lambda folder: folder.name)
def test_the_golden_run_passes(folder: Path, name: str) -> None:
    if importlib.util.find_spec(RUNTIMES[name].split(".")[0]) is None:
        pytest.skip(f"{name} is not installed here")
    package = load_package(folder)
    result = check_golden(package, open_on_cpu(package, probe_runtime(name)))
    assert result.fault is None, result.fault


def test_the_shipped_embedder_is_calibrated() -> None:
    packages = [load_package(folder) for folder in shipped()]
    for package in packages:
        if package.description.task == "face-embedding":
            calibration = package.calibration
            assert calibration.smallest_fmr <= 1e-4
            assert calibration.tail_shape >= 0


def test_all_models_fit_a_corals_cache_together() -> None:
    assert sum((folder / "model.tflite").stat().st_size for folder in shipped()) < 6.5e6


def test_the_detector_finds_a_face_that_fills_the_picture() -> None:
    face = np.asarray(cv2.imread(str(COLLINS)), np.uint8)[40:240, 120:320].copy()
    for folder in shipped():
        package = load_package(folder)
        if package.description.task == "face-detection":
            detector = open_on_cpu(package, find_runtime())
            assert isinstance(detector, Detector)
            assert len(detector.detect(face)) == 1


def test_a_second_look_gives_a_distant_face_its_landmarks() -> None:
    detector = open_on_cpu(load_package(shipped_models() / "face_detector"), find_runtime())
    assert isinstance(detector, Detector)
    photograph = np.asarray(cv2.imread(str(COLLINS)), np.uint8)
    (near,) = detector.detect(photograph)
    scale = 64 / near.box.width
    small = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    frame = np.full((720, 1280, 3), 90, np.uint8)
    frame[300 : 300 + small.shape[0], 700 : 700 + small.shape[1]] = small
    (first,) = detector.detect(frame)
    second = look_again(detector, frame, first)
    true = near.landmarks * scale + np.array([700, 300])
    eyes_px = np.hypot(*(true[1] - true[0]))
    wrong = [np.hypot(*(face.landmarks - true).T).mean() / eyes_px for face in (first, second)]
    assert wrong[1] < 0.06 < 0.15 < wrong[0], wrong
