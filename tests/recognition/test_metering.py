"""Exposure for the last face."""

from __future__ import annotations

import numpy as np
import pytest

from edgeface.recognition.metering import HOLD_S, STEP_S, FaceMeter
from edgeface.recognition.values import Box, Image

FACE = Box(140.0, 60.0, 180.0, 110.0)
GAMMA = 2.2


class Backlit:
    """A bright window with a dark face in front of it, before a camera that obeys."""

    def __init__(self, max_ev: float, face: float = 40.0) -> None:
        self.meter = FaceMeter(max_ev)
        self.face = face
        self.time_s = 0.0

    def picture(self) -> Image:
        image = np.full((180, 320, 3), 250.0)
        image[50:120, 130:190] = self.face
        return np.clip(image * 2 ** (self.meter.ev / GAMMA), 0, 255).astype(np.uint8)

    @property
    def level(self) -> float:
        return float(self.picture()[85, 160, 1])

    def look(self, seconds: float, faces: tuple[Box, ...] = (FACE,)) -> list[float]:
        """The exposure over so many seconds of 10 frames."""
        found = []
        for _ in range(round(10 * seconds)):
            self.time_s += 0.1
            self.meter.look(self.picture(), faces, self.time_s)
            found.append(self.meter.ev)
        return found


def test_a_dark_face_is_made_lighter_step_by_step_and_then_left_alone() -> None:
    door = Backlit(3.0)
    values = door.look(10)
    assert max(np.abs(np.diff(values))) <= 0.5
    assert 100 <= door.level <= 200
    assert len(set(values[-50:])) == 1, "it does not hunt"


@pytest.mark.parametrize(("face", "sign"), [(10.0, 1), (255.0, -1)])
def test_the_bound_holds(face: float, sign: int) -> None:
    values = np.array(Backlit(1.0, face).look(20))
    assert np.abs(values).max() <= 1.0
    assert values.max() * sign > 0 or values.min() * sign > 0


@pytest.mark.parametrize("face", [105.0, 150.0, 235.0])
def test_a_face_that_is_well_lit_changes_nothing(face: float) -> None:
    assert set(Backlit(3.0, face).look(5)) == {0.0}


def test_off_it_does_nothing() -> None:
    assert set(Backlit(0.0, 5.0).look(5)) == {0.0}


def test_when_the_face_has_gone_the_camera_is_left_to_itself_after_a_while() -> None:
    door = Backlit(3.0)
    before = door.look(10)[-1]
    assert set(door.look(HOLD_S - 1.0, ())) == {before}
    assert door.look(2.0 + STEP_S, ())[-1] == 0.0


def test_the_nearest_face_counts_and_one_out_of_the_picture_does_not() -> None:
    door = Backlit(3.0)
    bright = Box(10.0, 10.0, 20.0, 20.0)
    assert door.look(1.0, (bright, FACE))[-1] > 0
    outside = Backlit(3.0)
    assert set(outside.look(1.0, (Box(-90.0, -90.0, -10.0, -10.0),))) == {0.0}
