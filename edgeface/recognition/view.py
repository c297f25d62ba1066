"""What a camera that hangs still sees: small gray pictures, compared whatever their light is."""

from __future__ import annotations

from typing import Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.values import Image

Gray: TypeAlias = NDArray[np.uint8]
"""uint8 `(h, w)`."""
GrayMean: TypeAlias = NDArray[np.float32]
"""float32 `(h, w)`: gray levels that were averaged."""

SMALL_PX: Final = 64
"""The longer side of a small picture."""
_STEP_MAX: Final = 4
"""Every fourth pixel of a large frame is enough for a cell's mean."""
_CHANGED_LEAST: Final = 4.0
_CHANGED_MOST: Final = 12.0


def small_gray(image: Image) -> Gray:
    """The small picture of a BGR frame `(h, w, 3)`: cell means of its green, the longer side 64."""
    step = max(1, min(_STEP_MAX, max(image.shape[:2]) // (4 * SMALL_PX)))
    green = np.ascontiguousarray(image[::step, ::step, 1])
    scale = SMALL_PX / max(green.shape)
    size = tuple(max(8, round(side * scale)) for side in green.shape[::-1])
    return np.asarray(cv2.resize(green, size, interpolation=cv2.INTER_AREA), np.uint8)


def changed_cells(now: GrayMean, before: GrayMean) -> NDArray[np.bool_]:
    """Which cells of a small picture differ from an earlier one by more than exposure and noise."""
    gain = float((now * before).sum()) / max(1.0, float((before * before).sum()))
    apart = np.abs(now - np.float32(gain) * before)
    usual = float(np.percentile(apart, 75))  # 1.15 standard deviations, where noise alone differs
    return apart > min(_CHANGED_MOST, max(_CHANGED_LEAST, 4.5 * usual))
