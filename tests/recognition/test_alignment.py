"""Alignment: the similarity and the crop."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeface.recognition.alignment import ALIGNMENTS, ARCFACE, align, inverse, similarity
from edgeface.recognition.values import Alignment

scales = st.floats(0.05, 20)
angles = st.floats(-math.pi, math.pi)
shifts = st.floats(-2000, 2000)


@given(scales, angles, shifts, shifts)
def test_a_similarity_of_the_template_is_found_exactly(
    scale: float, angle: float, x: float, y: float
) -> None:
    turn = scale * np.array(
        [[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]
    )
    template = ARCFACE.template.astype(np.float64)
    moved = template @ turn.T + [x, y]
    matrix = similarity(moved)  # type: ignore[arg-type]
    assert moved @ matrix[:, :2].T + matrix[:, 2] == pytest.approx(template, abs=1e-6)
    assert matrix[:, :2] @ turn == pytest.approx(np.eye(2), abs=1e-8)


@given(st.lists(st.tuples(st.floats(0, 500), st.floats(0, 500)), min_size=5, max_size=5))
@settings(max_examples=60)
def test_it_is_never_a_reflection_and_no_nearby_similarity_fits_better(
    points: list[tuple[float, float]],
) -> None:
    landmarks = np.array(points)
    try:
        matrix = similarity(landmarks)  # type: ignore[arg-type]
    except ValueError:
        return
    assert np.linalg.det(matrix[:, :2]) > 0

    def cost(a: float, b: float, x: float, y: float) -> float:
        mapped = landmarks @ np.array([[a, b], [-b, a]]) + [x, y]
        return float(np.sum((mapped - ARCFACE.template) ** 2))

    best = [matrix[0, 0], matrix[1, 0], matrix[0, 2], matrix[1, 2]]
    for place in range(4):
        for step in (-1e-3, 1e-3):
            other = list(best)
            other[place] += step
            assert cost(*best) <= cost(*other) + 1e-6


def test_two_points_by_hand() -> None:
    source = np.array([[0, 0], [1, 0]], dtype=np.float32)
    target = np.array([[10, 10], [10, 12]], dtype=np.float32)
    # Twice as long and a quarter turn: x' = 10 - 2y, y' = 10 + 2x.
    assert similarity(source, target) == pytest.approx(np.array([[0, -2, 10], [2, 0, 10]]))


@pytest.mark.parametrize(
    "landmarks",
    [
        pytest.param(np.zeros((5, 2)), id="one point"),
        pytest.param(np.full((5, 2), np.nan), id="not finite"),
        pytest.param(np.zeros((4, 2)), id="four points"),
        pytest.param(np.zeros((5, 3)), id="three coordinates"),
    ],
)
def test_landmarks_without_an_orientation_are_refused(landmarks: np.ndarray) -> None:
    with pytest.raises(ValueError, match="landmarks"):
        similarity(landmarks)


def test_inverse_undoes_a_similarity() -> None:
    matrix = np.array([[0.3, -0.4, 7.0], [0.4, 0.3, -2.0]])
    both = np.vstack([inverse(matrix), [0, 0, 1]]) @ np.vstack([matrix, [0, 0, 1]])
    assert both == pytest.approx(np.eye(3), abs=1e-12)


def scene() -> np.ndarray:
    """A smooth color picture of 480x640."""
    y, x = np.mgrid[0:480, 0:640]
    channels = [127 + 120 * np.sin(x / 23 + k) * np.cos(y / 31 - k) for k in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.7, 2.3, 3.4])
def test_the_crop_shows_the_picture_at_the_landmarks_in_rgb(scale: float) -> None:
    image = scene()
    landmarks = np.asarray(ARCFACE.template * scale + [90, 40], dtype=np.float32)
    crop = align(image, landmarks)
    assert crop.shape == (112, 112, 3)
    assert crop.dtype == np.uint8
    for x, y in ((20, 20), (56, 56), (90, 30), (30, 95)):
        there = image[round(y * scale + 40), round(x * scale + 90)][::-1].astype(int)
        assert np.abs(crop[y, x].astype(int) - there).max() <= 16


def test_a_large_face_is_averaged_where_sampling_alone_would_alias() -> None:
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (900, 900, 3), dtype=np.uint8)
    landmarks = np.asarray(ARCFACE.template * 7 + 30, dtype=np.float32)
    sampled = cv2.warpAffine(image, similarity(landmarks), (112, 112))
    assert align(image, landmarks).std() < 0.4 * sampled.std()


def test_averaging_down_does_not_shift_the_crop() -> None:
    y, x = np.mgrid[0:800, 0:800]
    image = np.stack([x // 4, y // 4, x // 4], axis=-1).astype(np.uint8)
    landmarks = np.asarray(ARCFACE.template * 6, dtype=np.float32)
    crop = align(image, landmarks).astype(float)
    columns = np.arange(20, 90)
    assert crop[50, columns, 0] == pytest.approx(columns * 6 / 4, abs=1.0)
    assert crop[columns, 50, 1] == pytest.approx(columns * 6 / 4, abs=1.0)


def test_outside_of_the_image_is_black_and_a_face_far_outside_gives_a_black_crop() -> None:
    image = np.full((100, 100, 3), 200, dtype=np.uint8)
    half = align(image, np.asarray(ARCFACE.template - [56, 0], dtype=np.float32))
    assert (half[20:80, :50] == 0).all()
    assert (half[20:80, 62:110] == 200).all()
    assert not align(image, np.asarray(ARCFACE.template + 5000, dtype=np.float32)).any()


@pytest.mark.parametrize("alignment", ALIGNMENTS.values(), ids=ALIGNMENTS)
def test_landmarks_come_to_lie_where_the_alignment_says(alignment: Alignment) -> None:
    image = scene()
    crop = align(image, alignment.template + 90, alignment)
    assert crop.shape == (alignment.size_px, alignment.size_px, 3)
    assert np.abs(crop.astype(int) - image[90:, 90:][: len(crop), : len(crop), ::-1]).max() <= 1
