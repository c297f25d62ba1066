"""Pictures of "people" that the small models of `tests.support.packages` find and tell apart."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def picture(person: int, number: int, *, face: bool = True) -> NDArray[np.uint8]:
    """96x64 BGR. The person is a pattern in green; a red cell makes the small detector see it."""
    pattern = np.random.default_rng(person).integers(0, 256, (16, 24), np.uint8)
    noise = np.random.default_rng([person, number]).integers(-6, 7, (64, 96))
    image = np.full((64, 96, 3), 90, np.uint8)
    green = cv2.resize(pattern, (96, 64), interpolation=cv2.INTER_NEAREST).astype(np.int64)
    image[..., 1] = np.clip(green + noise, 0, 255)
    if face:
        image[24:32, 40:48] = (0, 0, 255)
    return image


def png(image: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()
