"""A network camera over a door at which somebody stands every other second."""

from __future__ import annotations

import threading

import cv2
import numpy as np
from numpy.typing import NDArray

from tests.support.mjpeg_server import MjpegServer

SIZE = (384, 256)
FPS = 10
VISIT = 10
"""Frames with somebody, and as many without."""
_FACE = 64
_PLACE = 150
_GRAY = 110


class DoorCamera(MjpegServer):
    """Somebody is a red square, which is what the tests' small detector takes for a face."""

    def __init__(self) -> None:
        super().__init__(SIZE, 1 / FPS)
        self.frozen, self.black = threading.Event(), threading.Event()
        rng = np.random.default_rng(5)
        place = np.full((SIZE[1], SIZE[0], 3), _GRAY, np.uint8)
        place[180:, :, :] = 60
        place[40:160, 20:60] = 200
        self._pictures = []
        for number in range(2 * VISIT):
            image = place.copy()
            if number < VISIT:
                left = _PLACE + number
                image[64 : 64 + _FACE, left : left + _FACE] = (0, 0, 255)
            noise = rng.integers(0, 8, image.shape, np.uint8)
            self._pictures.append(_jpeg(cv2.add(image, noise)))
        dark = rng.integers(0, 5, (4, *place.shape), np.uint8)
        self._dark = [_jpeg(image) for image in dark]
        self._number = 0

    def _picture(self) -> bytes:
        self._number += not self.frozen.is_set()
        pictures = self._dark if self.black.is_set() else self._pictures
        return pictures[self._number % len(pictures)]


def _jpeg(image: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
