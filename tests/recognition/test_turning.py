"""A camera that hangs on its side is noticed, one that hangs upright is not suspected."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.demo.photographs import COLLINS, HOPPER
from edgeface.inference.models import open_models
from edgeface.recognition.turning import EVERY_S, TurnWatch, best_turn, turned
from edgeface.recognition.values import Box, Face, FaceDetector, Image
from edgeface.settings.models import ModelsSettings

LANDMARKS = np.array([[1, 1], [3, 1], [2, 2], [1, 3], [3, 3]], np.float32)


class Marks:
    """Finds a face where the picture's corner is as bright as the score; counts its looks."""

    def __init__(self) -> None:
        self.looks = 0

    def detect(
        self, image_bgr: Image, scale: tuple[float, float] = (1.0, 1.0), *, doubtful: bool = False
    ) -> list[Face]:
        self.looks += 1
        score = float(image_bgr[0, 0, 0]) / 255
        return [Face(Box(0, 0, 4, 4), LANDMARKS, score)] if score > 0.5 else []


def marked(*bright: tuple[int, int]) -> Image:
    """Corners (row, column from the top left) and how bright."""
    image = np.zeros((8, 6, 3), np.uint8)
    for corner, value in bright:
        image[((0, 0), (0, -1), (-1, -1), (-1, 0))[corner]] = value
    return image


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return open_models(ModelsSettings(accelerator="cpu"))[0]


@pytest.mark.parametrize("path", [COLLINS, HOPPER], ids=lambda path: path.stem)
@pytest.mark.parametrize("hung", [0, 90, 180, 270])
def test_a_photograph_turned_is_found_after_turning_it_back(
    detector: FaceDetector, path: Path, hung: int
) -> None:
    image = np.asarray(cv2.imread(str(path)), np.uint8)
    assert best_turn(detector, turned(image, hung)) == (360 - hung) % 360


def test_turning_is_clockwise() -> None:
    assert turned(marked((0, 200)), 90)[0, -1, 0] == 200
    assert turned(marked((0, 200)), 180)[-1, -1, 0] == 200
    assert turned(marked((0, 200)), 270)[-1, 0, 0] == 200
    assert turned(marked((0, 200)), 90).shape == (6, 8, 3)


@pytest.mark.parametrize(
    ("image", "turn"),
    [
        pytest.param(marked(), None, id="nobody"),
        pytest.param(marked((0, 200)), 0, id="upright"),
        pytest.param(marked((3, 200)), 90, id="on its side"),
        pytest.param(marked((0, 160), (2, 250)), 180, id="surer upside down"),
        pytest.param(marked((0, 230), (2, 250)), 0, id="about as sure"),
    ],
)
def test_the_surest_turn_is_named(image: Image, turn: int | None) -> None:
    assert best_turn(Marks(), image) == turn


def test_a_hint_needs_several_looks_and_is_rare_enough() -> None:
    watch, marks, sideways = TurnWatch(), Marks(), marked((3, 200))
    for number in range(200):
        watch.look(marks, sideways, number * 0.1)
    assert marks.looks == 4 * 3, "not in the first seconds, and every five"
    assert watch.hint == 90
    # A few upright faces, a poster's for instance, do away with it; nobody in view does not.
    watch.look(marks, marked(), 100.0)
    assert watch.hint == 90
    watch.look(marks, marked((0, 200)), 200.0)
    watch.look(marks, marked((0, 200)), 300.0)
    assert watch.hint == 0


def test_a_camera_that_has_proved_upright_costs_nothing_more() -> None:
    watch, marks, upright = TurnWatch(), Marks(), marked((0, 200))
    for number in range(100):
        watch.look(marks, upright, number * EVERY_S)
    assert marks.looks == 4 * 20
    assert watch.hint == 0
