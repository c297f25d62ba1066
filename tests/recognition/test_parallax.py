"""Plane plus parallax: planes in any pose have not turned, heads have by what they did."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeface.capture.solid import rotation
from edgeface.recognition.parallax import Turn, fit_turn
from edgeface.recognition.values import Box, Face

FOCAL_PX = 1280.0
DISTANCE = 16.0
"""Of the face, in distances between the eyes: about a meter."""
NOISE_PX = 0.15

Points = NDArray[np.float64]
angle = st.floats(-15, 15)


def places() -> Points:
    """Forty points of a face, in distances between the eyes."""
    across, down = np.meshgrid(np.linspace(-1.0, 1.0, 7), np.linspace(-0.9, 1.5, 8))
    inside = (across / 1.15) ** 2 + ((down - 0.3) / 1.5) ** 2 < 1
    return np.stack([across[inside], down[inside]], axis=1)


def on_a_plane(points: Points) -> Points:
    return np.column_stack([points, np.zeros(len(points))])


def on_a_head(points: Points) -> Points:
    """An ellipsoid with a nose like a hill, which is not what the module takes a head for."""
    x, y = points.T
    skull = 1.5 - 1.5 * np.sqrt(1 - (x / 1.5) ** 2 - ((y - 0.1) / 2.1) ** 2)
    nose = 0.4 * np.exp(-((x / 0.22) ** 2) - ((y - 0.55) / 0.35) ** 2)
    return np.column_stack([points, skull - nose])


def seen(solid: Points, turn: tuple[float, float, float], place: tuple[float, ...]) -> Points:
    """In pixels of a frame of 1280 by 720."""
    turned: Points = solid @ rotation(*turn).T.astype(float) + (*place[:2], DISTANCE * place[2])
    return turned[:, :2] / turned[:, 2:] * FOCAL_PX + (640, 360)


def face_at(solid: Points, turn: tuple[float, float, float], place: tuple[float, ...]) -> Face:
    marks = np.array([[-0.5, 0], [0.5, 0], [0, 0.55], [-0.4, 1.05], [0.4, 1.05]])
    depth = solid[:, 2].min() if np.ptp(solid[:, 2]) else 0.0
    landmarks = seen(np.column_stack([marks, [0, 0, depth, 0, 0]]), turn, place)
    x, y = landmarks.mean(axis=0)
    width = 2.1 * FOCAL_PX / (DISTANCE * place[2])
    box = Box(x - width / 2, y - 0.62 * width, x + width / 2, y + 0.62 * width)
    return Face(box, landmarks.astype(np.float32), 0.9)


def turn_of(
    solid: Points,
    before: tuple[float, float, float],
    after: tuple[float, float, float],
    place: tuple[float, float, float],
    seed: int = 1,
) -> Turn:
    rng = np.random.default_rng(seed)
    here = (0.4, -0.3, 1.0)
    first, second = seen(solid, before, here), seen(solid, after, place)
    second = second + rng.normal(0, NOISE_PX, second.shape)
    return fit_turn(face_at(solid, before, here), first, second, 1280)


@given(angle, angle, angle, angle, st.floats(-3, 3), st.floats(0.75, 1.3), st.integers(0, 99))
def test_a_plane_has_not_turned_however_it_was_held(
    yaw: float, pitch: float, then_yaw: float, then_pitch: float, x: float, near: float, seed: int
) -> None:
    plane = on_a_plane(places())
    turn = turn_of(plane, (yaw, pitch, 3), (then_yaw, then_pitch, -4), (x, 0.5, near), seed)
    assert turn.turned_deg < max(2.0, 4 * turn.error_deg)
    assert turn.error_deg < 1.2


@given(angle, st.sampled_from([-16.0, -10.0, -6.0, 6.0, 10.0, 16.0]), st.integers(0, 99))
def test_a_head_has_turned_by_about_what_it_did(yaw: float, by: float, seed: int) -> None:
    head = on_a_head(places())
    turn = turn_of(head, (yaw, 0, 2), (yaw + by, 1, -2), (0.4, -0.3, 1.0), seed)
    assert 0.5 * abs(by) < turn.turned_deg < 1.7 * abs(by)
    assert turn.turned_deg > 5 * turn.error_deg


def test_the_homography_says_where_the_plane_goes() -> None:
    plane = on_a_plane(places())
    turn = turn_of(plane, (0, 0, 0), (8, -6, 5), (1.5, 0.2, 0.9))
    mapped = np.column_stack([seen(plane, (0, 0, 0), (0.4, -0.3, 1)), np.ones(len(plane))])
    mapped = mapped @ turn.homography.T
    there = seen(plane, (8, -6, 5), (1.5, 0.2, 0.9))
    assert np.abs(mapped[:, :2] / mapped[:, 2:] - there).max() < 0.6


def test_a_few_wrong_points_count_little() -> None:
    plane = on_a_plane(places())
    before = seen(plane, (0, 0, 0), (0, 0, 1))
    after = seen(plane, (5, 3, 0), (0.5, 0, 0.95))
    after[::8] += (9, -7)
    turn = fit_turn(face_at(plane, (0, 0, 0), (0, 0, 1)), before, after, 1280)
    assert turn.turned_deg < 1.0


def test_points_on_a_line_or_in_one_place_say_that_they_say_nothing() -> None:
    face = face_at(on_a_plane(places()), (0, 0, 0), (0, 0, 1))
    line = np.column_stack([np.linspace(600, 680, 20), np.full(20, 360.0)])
    rng = np.random.default_rng(2)
    for points in (line, np.full((20, 2), 640.0)):
        turn = fit_turn(face, points, points + rng.normal(0, 0.2, points.shape), 1280)
        assert math.isfinite(turn.turned_deg)
        assert turn.turned_deg < 5 * turn.error_deg


def test_seven_points_are_too_few() -> None:
    face = face_at(on_a_plane(places()), (0, 0, 0), (0, 0, 1))
    with pytest.raises(ValueError, match="7 points"):
        fit_turn(face, np.zeros((7, 2)), np.zeros((7, 2)), 1280)
