"""A second look at what was seen from too far or too near: when it is taken, what comes of it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgeface.recognition.alignment import align
from edgeface.recognition.pipeline import Pipeline, PipelineRules
from edgeface.recognition.quality import QualityLimits, assess, refusal
from edgeface.recognition.second_look import (
    COARSE_PX,
    CONFIRMED,
    DOUBTFUL_LOOKS,
    NEAR_PX,
    look,
    look_again,
    surroundings,
    with_surroundings,
)
from edgeface.recognition.values import Box, Face, Image
from tests.support.doorstep import Scene
from tests.support.gallery import PaintedEmbedder, landmarks_in, picture
from tests.support.people import face, gallery, identity, uniform_calibration
from tests.support.shortsighted import Shortsighted

FACE = (600, 300, 650, 350)


@pytest.fixture
def detector() -> Shortsighted:
    return Shortsighted()


def off_px(found: Face) -> float:
    """How far the worst landmark is from where it was painted."""
    return float(np.abs(found.landmarks - landmarks_in(Box(*FACE))).max())


def test_a_small_face_of_a_large_picture_gets_its_landmarks_from_close_by(
    detector: Shortsighted,
) -> None:
    image = picture(1280, 720, FACE)
    (first,) = detector.detect(image)
    second = look_again(detector, image, first)
    assert off_px(second) < 0.6 < off_px(first)
    assert second.box.iou(Box(*FACE)) > 0.95
    assert second.zoom > 1


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(replace(face(100, size=4 * COARSE_PX), zoom=0.25), id="large enough"),
        pytest.param(replace(face(100, size=30), zoom=1.0), id="at full resolution"),
        pytest.param(replace(face(100, size=30), zoom=2.0), id="enlarged"),
    ],
)
def test_what_was_seen_well_is_not_looked_at_again(detector: Shortsighted, seen: Face) -> None:
    assert look_again(detector, picture(1280, 720), seen) is seen
    assert detector.sizes == []


@pytest.mark.parametrize(
    "there",
    [
        pytest.param((), id="nothing"),
        pytest.param(((650, 300, 690, 340),), id="another face beside it"),
    ],
)
def test_a_face_that_a_closer_look_does_not_find_is_refused(
    detector: Shortsighted, there: tuple[tuple[int, int, int, int], ...]
) -> None:
    image = picture(1280, 720, *there)
    second = look_again(detector, image, replace(face(600, 300, 50), zoom=0.25))
    quality = assess(second, align(image, second.landmarks))
    limits = QualityLimits(min_sharpness=0, min_exposure=0)
    assert refusal(quality, limits) == "uncertain"


@pytest.mark.parametrize("doubts_below_px", [20, 250])
def test_a_doubtful_face_that_is_small_counts_where_a_second_look_is_sure(
    doubts_below_px: int,
) -> None:
    detector = Shortsighted(doubts_below_px)
    image = picture(1280, 720, FACE)
    assert detector.detect(image) == []
    found = look(detector, image)
    assert [one.box.iou(Box(*FACE)) > 0.95 for one in found] == [True] * (doubts_below_px == 20)
    assert all(off_px(one) < 0.6 and look_again(detector, image, one) is one for one in found)


def test_a_small_picture_of_the_scene_is_seen_first_and_the_large_one_again() -> None:
    detector = Shortsighted(20)
    image = picture(1280, 720, FACE)
    small = cv2.resize(image, (320, 180), interpolation=cv2.INTER_AREA)
    (found,) = look(_Scaled(detector), image, np.asarray(small, np.uint8), (4.0, 4.0))
    assert off_px(found) < 0.6


class _Scaled:
    """Gives what it sees in the pixels of the image that it is a smaller copy of."""

    def __init__(self, detector: Shortsighted) -> None:
        self.detector = detector

    def detect(
        self, image_bgr: Image, scale: tuple[float, float] = (1.0, 1.0), *, doubtful: bool = False
    ) -> list[Face]:
        return [
            replace(
                one,
                box=one.box.scale(*scale),
                landmarks=one.landmarks * np.float32(scale),
                zoom=one.zoom / scale[0],
            )
            for one in self.detector.detect(image_bgr, doubtful=doubtful)
        ]


def test_only_so_many_doubtful_faces_are_looked_at(detector: Shortsighted) -> None:
    detector.doubts_below_px = 20
    many = [(left, 300, left + 50, 350) for left in range(40, 1240, 100)]
    found = look(detector, picture(1280, 720, *many))
    assert len(found) == len(detector.sizes) - 1 == DOUBTFUL_LOOKS < len(many)


def test_what_resembles_a_face_twice_but_little_is_none(
    detector: Shortsighted, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector.doubts_below_px = 20
    image = picture(1280, 720, FACE)
    assert len(look(detector, image)) == 1
    monkeypatch.setattr(detector, "score", CONFIRMED - 0.01)
    assert look(detector, image) == []


def test_what_is_too_small_to_be_compared_is_not_looked_at(detector: Shortsighted) -> None:
    detector.doubts_below_px = 20
    assert look(detector, picture(1280, 720, (600, 300, 620, 320))) == []
    assert len(detector.sizes) == 1


def test_a_large_doubtful_face_is_no_face(detector: Shortsighted) -> None:
    detector.doubts_below_px = 1000
    assert look(detector, picture(320, 180, (100, 30, 200, 130))) == []
    assert len(detector.sizes) == 1


def test_a_face_that_fills_the_picture_is_looked_at_from_further_away(
    detector: Shortsighted,
) -> None:
    box = (40, 20, 200, 180)
    image = picture(240, 200, box)
    (first,) = detector.detect(image)
    assert min(first.box.width, first.box.height) * first.zoom > NEAR_PX
    second = look_again(detector, image, first)
    assert second.box.iou(Box(*box)) > 0.95
    assert second.zoom < first.zoom
    assert look_again(detector, image, second) is second


@pytest.mark.parametrize("at", [(0, 0), (1230, 670), (1230, 0)])
def test_a_face_in_a_corner_keeps_its_place(detector: Shortsighted, at: tuple[int, int]) -> None:
    box = (at[0], at[1], at[0] + 50, at[1] + 50)
    image = picture(1280, 720, box)
    (first,) = detector.detect(image)
    second = look_again(detector, image, first)
    assert second.box.iou(Box(*box)) > 0.95
    assert detector.sizes[-1][0] == detector.sizes[-1][1]


def test_the_pipeline_looks_again_before_it_aligns(detector: Shortsighted) -> None:
    stages: list[str] = []
    scene = Scene(gallery([identity(np.random.default_rng(1))]))

    def stopwatch(name: str) -> AbstractContextManager[None]:
        stages.append(name)
        return nullcontext()

    pipeline = Pipeline(
        detector, PaintedEmbedder(), uniform_calibration(), PipelineRules(), stopwatch=stopwatch
    )
    frame = replace(scene.frame(), image=picture(1280, 720, FACE))
    (sight,) = pipeline.process(frame, scene.gallery).sights
    assert off_px(sight.face) < 0.6
    assert stages.index("look again") < stages.index("align")


@pytest.mark.parametrize("width", [20.0, 20.4, 20.6, 21.0, 21.4])
def test_the_square_about_a_face_is_even_and_at_most_a_pixel_off(width: float) -> None:
    image = np.zeros((100, 100, 3), np.uint8)
    part, left, top = surroundings(image, Box(40.0, 45.0, 40.0 + width, 60.0))
    assert part.shape[0] % 2 == 0
    assert part.shape[0] == part.shape[1] == pytest.approx(2 * width, abs=1)
    middle = (left + part.shape[1] / 2, top + part.shape[0] / 2)
    assert middle == pytest.approx((40 + width / 2, 52.5), abs=0.5)


@pytest.mark.parametrize(
    ("box", "columns", "rows"),
    [
        ((40, 40, 60, 60), range(25, 75), range(25, 75)),
        ((0, 40, 20, 60), [0] * 15 + list(range(35)), range(25, 75)),
        ((85, 90, 105, 100), list(range(70, 100)) + [99] * 20, list(range(70, 100)) + [99] * 20),
    ],
)
def test_around_a_face_at_the_edge_the_picture_goes_on_and_no_border_is_seen(
    box: tuple[int, int, int, int], columns: list[int], rows: list[int]
) -> None:
    image = np.random.default_rng(1).integers(0, 256, (100, 100, 3), np.uint8)
    found = with_surroundings(image, Box(*box), 2.5)
    assert np.array_equal(found, image[np.ix_(list(rows), list(columns))])
    outside = with_surroundings(image, Box(-300, 0, -280, 20), 2.5)
    assert (outside.shape, outside.max()) == ((50, 50, 3), 0)
