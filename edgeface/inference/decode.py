"""From a detector's raw output tensors to boxes, landmarks and scores. Pure numpy.

Only predictions above the threshold are looked at: it is applied to the raw scores, before anything
is dequantized.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeface.inference.description import DetectorOutput, Level
from edgeface.inference.network import TensorSpec

Floats = NDArray[np.float32]

MAX_CANDIDATES = 400
"""The best so many predictions enter the suppression: bounds the time on a wall of faces."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """Predictions, best first; pixels of the model's input."""

    boxes: Floats
    """float32 `(n, 4)`: left, top, right, bottom."""
    landmarks: Floats
    """float32 `(n, 5, 2)`."""
    scores: Floats
    """float32 `(n,)` in [0, 1]."""

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, rows: NDArray[np.integer[Any]]) -> Candidates:
        """The given rows, in that order."""
        return Candidates(self.boxes[rows], self.landmarks[rows], self.scores[rows])


NOTHING: Final = Candidates(
    np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32)
)


def grid_size(stride: int, width: int, height: int) -> tuple[int, int]:
    """Rows and columns of the cells of one level."""
    return math.ceil(height / stride), math.ceil(width / stride)


def level_shapes(
    output: DetectorOutput, level: Level, width: int, height: int
) -> dict[str, list[tuple[int, ...]]]:
    """The shapes that the three tensors of a level may have, by tensor name."""
    rows, columns = grid_size(level.stride, width, height)
    anchors = output.anchors_per_cell
    cells = rows * columns * anchors
    return {
        name: [(1, rows, columns, anchors * k), (1, cells, k), (cells, k)]
        for name, k in ((level.score, 1), (level.box, 4), (level.landmarks, 10))
    }


class LevelDecoder:
    """Decodes one stride."""

    def __init__(
        self,
        output: DetectorOutput,
        level: Level,
        size: tuple[int, int],
        specs: tuple[TensorSpec, TensorSpec, TensorSpec],
        score_threshold: float,
    ) -> None:
        """`size` is the input's (width, height), `specs` those of score, box and landmarks."""
        rows, columns = grid_size(level.stride, *size)
        y, x = np.divmod(np.arange(rows * columns), columns)
        points = (np.stack([x, y], axis=1) + output.cell_offset) * level.stride
        self._points = np.repeat(points, output.anchors_per_cell, axis=0).astype(np.float32)
        self._stride = np.float32(level.stride)
        self._score, self._box, self._landmarks = specs
        self._logit = output.score == "logit"
        self._ltrb = output.box == "ltrb"
        threshold = score_threshold
        if self._logit:
            threshold = math.log(score_threshold / (1 - score_threshold))
        self._least = self._score.least_at(threshold)

    def decode(self, score: NDArray[Any], box: NDArray[Any], landmarks: NDArray[Any]) -> Candidates:
        """The predictions of raw tensors that reach the threshold, in no order."""
        raw = score.reshape(-1)
        (rows,) = (raw >= self._least).nonzero()
        if not len(rows):
            return NOTHING
        points = self._points[rows]
        scores = self._score.dequantize(raw[rows])
        if self._logit:
            scores = np.float32(1) / (np.float32(1) + np.exp(-scores))
        sides = self._box.dequantize(box.reshape(-1, 4)[rows])
        if self._ltrb:
            sides = sides * self._stride
            boxes = np.concatenate([points - sides[:, :2], points + sides[:, 2:]], axis=1)
        else:
            center = points + sides[:, :2] * self._stride
            half = np.exp(sides[:, 2:]) * np.float32(self._stride / 2)
            boxes = np.concatenate([center - half, center + half], axis=1)
        offsets = self._landmarks.dequantize(landmarks.reshape(-1, 10)[rows])
        marks = offsets.reshape(-1, 5, 2) * self._stride + points[:, None]
        return Candidates(boxes, marks, scores)


def best_first(levels: Sequence[Candidates], limit: int = MAX_CANDIDATES) -> Candidates:
    """The candidates of all levels together, sorted by score, at most `limit`."""
    some = [level for level in levels if len(level)] or [NOTHING]
    boxes, landmarks, scores = some[0].boxes, some[0].landmarks, some[0].scores
    if len(some) > 1:
        boxes = np.concatenate([level.boxes for level in some])
        landmarks = np.concatenate([level.landmarks for level in some])
        scores = np.concatenate([level.scores for level in some])
    return Candidates(boxes, landmarks, scores).take((-scores).argsort(kind="stable")[:limit])


def suppress(candidates: Candidates, iou: float, keep: int) -> Candidates:
    """Greedy non-maximum suppression over candidates that come best first.

    Of boxes that overlap by more than `iou` the best stays; at most `keep` are returned. Boxes
    without an area are dropped.
    """
    boxes = candidates.boxes
    widths, heights = (boxes[:, 2:] - boxes[:, :2]).T
    areas = widths * heights
    (left,) = ((widths > 0) & (heights > 0)).nonzero()
    kept: list[int] = []
    while len(left) and len(kept) < keep:
        best, left = left[0], left[1:]
        kept.append(int(best))
        low = np.maximum(boxes[left, :2], boxes[best, :2])
        high = np.minimum(boxes[left, 2:], boxes[best, 2:])
        across, down = np.maximum(high - low, 0).T
        common = across * down
        left = left[common <= iou * (areas[left] + areas[best] - common)]
    return candidates.take(np.array(kept, np.intp))
