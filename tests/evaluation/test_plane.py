"""Embeddings in the plane, and boxes that make room for one another."""

from __future__ import annotations

import numpy as np
import pytest

from edgeface.evaluation.plane import principal_plane, spread_out


def test_the_plane_is_that_of_the_largest_differences(rng: np.random.Generator) -> None:
    basis, _ = np.linalg.qr(rng.normal(size=(128, 3)))
    flat = rng.normal(size=(40, 3)) * [5.0, 2.0, 0.1]
    flat -= flat.mean(0)
    plane = principal_plane((flat @ basis.T + 3).astype(np.float32))
    # Distances in the plane are those of the rows, but for the third, small direction.
    for points in (plane.points, flat[:, :2]):
        assert np.linalg.norm(points, axis=1) == pytest.approx(
            np.linalg.norm(flat[:, :2], axis=1), abs=0.3
        )
    variance = flat.var(0) / flat.var(0).sum()
    assert plane.shares == pytest.approx(sorted(variance, reverse=True)[:2], abs=0.01)
    again = principal_plane((flat @ basis.T - 1).astype(np.float32))
    assert again.points == pytest.approx(plane.points, abs=1e-4)


def test_two_faces_and_equal_faces_have_a_plane_too(rng: np.random.Generator) -> None:
    two = principal_plane(rng.normal(size=(2, 128)).astype(np.float32))
    assert two.points.shape == (2, 2)
    assert two.shares == pytest.approx((1.0, 0.0))
    same = principal_plane(np.ones((3, 128), np.float32))
    assert not same.points.any()
    assert same.shares == (0.0, 0.0)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_boxes_make_room_for_one_another_and_stay_inside(
    count: int, rng: np.random.Generator
) -> None:
    centers = rng.normal(size=(count, 2)) * 20 + 300
    centers[: count // 2] = centers[0]  # many on one place
    sizes = np.full((count, 2), [50.0, 40.0])
    places = spread_out(centers, sizes, (600, 600))
    gaps = np.abs(places[:, None] - places) - sizes[0]
    overlapping = (gaps < -0.5).all(2)
    np.fill_diagonal(overlapping, False)
    assert not overlapping.any()
    assert (places >= sizes / 2).all()
    assert (places <= 600 - sizes / 2).all()


def test_boxes_with_room_stay_where_they_are() -> None:
    centers = np.array([[100.0, 100.0], [300.0, 120.0]])
    assert (spread_out(centers, np.full((2, 2), 50.0), (400, 400)) == centers).all()
