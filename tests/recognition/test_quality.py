"""Pose from landmarks, sharpness, exposure, and the gates."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeface.recognition.alignment import ARCFACE
from edgeface.recognition.quality import (
    GATES,
    MEAN_HEAD,
    Quality,
    QualityLimits,
    assess,
    head_pose,
    refusal,
)
from edgeface.recognition.values import Box, Face
from tests.support.people import face


def turned(yaw_deg: float, pitch_deg: float, roll_deg: float) -> np.ndarray:
    """The mean head seen after turning it, as landmarks of a face of some 90 px."""
    yaw, pitch, roll = map(math.radians, (yaw_deg, pitch_deg, roll_deg))
    about_x = np.array(
        [
            [1, 0, 0],
            [0, math.cos(pitch), math.sin(pitch)],
            [0, -math.sin(pitch), math.cos(pitch)],
        ]
    )
    about_y = np.array(
        [[math.cos(yaw), 0, -math.sin(yaw)], [0, 1, 0], [math.sin(yaw), 0, math.cos(yaw)]]
    )
    about_z = np.array(
        [[math.cos(roll), -math.sin(roll), 0], [math.sin(roll), math.cos(roll), 0], [0, 0, 1]]
    )
    # The head leans first, then nods, then turns: the pose of a head on a neck.
    head = MEAN_HEAD @ (about_y @ about_x @ about_z).T
    return np.asarray(head[:, :2] * 1.3 + [300, 200], dtype=np.float32)


@given(st.floats(-70, 70), st.floats(-50, 50), st.floats(-60, 60))
def test_the_pose_of_a_turned_head_is_recovered(yaw: float, pitch: float, roll: float) -> None:
    assert head_pose(turned(yaw, pitch, roll)) == pytest.approx((yaw, pitch, roll), abs=0.1)


@pytest.mark.parametrize(
    ("moved", "sign"),
    [
        pytest.param((6, 0), (1, 0), id="nose to the right of the image"),
        pytest.param((-6, 0), (-1, 0), id="nose to the left"),
        pytest.param((0, -5), (0, 1), id="nose up"),
        pytest.param((0, 5), (0, -1), id="nose down"),
    ],
)
def test_the_nose_shows_where_a_face_looks(moved: tuple[int, int], sign: tuple[int, int]) -> None:
    landmarks = turned(0, 0, 0)
    landmarks[2] += moved
    yaw, pitch, _ = head_pose(landmarks)
    for angle, expected in zip((yaw, pitch), sign, strict=True):
        assert angle * expected > 10 if expected else abs(angle) < 1


def test_a_head_leaning_clockwise_rolls_positive() -> None:
    landmarks = turned(0, 0, 0)
    landmarks[1, 1] += 10  # the image-right eye is lower
    landmarks[4, 1] += 10
    assert head_pose(landmarks)[2] > 5


@pytest.mark.parametrize(
    "landmarks",
    [
        pytest.param(np.zeros((5, 2), np.float32), id="one point"),
        pytest.param(np.full((5, 2), np.nan, np.float32), id="not finite"),
        pytest.param(np.stack([np.arange(5.0)] * 2, axis=1).astype(np.float32), id="a line"),
    ],
)
def test_what_is_no_face_counts_as_turned_away(landmarks: np.ndarray) -> None:
    nonsense = Face(Box(0, 0, 100, 100), landmarks, 0.9)
    measured = assess(nonsense, textured(), (640, 480))
    assert measured.yaw_deg == 90
    assert measured.weight == pytest.approx(0, abs=1e-9)
    assert refusal(measured, QualityLimits()) == "turned_away"


def textured(seed: int = 5, blur: float = 0.8) -> np.ndarray:
    """A crop with fine and coarse structure around a medium gray."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1, (112, 112, 3)).astype(np.float32)
    fine = cv2.GaussianBlur(noise, (0, 0), blur)
    coarse = cv2.GaussianBlur(noise, (0, 0), 8)
    picture = 128 + 25 * fine / fine.std() + 30 * coarse / coarse.std()
    return np.clip(picture, 0, 255).astype(np.uint8)


def test_sharpness_falls_with_blur_and_contrast_does_not_matter() -> None:
    measured = [assess(face(50), textured(blur=b)).sharpness for b in (0.6, 1.5, 2.5, 4.0)]
    assert measured == sorted(measured, reverse=True)
    assert measured[0] > 0.8
    assert measured[-1] < 0.15
    pale = (128 + (textured(blur=1.5).astype(float) - 128) * 0.4).astype(np.uint8)
    assert assess(face(50), pale).sharpness == pytest.approx(measured[1], abs=0.1)


