"""Embeddings in the plane."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_STEPS_A_SIDE: Final = 5.0
"""How finely free places are looked for, in sides of the smallest box."""
_AT_ONCE: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class Plane:
    """Where `n` embeddings lie in the plane of their two principal axes."""

    points: NDArray[np.float64]
    """float64 `(n, 2)`, in units of the embeddings, about their mean."""
    shares: tuple[float, float]
    """The share of the variance that each axis carries."""


def principal_plane(embeddings: NDArray[np.float32]) -> Plane:
    """The plane in which the embeddings float32 `(n, d)`, n at least 2, differ most: principal
    component analysis (Pearson 1901), by the singular value decomposition.

    Of the two directions of an axis the one is taken whose largest component is positive.
    """
    rows = embeddings.astype(np.float64)
    rows -= rows.mean(0)
    _, lengths, axes = np.linalg.svd(rows, full_matrices=False)
    axes = axes[:2]
    largest = np.take_along_axis(axes, np.abs(axes).argmax(1)[:, None], 1)
    axes = axes * np.where(largest < 0, -1.0, 1.0)
    variance = lengths**2
    shares = variance[:2] / max(float(variance.sum()), 1e-12)
    return Plane(rows @ axes.T, (float(shares[0]), float(shares[1])))


def spread_out(
    centers: NDArray[np.float64], sizes: NDArray[np.float64], within: tuple[float, float]
) -> NDArray[np.float64]:
    """Centers float64 `(n, 2)` of boxes of these sizes `(n, 2)`, moved so that no two overlap,
    inside an area of width and height `within`, as long as there is room.

    One after the other, from the middle outwards, each takes the free place that is nearest.
    """
    area = np.array(within)
    places = np.clip(centers, sizes / 2, area - sizes / 2)
    step = float(sizes.min()) / _STEPS_A_SIDE
    grid = [np.arange(-np.ceil(side / step), np.ceil(side / step) + 1) * step for side in within]
    ways = np.stack(np.meshgrid(*grid), -1).reshape(-1, 2)
    ways = ways[np.argsort(np.hypot(ways[:, 0], ways[:, 1]), kind="stable")]
    from_middle = np.linalg.norm(centers - np.median(centers, axis=0), axis=1)
    taken: list[int] = []
    for row in np.argsort(from_middle, kind="stable").tolist():
        reach = (sizes[row] + sizes[taken]) / 2
        for first in range(0, len(ways), _AT_ONCE):
            tried = places[row] + ways[first : first + _AT_ONCE]
            inside = ((tried >= sizes[row] / 2) & (tried <= area - sizes[row] / 2)).all(1)
            tried = tried[inside]
            clear = (np.abs(tried[:, None] - places[taken]) >= reach).any(2).all(1)
            if clear.any():
                places[row] = tried[int(clear.argmax())]
                break
        taken.append(row)
    return places
