"""Draws the matrix of `edgeface matrix`: crops on both axes, a number in each cell."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgeface.base.errors import StateError
from edgeface.demo.canvas import (
    ABOVE,
    AMBER,
    BELOW,
    GREEN,
    INK,
    LINE,
    SOFT,
    WHITE,
    Canvas,
    Rgb,
    fill,
    fit,
    text_width,
)
from edgeface.evaluation.similarity import SimilarityMatrix, in_metric
from edgeface.recognition.values import Image

STANDS_OUT: Final = 1.5
"""Deviations from which a face is marked."""
_MARGIN: Final = 28
_HEADER: Final = 150
_NAMES: Final = 190
_SUMS: Final = 190
_GAUGE: Final = 560
_DOUBT: Final[Rgb] = (250, 230, 190)
_WORD_PX: Final = 13


def draw_matrix(
    matrix: SimilarityMatrix,
    labels: Sequence[str],
    crops: Sequence[Image],
    thresholds: tuple[float, float],
    output: Path,
) -> None:
    """Write the PNG. `crops` are RGB; `thresholds` the cosines from which two faces are not said to
    be two people, and from which they are the same. Raises StateError."""
    count = len(labels)
    cell = 56 if count <= 16 else 44 if count <= 40 else 32
    left, top = _MARGIN + _NAMES + cell, _HEADER + cell + 26
    width = max(_legend()[1], left + count * cell + _SUMS) + _MARGIN
    canvas = Canvas(width, top + count * cell + _MARGIN)
    _draw_header(canvas, matrix, thresholds)
    small = max(10, cell // 4)
    sums = left + count * cell + 70
    canvas.text((sums, top - 20), "mean", small, SOFT, align="right")
    canvas.text((sums + 90, top - 20), "stands out", small, SOFT, align="right")
    for row, (label, crop) in enumerate(zip(labels, crops, strict=True)):
        face = fill(np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), np.uint8), cell, cell)
        across, down = left + row * cell, top + row * cell
        canvas.picture(left - cell, down, face)
        canvas.picture(across, top - cell, face)
        canvas.text(
            (across + cell // 2, top - cell - 18), str(row + 1), small, SOFT, align="middle"
        )
        name = fit(f"{row + 1}  {label}", small + 1, _NAMES - 16)
        canvas.text(
            (left - cell - 10, down + cell // 2 - small // 2), name, small + 1, align="right"
        )
        for column in range(count):
            box = (left + column * cell, down, left + (column + 1) * cell, down + cell)
            _draw_cell(canvas, box, matrix, (row, column), thresholds)
        middle = down + cell // 2 - small // 2
        canvas.text((sums, middle), shown(float(matrix.means[row]), matrix), small, align="right")
        far = float(matrix.stands_out[row])
        marked = far >= STANDS_OUT
        color = AMBER if marked else SOFT
        canvas.text((sums + 90, middle), f"{far:+z.1f}", small, color, bold=marked, align="right")
    try:
        canvas.save(output)
    except OSError as error:
        raise StateError(f"{output}: cannot be written: {error.strerror or error}") from error


def shown(value: float, matrix: SimilarityMatrix) -> str:
    """A value of the matrix: a cosine as a percentage, a distance as it is."""
    return f"{round(100 * value)}%" if matrix.metric == "cosine" else f"{value:z.2f}"


def _draw_header(canvas: Canvas, matrix: SimilarityMatrix, thresholds: tuple[float, float]) -> None:
    doubt, same = thresholds
    count = len(matrix.cosines)
    what = "cosine, in percent" if matrix.metric == "cosine" else "Euclidean distance"
    canvas.text((_MARGIN, 20), f"{count} faces, every pair", 24, bold=True)
    if matrix.metric == "cosine":
        limits = f"from {same:.0%}, not sure from {doubt:.0%}"
    else:
        unsure, sure = in_metric(np.array(thresholds, np.float32), "euclidean")
        limits = f"up to {sure:.2f} (cosine {same:.2f}), not sure up to {unsure:.2f} ({doubt:.2f})"
    canvas.text((_MARGIN, 56), f"{what}: the same person {limits}", 14, SOFT)
    pairs = matrix.cosines[np.triu_indices(count, 1)]
    canvas.gauge(
        (_MARGIN, 88), _GAUGE, pairs.tolist() if count <= 40 else [], None, thresholds[1], INK
    )
    for at, word, color in _legend()[0]:
        canvas.band((at, 102, at + 16, 118), color)
        canvas.frame((at, 102, at + 16, 118), LINE)
        canvas.text((at + 22, 103), word, _WORD_PX, SOFT)


def _legend() -> tuple[list[tuple[int, str, Rgb]], int]:
    """What the colors mean, each behind its place beside the gauge; and where the last one ends."""
    at, places = _MARGIN + _GAUGE + 40, []
    for word, color in (
        ("two people", BELOW),
        ("not sure", _DOUBT),
        ("same", _mixed(ABOVE, GREEN, 0.5)),
    ):
        places.append((at, word, color))
        end = at + 22 + text_width(word, _WORD_PX)
        at = end + 18
    return places, end


def _draw_cell(
    canvas: Canvas,
    box: tuple[int, int, int, int],
    matrix: SimilarityMatrix,
    place: tuple[int, int],
    thresholds: tuple[float, float],
) -> None:
    doubt, same = thresholds
    if place[0] == place[1]:
        canvas.band(box, LINE)
        return
    cosine = float(matrix.cosines[place])
    if cosine >= same:
        canvas.band(box, _mixed(ABOVE, GREEN, 0.8 * (cosine - same) / (1 - same)))
    elif cosine >= doubt:
        canvas.band(box, _DOUBT)
    else:
        canvas.band(box, _mixed(WHITE, BELOW, max(0.0, cosine) / max(doubt, 1e-6)))
    canvas.frame(box, LINE)
    left, top, right, bottom = box
    size = max(9, round((right - left) / 3.6))
    text = shown(float(matrix.values[place]), matrix).rstrip("%")
    where = ((left + right) // 2, (top + bottom) // 2 - size // 2)
    canvas.text(where, text, size, bold=cosine >= same, align="middle")


def _mixed(first: Rgb, second: Rgb, share: float) -> Rgb:
    share = min(1.0, max(0.0, share))
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue
