"""Draws the map of `edgeface map`: crops where their embeddings lie, none over another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeface.demo.canvas import GRAY, INK, LINE, SOFT, WHITE, Canvas, Rgb, fill, fit, text_width
from edgeface.evaluation.plane import Plane, spread_out
from edgeface.recognition.values import Image

COLORS: Final[tuple[Rgb, ...]] = (
    (31, 119, 180),
    (230, 126, 20),
    (44, 150, 60),
    (200, 48, 56),
    (140, 92, 190),
    (150, 96, 70),
    (214, 96, 170),
    (118, 124, 40),
    (20, 160, 175),
    (90, 100, 115),
    (0, 96, 100),
    (120, 20, 60),
)
"""Of the people in turn; with more of them the names tell them apart."""
_SIDES: Final = ((12, 92), (30, 68), (80, 52), (160, 42), (10_000, 34))
"""Up to so many faces: the side of a crop."""
_WIDTH: Final = 1200
_LEAST_HEIGHT: Final = 720
_MARGIN: Final = 28
_TOP: Final = 96
_INSIDE: Final = 12
"""Room between the frame and the crops."""
_FILLED: Final = 0.4
"""The share of the map that crops may take; with more of them it grows."""
_NAMED: Final = 40
"""Up to so many pictures of nobody in particular are named."""
_LETTERS: Final = 12


@dataclass(frozen=True, slots=True, eq=False)
class Dot:
    """One face of the map."""

    crop: Image
    """RGB uint8 `(s, s, 3)`."""
    label: str
    person: str | None


def draw_map(plane: Plane, dots: Sequence[Dot], title: str, subtitle: str) -> Image:
    """BGR uint8 `(h, w, 3)`."""
    side = next(side for most, side in _SIDES if len(dots) <= most)
    labels = _labels(plane, dots, side)
    wide = [max(side, text_width(label, _LETTERS)) + 8 for label in labels]
    high = [side + 8 + (_LETTERS + 6 if label else 0) for label in labels]
    sizes = np.array([wide, high], np.float64).T
    grown = max(1.0, math.sqrt(float(sizes.prod(1).sum()) / _FILLED / (_WIDTH * _LEAST_HEIGHT)))
    area = round(_WIDTH * grown), round(_LEAST_HEIGHT * grown)
    frame = (_MARGIN, _TOP, _MARGIN + area[0] + 2 * _INSIDE, _TOP + area[1] + 2 * _INSIDE)
    canvas = Canvas(frame[2] + _MARGIN, frame[3] + _MARGIN)
    canvas.text((_MARGIN, 20), title, 24, bold=True)
    canvas.text((_MARGIN, 58), subtitle, 14, SOFT)
    canvas.band(frame, WHITE)
    canvas.frame(frame, LINE)
    true = _in_area(plane.points, area, sizes.max(0))
    places = spread_out(true, sizes, area)
    corner = np.array([_MARGIN + _INSIDE, _TOP + _INSIDE])
    colors = _colors(dots)
    for point, place, color in zip(true + corner, places + corner, colors, strict=True):
        canvas.line(np.stack([point, place]), GRAY)
        canvas.dot((point[0], point[1]), 3, color)
    for dot, label, place, high_px, color in zip(
        dots, labels, places + corner, high, colors, strict=True
    ):
        left, top = round(place[0] - side / 2), round(place[1] - high_px / 2) + 4
        canvas.band((left - 3, top - 3, left + side + 3, top + side + 3), color)
        picture = fill(np.ascontiguousarray(dot.crop[..., ::-1]), side, side)
        canvas.picture(left, top, picture)
        where = (round(place[0]), top + side + 5)
        half = text_width(label, _LETTERS) // 2 + 2
        ground = (where[0] - half, where[1] - 1, where[0] + half, where[1] + _LETTERS + 3)
        canvas.band(ground if label else (0, 0, 0, 0), WHITE)
        canvas.text(where, label, _LETTERS, color if dot.person else INK, align="middle")
    return canvas.image


def _in_area(
    points: NDArray[np.float64], area: tuple[int, int], size: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The points in pixels of the area, y upwards, both axes on one scale."""
    low, most = points.min(0), points.max(0)
    room = np.array(area) - size
    scale = float((room / np.maximum(most - low, 1e-9)).min())
    middle = (points - (low + most) / 2) * scale * np.array([1, -1])
    return np.asarray(middle + np.array(area) / 2)


def _labels(plane: Plane, dots: Sequence[Dot], side: int) -> list[str]:
    """What is written below each crop: of each person the name once, in their middle; of other
    pictures their own, where they are few."""
    labels = [""] * len(dots)
    for person in {dot.person for dot in dots}:
        rows = [row for row, dot in enumerate(dots) if dot.person == person]
        if person is not None:
            own = plane.points[rows]
            middle = rows[int(np.linalg.norm(own - own.mean(0), axis=1).argmin())]
            labels[middle] = fit(person, _LETTERS, max(side, 150))
        elif len(dots) <= _NAMED:
            for row in rows:
                labels[row] = fit(dots[row].label, _LETTERS, max(side, 140))
    return labels


def _colors(dots: Sequence[Dot]) -> list[Rgb]:
    persons = sorted({dot.person for dot in dots if dot.person is not None})
    colors = {person: COLORS[number % len(COLORS)] for number, person in enumerate(persons)}
    return [GRAY if dot.person is None else colors[dot.person] for dot in dots]
