"""A closer look at what was found coarsely: when it is taken, and what comes of it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import cv2
import numpy as np
import pytest

from edgeface.recognition.alignment import align
from edgeface.recognition.pipeline import Pipeline, PipelineRules
from edgeface.recognition.quality import QualityLimits, assess, refusal
from edgeface.recognition.second_look import COARSE_PX, look_again
from edgeface.recognition.values import Box, Face, Image
from tests.support.doorstep import Scene
from tests.support.gallery import PaintedDetector, PaintedEmbedder, landmarks_in, picture
from tests.support.people import face, gallery, identity, uniform_calibration

INPUT_PX = 320
FACE = (600, 300, 650, 350)


class Shortsighted:
    """As a real detector: sees every picture at 320 pixels, and says how closely that was."""

    def __init__(self) -> None:
        self.painted = PaintedDetector(smallest=0.01, largest=1.0)
        self.sizes: list[tuple[int, int]] = []

    def detect(
        self, image_bgr: Image, scale: tuple[float, float] = (1.0, 1.0), *, doubtful: bool = False
    ) -> list[Face]:
        height, width = image_bgr.shape[:2]
        self.sizes.append((width, height))
        zoom = INPUT_PX / max(width, height)
        size = (round(width * zoom), round(height * zoom))
        small = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA)
        found = self.painted.detect(np.asarray(small, np.uint8))
        return [
            replace(
                one,
                box=one.box.scale(1 / zoom, 1 / zoom),
                landmarks=one.landmarks / np.float32(zoom),
                zoom=zoom,
            )
            for one in found
        ]


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
        pytest.param(face(100, size=4 * COARSE_PX), id="large enough"),
        pytest.param(replace(face(100, size=30), zoom=1.0), id="at full resolution"),
        pytest.param(replace(face(100, size=30), zoom=2.0), id="enlarged"),
    ],
)
def test_what_was_seen_closely_is_not_looked_at_again(detector: Shortsighted, seen: Face) -> None:
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