def test_sharpness_by_hand_for_stripes_and_for_a_ramp() -> None:
    column = np.arange(112)
    stripes = np.where((column // 1) % 2, 200, 60).astype(np.uint8)
    crop = np.repeat(np.broadcast_to(stripes, (112, 112))[..., None], 3, axis=2)
    # Nine taps over stripes of one pixel leave a ninth of the contrast: 8/9 lost across, nothing
    # changes along, and the worse axis counts.
    assert assess(face(50), np.ascontiguousarray(crop)).sharpness == 0.0
    both = np.where((column[:, None] + column[None, :]) % 2, 200, 60).astype(np.uint8)
    checks = np.repeat(both[..., None], 3, axis=2)
    assert assess(face(50), checks).sharpness == 1.0
    ramp = np.repeat(np.broadcast_to((column * 2).astype(np.uint8), (112, 112))[..., None], 3, 2)
    assert assess(face(50), np.ascontiguousarray(ramp)).sharpness == 0.0


@pytest.mark.parametrize(
    ("gain", "offset", "gate"),
    [
        pytest.param(1.0, 0, None, id="as it is"),
        pytest.param(0.5, 0, None, id="half the light"),
        pytest.param(0.08, 0, "too_dark", id="night"),
        pytest.param(1.0, 200, "too_bright", id="burnt out"),
        pytest.param(0.02, 40, "too_dark", id="fog in the dark"),
        pytest.param(0.02, 180, "too_bright", id="fog in the light"),
    ],
)
def test_light_is_judged_by_what_it_leaves_of_the_face(
    gain: float, offset: float, gate: str | None
) -> None:
    crop = np.clip(textured().astype(float) * gain + offset, 0, 255).astype(np.uint8)
    assert refusal(assess(face(50), crop), QualityLimits()) == gate


def test_dark_skin_in_good_light_is_well_exposed() -> None:
    rng = np.random.default_rng(1)
    crop = np.clip(rng.normal(45, 14, (112, 112, 3)), 0, 255).astype(np.uint8)
    crop[40:46] = 110  # a highlight
    assert assess(face(50), crop).exposure > 0.4


def test_a_face_beyond_the_edge_is_cut_off() -> None:
    assert assess(face(50), textured()).inside == 1.0
    assert assess(face(300), textured(), (640, 480)).inside == 1.0
    half = assess(face(-50), textured(), (640, 480))
    assert 0.2 < half.inside < 0.8
    assert refusal(half, QualityLimits()) == "cut_off"


GOOD = Quality(90, 0.9, 1.0, 3.0, -2.0, 1.0, 0.7)


@pytest.mark.parametrize(
    ("quality", "gate"),
    [
        pytest.param(GOOD, None, id="good"),
        pytest.param(replace(GOOD, face_px=30.0), None, id="just large enough"),
        pytest.param(replace(GOOD, face_px=29.9), "too_small", id="small"),
        pytest.param(replace(GOOD, yaw_deg=-41), "turned_away", id="to the left"),
        pytest.param(replace(GOOD, pitch_deg=36), "turned_away", id="up"),
        pytest.param(replace(GOOD, roll_deg=46), "turned_away", id="leaning"),
        pytest.param(replace(GOOD, inside=0.5), "cut_off", id="cut"),
        pytest.param(replace(GOOD, exposure=0.1, brightness=0.1), "too_dark", id="dark"),
        pytest.param(replace(GOOD, exposure=0.1, brightness=0.9), "too_bright", id="bright"),
        pytest.param(replace(GOOD, sharpness=0.1), "blurred", id="blurred"),
        pytest.param(replace(GOOD, score=0.4), "uncertain", id="uncertain"),
        pytest.param(replace(GOOD, eyes=0.0, contrast=0.0), None, id="for a door good enough"),
        pytest.param(replace(GOOD, face_px=10, sharpness=0), "too_small", id="the first counts"),
    ],
)
def test_a_crop_is_refused_by_the_first_limit_it_breaks(quality: Quality, gate: str | None) -> None:
    assert refusal(quality, QualityLimits()) == gate
    assert gate is None or gate in GATES


@pytest.mark.parametrize(
    ("quality", "gate"),
    [
        pytest.param(GOOD, None, id="good"),
        pytest.param(replace(GOOD, sharpness=0.29), "blurred", id="blurred"),
        pytest.param(replace(GOOD, eyes=0.49), "eyes_covered", id="eyes"),
        pytest.param(replace(GOOD, contrast=0.14), "backlit", id="light"),
    ],
)
def test_what_is_enrolled_has_to_be_clear_and_lit(quality: Quality, gate: str | None) -> None:
    assert refusal(quality, QualityLimits().for_enrollment()) == gate
    assert refusal(quality, QualityLimits()) is None


@given(st.integers(0, 2**32 - 1), st.floats(-50, 700), st.floats(2, 400))
def test_every_measure_stays_in_its_range(seed: int, left: float, size: float) -> None:
    crop = np.random.default_rng(seed).integers(0, 256, (112, 112, 3), dtype=np.uint8)
    measured = assess(face(left, size=size), crop, (640, 480))
    shares = (
        measured.sharpness,
        measured.exposure,
        measured.weight,
        measured.brightness,
        measured.inside,
        measured.score,
        measured.contrast,
        measured.eyes,
    )
    assert all(0 <= share <= 1 for share in shares)
    assert measured.face_px == pytest.approx(size, abs=1e-3)


def test_a_flat_crop_weighs_nothing() -> None:
    for level in (0, 128, 255):
        flat = np.full((112, 112, 3), level, dtype=np.uint8)
        assert assess(face(50), flat).weight == 0


def test_the_template_itself_looks_almost_straight() -> None:
    yaw, pitch, roll = head_pose(ARCFACE.template)
    assert abs(yaw) < 5
    assert abs(pitch) < 25
    assert abs(roll) < 3
