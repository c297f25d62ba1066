"""From pixels to an input tensor, through one table."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.inference.description import Preprocessing
from edgeface.inference.network import TensorSpec
from edgeface.recognition.values import Image


class Preprocessor:
    """Fills the input tensor of one model.

    A pixel has 256 values, so `(pixel - mean) / std` and the tensor's quantisation together are a
    table of 256 entries a channel, computed once. The returned tensor is one buffer that the next
    call overwrites.
    """

    def __init__(self, rules: Preprocessing, tensor: TensorSpec) -> None:
        self._rules = rules
        pixels = np.arange(256, dtype=np.float64)[:, None]
        real = (pixels - np.array(rules.mean_by_channel)) / np.array(rules.std_by_channel)
        self._table = tensor.quantize(real)[None]
        self._buffer = np.empty((1, rules.height, rules.width, 3), tensor.dtype)
        self._filled = (0, 0)

    def encode(self, pixels: Image) -> NDArray[np.generic]:
        """The tensor for pixels that already have the model's size and channel order.

        Raises ValueError on another size.
        """
        if pixels.shape != self._buffer.shape[1:] or pixels.dtype != np.uint8:
            raise ValueError(
                f"uint8 {self._buffer.shape[1:]} is needed, not {pixels.dtype} {pixels.shape}"
            )
        self._filled = (0, 0)
        self._buffer[0] = cv2.LUT(pixels, self._table)
        return self._buffer

    def fit(self, image_bgr: Image) -> tuple[NDArray[np.generic], tuple[float, float]]:
        """The tensor for a BGR image of any size, and (x, y) input pixels per image pixel."""
        rules = self._rules
        height, width = image_bgr.shape[:2]
        if rules.fit == "letterbox":
            factor = min(rules.width / width, rules.height / height)
            inner_width = min(rules.width, max(1, round(width * factor)))
            inner_height = min(rules.height, max(1, round(height * factor)))
        else:
            inner_width, inner_height = rules.width, rules.height
        pixels: NDArray[np.uint8] = image_bgr
        if (inner_height, inner_width) != (height, width):
            pixels = _resize(pixels, inner_width, inner_height)
        if rules.channels == "RGB":
            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
        if self._filled != (inner_height, inner_width):
            self._buffer[...] = self._table[0, rules.pad]
            self._filled = (inner_height, inner_width)
        self._buffer[0, :inner_height, :inner_width] = cv2.LUT(pixels, self._table)
        return self._buffer, (inner_width / width, inner_height / height)


def _resize(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The image at another size; averaged when it shrinks, so that small faces do not alias.

    Halving is averaging that OpenCV has vectorised: several halvings and a rest take a third of the
    time of one large step.
    """
    rows, columns = image.shape[:2]
    while rows % 2 == columns % 2 == 0 and rows // 2 >= height and columns // 2 >= width:
        rows, columns = rows // 2, columns // 2
        half = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
        image = np.asarray(half, np.uint8)
    if (rows, columns) == (height, width):
        return image
    shrinks = width < columns and height < rows
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
