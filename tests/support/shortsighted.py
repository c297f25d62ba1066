"""A detector that knows painted faces, and only those that are large enough in its input."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from edgeface.recognition.values import Face, Image
from tests.support.gallery import PaintedDetector

INPUT_PX = (320, 240)


class Shortsighted:
    """As a real detector: sees every picture at 320x240, says how closely that was, and doubts
    what is small then, or misses it."""

    def __init__(self, doubts_below_px: float = 0.0, misses_below_px: float = 0.0) -> None:
        """Both are widths in its input."""
        self.doubts_below_px = doubts_below_px
        self.misses_below_px = misses_below_px
        self.score = 0.9
        self.painted = PaintedDetector(smallest=0.01, largest=1.0)
        self.sizes: list[tuple[int, int]] = []

    def detect(
        self, image_bgr: Image, scale: tuple[float, float] = (1.0, 1.0), *, doubtful: bool = False
    ) -> list[Face]:
        height, width = image_bgr.shape[:2]
        self.sizes.append((width, height))
        zoom = min(INPUT_PX[0] / width, INPUT_PX[1] / height)
        size = (round(width * zoom), round(height * zoom))
        small = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA)
        found = [
            replace(
                one,
                box=one.box.scale(1 / zoom, 1 / zoom),
                landmarks=one.landmarks / np.float32(zoom),
                zoom=zoom,
                score=self.score,
                sure=one.box.width >= self.doubts_below_px,
            )
            for one in self.painted.detect(np.asarray(small, np.uint8))
            if one.box.width >= self.misses_below_px
        ]
        return [one for one in found if one.sure or doubtful]
