"""Faces too far away for a look at the whole picture: found part by part, and not lost again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeface.recognition.far import FAR_PX, FarSearch
from edgeface.recognition.pipeline import Pipeline, PipelineRules
from edgeface.recognition.second_look import CONFIRMED, DOUBTFUL_LOOKS, look
from edgeface.recognition.values import Box, Image
from tests.support.doorstep import Scene
from tests.support.gallery import PaintedEmbedder, picture
from tests.support.people import gallery, identity, uniform_calibration
from tests.support.shortsighted import Shortsighted

FACE = (620, 340, 660, 380)
"""40 px, where all parts meet; the whole picture shows it with 10 px and a part with 20."""
PARTS = 6
"""Of 1280x720."""
SURE_PX = 15.0


@pytest.fixture
def detector() -> Shortsighted:
    return Shortsighted(misses_below_px=SURE_PX)


def search(
    detector: Shortsighted, image: Image, frames: int, expected: tuple[Box, ...] = ()
) -> list[list[Box]]:
    """The boxes that each of so many equal frames gives."""
    far = FarSearch()
    found = []
    for _ in range(frames):
        seen = far.look(detector, image, look(detector, image), expected)
        found.append([one.box for one in seen])
    return found


def is_there(boxes: list[Box], face: tuple[int, int, int, int]) -> bool:
    return len(boxes) == 1 and boxes[0].iou(Box(*face)) > 0.9


@pytest.mark.parametrize("size", [(1280, 720), (1920, 1080), (720, 1280)])
@pytest.mark.parametrize("across", [0.0, 0.25, 0.5, 0.75, 1.0])
@pytest.mark.parametrize("down", [0.0, 0.5, 1.0])
def test_wherever_it_is_a_round_over_the_parts_finds_it(
    detector: Shortsighted, size: tuple[int, int], across: float, down: float
) -> None:
    left, top = round(across * (size[0] - 40)), round(down * (size[1] - 40))
    face = (left, top, left + 40, top + 40)
    image = picture(*size, face)
    assert look(detector, image) == []
    assert any(is_there(boxes, face) for boxes in search(detector, image, 12))


def test_a_frame_costs_one_look_at_a_part_and_one_at_each_of_a_few_faces(
    detector: Shortsighted,
) -> None:
    many = [(left, 300, left + 40, 340) for left in range(40, 1240, 100)]
    search(detector, picture(1280, 720, *many), 1)
    assert len(detector.sizes) == 2 + DOUBTFUL_LOOKS


def test_where_it_was_before_it_is_found_in_every_frame(detector: Shortsighted) -> None:
    before = Box(*FACE).translate(6, -4)
    image = picture(1280, 720, FACE)
    found = search(detector, image, PARTS, (before,))
    assert all(is_there(boxes, FACE) for boxes in found)


def test_where_nobody_is_any_more_nobody_is_found(detector: Shortsighted) -> None:
    assert search(detector, picture(1280, 720), 2, (Box(*FACE),)) == [[], []]


def test_somebody_near_keeps_the_look_at_a_part_away(detector: Shortsighted) -> None:
    near = (100, 100, 300, 300)
    found = search(detector, picture(1280, 720, near, FACE), PARTS)
    assert all(is_there(boxes, near) for boxes in found)
    assert len(detector.sizes) == PARTS


def test_what_is_near_is_not_looked_for_where_it_was(detector: Shortsighted) -> None:
    gone = Box(0, 0, FAR_PX + 1, FAR_PX + 1)
    search(detector, picture(1280, 720), 1, (gone,))
    assert len(detector.sizes) == 2


def test_what_resembles_a_face_but_little_is_none(detector: Shortsighted) -> None:
    detector.score = CONFIRMED - 0.01
    assert not any(search(detector, picture(1280, 720, FACE), PARTS, (Box(*FACE),)))


def test_what_is_too_small_to_be_compared_is_not_looked_at() -> None:
    detector = Shortsighted(misses_below_px=8)
    search(detector, picture(1280, 720, (620, 340, 640, 360)), PARTS)
    assert len(detector.sizes) == 2 * PARTS


def test_a_picture_that_is_hardly_larger_than_a_part_has_none(detector: Shortsighted) -> None:
    search(detector, picture(640, 480), PARTS)
    assert len(detector.sizes) == PARTS


def test_who_walks_far_away_is_one_track_from_the_first_round_on(detector: Shortsighted) -> None:
    scene = Scene(gallery([identity(np.random.default_rng(1))]))
    pipeline = Pipeline(detector, PaintedEmbedder(), uniform_calibration(), PipelineRules())
    seen = []
    for step in range(3 * PARTS):
        face = (400 + 6 * step, 340, 440 + 6 * step, 380)
        frame = replace(scene.frame(), image=picture(1280, 720, face))
        seen.append([sight.track_id for sight in pipeline.process(frame, scene.gallery).sights])
    first = next(number for number, tracks in enumerate(seen) if tracks)
    assert first < PARTS
    assert seen[first:] == [[1]] * len(seen[first:])
