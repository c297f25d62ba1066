"""Histograms of oriented gradients, to be looked at: nothing here is detected with them."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.values import Image

CELL_PX: Final = 8
BINS: Final = 9
"""Of 20 degrees each, a direction and its opposite in one."""
_FINE: Final = 4
_BACKGROUND: Final = (24, 22, 20)
_STROKE: Final = (120, 210, 255)


def oriented_histograms(crop: Image) -> NDArray[np.float32]:
    """Float32 `(h // 8, w // 8, 9)`: in each cell of 8 x 8 pixels of an image uint8 `(h, w, 3)` how
    strong the edges of each direction are, by the channel whose gradient is steepest.

    Cells and bins of Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection"
    (CVPR 2005), without their blocks.
    """
    values = crop.astype(np.float32)
    across = cv2.filter2D(values, -1, np.array([[-1, 0, 1]], np.float32))
    down = cv2.filter2D(values, -1, np.array([[-1], [0], [1]], np.float32))
    length = np.hypot(across, down)
    steepest = length.argmax(2)[..., None]
    across, down, length = (
        np.take_along_axis(part, steepest, 2)[..., 0] for part in (across, down, length)
    )
    place = (np.degrees(np.arctan2(down, across)) % 180) / (180 / BINS) - 0.5
    lower = np.floor(place).astype(np.int64)
    upper_share = place - lower
    rows, columns = (side // CELL_PX for side in crop.shape[:2])
    inside = slice(0, rows * CELL_PX), slice(0, columns * CELL_PX)
    found = np.zeros((rows, columns, BINS), np.float32)
    for number, share in ((lower, 1 - upper_share), (lower + 1, upper_share)):
        for direction in range(BINS):
            weight = np.where(number % BINS == direction, share * length, 0)[inside]
            found[..., direction] += weight.reshape(rows, CELL_PX, columns, CELL_PX).sum((1, 3))
    return found


def draw_gradients(crop: Image, side_px: int) -> Image:
    """BGR uint8 `(side_px, side_px, 3)` of a square crop: in each cell a stroke along the edges of
    each direction, as bright as they are strong."""
    histograms = oriented_histograms(crop)
    rows, columns = histograms.shape[:2]
    strongest = max(float(np.quantile(histograms, 0.995)), 1e-6)
    picture = np.full((side_px * _FINE, side_px * _FINE, 3), _BACKGROUND, np.float32)
    cell = side_px * _FINE / rows
    ink = np.array(_STROKE, np.float32) - np.array(_BACKGROUND, np.float32)
    for direction in range(BINS):
        # The gradient stands across the edge.
        angle = np.radians((direction + 0.5) * 180 / BINS + 90)
        reach = 0.46 * cell * np.array([np.cos(angle), np.sin(angle)])
        layer = np.zeros(picture.shape[:2], np.uint8)
        for row, column in np.ndindex(rows, columns):
            share = float(min(1.0, histograms[row, column, direction] / strongest))
            if share < 0.04:
                continue
            center = np.array([column + 0.5, row + 0.5]) * cell
            ends = [tuple(int(side) for side in np.rint(center + way)) for way in (-reach, reach)]
            cv2.line(layer, ends[0], ends[1], round(255 * share**0.7), _FINE, cv2.LINE_AA)
        picture += layer[..., None] / np.float32(255) * ink
    small = cv2.resize(np.minimum(picture, 255), (side_px, side_px), interpolation=cv2.INTER_AREA)
    return np.asarray(np.rint(small), np.uint8)
