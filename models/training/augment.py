"""What happens to a picture of a face: light, resolution, blur, noise, occlusion."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def degrade(rng: np.random.Generator, face: Image) -> Image:
    """Lose resolution, focus or bits as a door camera does; each with its own small chance."""
    size = face.shape[0]
    draw = rng.random()
    if draw < 0.25:
        small = int(rng.integers(size // 4, size * 4 // 7))
        mode = (cv2.INTER_AREA, cv2.INTER_LINEAR)[int(rng.integers(2))]
        face = cv2.resize(face, (small, small), interpolation=mode)
        back = (cv2.INTER_LINEAR, cv2.INTER_CUBIC)[int(rng.integers(2))]
        face = cv2.resize(face, (size, size), interpolation=back)
    elif draw < 0.32:
        face = cv2.GaussianBlur(face, (0, 0), float(rng.uniform(0.5, 1.8)))
    elif draw < 0.37:
        face = motion_blur(rng, face)
    if rng.random() < 0.08:
        quality = int(rng.integers(15, 70))
        done, data = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, quality])
        if done:
            face = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return face


def motion_blur(rng: np.random.Generator, face: Image) -> Image:
    """Blur along a random direction over 3 to 7 pixels."""
    length = int(rng.integers(3, 8))
    kernel = np.zeros((length, length), np.float32)
    kernel[length // 2] = 1
    turn = cv2.getRotationMatrix2D(((length - 1) / 2,) * 2, float(rng.uniform(0, 180)), 1.0)
    kernel = cv2.warpAffine(kernel, turn, (length, length))
    return cv2.filter2D(face, -1, kernel / max(float(kernel.sum()), 1e-6))


def occlude(rng: np.random.Generator, face: Image) -> Image:
    """Cover a part: a mask-like band over mouth and chin, or a rectangle anywhere."""
    size = face.shape[0]
    face = face.copy()
    colour = rng.integers(0, 256, 3)
    if rng.random() < 0.4:
        top = int(size * rng.uniform(0.58, 0.72))
        face[top:, int(size * 0.08) : int(size * 0.92)] = colour
    else:
        height, width = (size * rng.uniform(0.12, 0.4, 2)).astype(int)
        y, x = int(rng.integers(size - height)), int(rng.integers(size - width))
        face[y : y + height, x : x + width] = colour
    return face


def relight(rng: np.random.Generator, face: Image) -> Image:
    """Gain, offset and gamma per picture, a colour cast per channel, sometimes grey; as a table."""
    ramp = np.arange(256, dtype=np.float32) / 255
    gamma = math.exp(rng.normal(0, 0.25))
    gain, offset = rng.normal(1, 0.15), rng.normal(0, 0.06)
    cast = np.exp(rng.normal(0, 0.06, 3))
    table = np.stack([(ramp**gamma * gain + offset) * c for c in cast], axis=1)
    table = np.clip(table * 255 + 0.5, 0, 255).astype(np.uint8)
    face = cv2.LUT(face, table[None])
    if rng.random() < 0.1:
        face = cv2.cvtColor(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    return face


def noise(rng: np.random.Generator, face: Image) -> Image:
    """Gaussian sensor noise of deviation up to 14 levels."""
    grain = np.empty(face.shape, np.int16)
    cv2.randn(grain, 0, float(rng.uniform(2, 14)))
    return cv2.add(face, grain, dtype=cv2.CV_8U)
