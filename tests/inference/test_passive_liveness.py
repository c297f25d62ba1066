from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeface.base.errors import ModelError
from edgeface.demo.photographs import COLLINS, HOPPER
from edgeface.inference.check import check_package
from edgeface.inference.detector import Detector
from edgeface.inference.golden import check_golden
from edgeface.inference.models import open_on_cpu
from edgeface.inference.package import load_package
from edgeface.inference.passive_liveness import PassiveLiveness
from edgeface.inference.runtimes import Runtime
from edgeface.recognition.values import Image
from edgeface.settings.places import shipped_models
from tests.support.packages import edit_description, liveness_model, seal, write_liveness

RED, BLUE, GRAY = (0, 0, 255), (255, 0, 0), (128, 128, 128)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_liveness(tmp_path / "liveness")


def open_liveness(folder: Path, runtime: Runtime) -> PassiveLiveness:
    model = open_on_cpu(load_package(folder), runtime)
    assert isinstance(model, PassiveLiveness)
    return model


def crop(color: tuple[int, int, int], side: int = 216) -> Image:
    return np.full((side, side, 3), color, np.uint8)


def test_crops_of_any_size_are_scored_in_their_order(folder: Path, runtime: Runtime) -> None:
    model = open_liveness(folder, runtime)
    scores = model.score([crop(RED), crop(BLUE, 31), crop(GRAY, 80)])
    assert scores.dtype == np.float32
    assert scores == pytest.approx([1 / (1 + np.exp(-4)), 1 / (1 + np.exp(4)), 0.5], abs=0.02)
    assert model.score([]).shape == (0,)
    assert model.surroundings == 2.7


def test_a_probability_is_taken_as_it_is(tmp_path: Path, runtime: Runtime) -> None:
    folder = write_liveness(tmp_path / "p", output={"tensor": "score", "score": "probability"})
    (score,) = open_liveness(folder, runtime).score([crop((0, 0, 32))])
    assert score == pytest.approx(0.5, abs=0.05)


def test_the_threshold_is_that_of_the_most_refusals_allowed(folder: Path, runtime: Runtime) -> None:
    model = open_liveness(folder, runtime)
    assert model.threshold == 0.25
    wanted = {0.01: 0.25, 0.04: 0.25, 0.05: 0.5, 0.5: 0.5}
    assert {bpcer: model.threshold_at(bpcer) for bpcer in wanted} == wanted
    with pytest.raises(ModelError, match=r"model.yaml: calibration: no BPCER of 0.001; .* 0.01"):
        model.threshold_at(0.001)


def test_without_a_calibration_there_is_no_threshold(tmp_path: Path, runtime: Runtime) -> None:
    folder = write_liveness(tmp_path / "raw", calibration=None)
    with pytest.raises(ModelError, match="calibration: missing"):
        _ = open_liveness(folder, runtime).threshold
    assert "calibration: missing" in "".join(check_package(folder, runtime).faults)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        pytest.param([], "at least 1 item", id="none"),
        pytest.param([(0.05, 0.5), (0.01, 0.2)], "bpcer must ascend", id="order"),
        pytest.param([(0.01, 0.5), (0.05, 0.2)], "may not descend", id="threshold"),
        pytest.param([(0.01, 1.5)], "less than 1", id="beyond"),
    ],
)
def test_a_calibration_that_is_none_is_named(
    folder: Path, rows: list[tuple[float, float]], fault: str
) -> None:
    def change(description: dict[str, Any]) -> None:
        description["calibration"]["thresholds"] = [
            {"bpcer": bpcer, "threshold": threshold} for bpcer, threshold in rows
        ]

    edit_description(folder, change)
    with pytest.raises(ModelError, match=rf"calibration.*{fault}"):
        load_package(folder)


def golden_fault(folder: Path, runtime: Runtime) -> str:
    return str(check_golden(load_package(folder), open_liveness(folder, runtime)).fault)


def test_the_golden_run_sees_another_score_and_swapped_colors(
    folder: Path, runtime: Runtime
) -> None:
    assert check_package(folder, runtime).faults == ()
    gray = np.full((80, 80, 3), 128, np.uint8)
    np.savez(folder / "golden.npz", input=gray, score=np.float32(0.5))
    seal(folder)
    assert "passes with red and blue swapped" in golden_fault(folder, runtime)
    np.savez(folder / "golden.npz", input=gray, score=np.float32(0.9))
    seal(folder)
    assert "score 0.400 off, at most 0.02 allowed" in golden_fault(folder, runtime)


def test_a_package_of_another_task_is_refused(pristine: Path, runtime: Runtime) -> None:
    package = load_package(pristine / "detector")
    with pytest.raises(ModelError, match="face-detection, not an attack detector"):
        PassiveLiveness(package, runtime.interpreter(liveness_model()))


def test_a_closed_model_cannot_be_run(folder: Path, runtime: Runtime) -> None:
    model = open_liveness(folder, runtime)
    model.close()
    model.close()
    with pytest.raises(ModelError, match="closed"):
        model.score([crop(RED)])


@pytest.mark.parametrize("photograph", [COLLINS, HOPPER], ids=["collins", "hopper"])
def test_what_ships_tells_a_photograph_from_the_same_on_paper_and_on_a_phone(
    photograph: Path, runtime: Runtime
) -> None:
    """Drawn ones with an edge all around, which is the easy case; the card has the others."""
    model = open_liveness(shipped_models() / "pad", runtime)
    detector = open_on_cpu(load_package(shipped_models() / "face_detector"), runtime)
    assert isinstance(detector, Detector)

    def surroundings(image: Image) -> Image:
        box = detector.detect(image)[0].box
        side = round(model.surroundings * max(box.width, box.height))
        left, top = (round(middle) for middle in box.center)
        wide = cv2.copyMakeBorder(image, side, side, side, side, cv2.BORDER_REPLICATE)
        left, top = left + side - side // 2, top + side - side // 2
        return np.asarray(wide[top : top + side, left : left + side], np.uint8)

    shown = np.asarray(cv2.imread(str(photograph)), np.uint8)
    box = detector.detect(shown)[0].box
    edge = round(0.4 * box.width)
    rows = slice(max(0, round(box.top) - edge), round(box.bottom) + edge)
    cut = shown[rows, max(0, round(box.left) - edge) : round(box.right) + edge]
    held = []
    for level in (250, 10):
        thing = cv2.copyMakeBorder(cut, *[edge // 4] * 4, cv2.BORDER_CONSTANT, value=(level,) * 3)
        room = np.full((900, 900, 3), (150, 140, 130), np.uint8)
        room[200 : 200 + thing.shape[0], 250 : 250 + thing.shape[1]] = thing
        held.append(surroundings(room))
    live, paper, phone = model.score([surroundings(shown), *held])
    assert live >= model.threshold
    assert paper < live
    assert phone < model.threshold
