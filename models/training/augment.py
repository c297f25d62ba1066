"""Random views of an aligned face: geometry, light, resolution, noise, occlusion."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def random_similarity(
    rng: np.random.Generator, source_px: int, margin_px: float, out_px: int, strength: float = 1.0
) -> NDArray[np.float32]:
    """A 2x3 map from output to source pixels: jitter of scale, roll, shift, a little shear, mirror.

    With `strength` 0 it is the plain central crop without `margin_px` on each side.
    """
    crop = source_px - 2 * margin_px
    zoom = math.exp(rng.normal(0, 0.05 * strength))
    stretch = math.exp(rng.normal(0, 0.03 * strength))
    roll = math.radians(rng.normal(0, 4.0 * strength))
    shear = rng.normal(0, 0.03 * strength)
    shift = rng.normal(0, 0.018 * strength, size=2) * crop
    step = crop / out_px
    cos, sin = math.cos(roll), math.sin(roll)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.array([[zoom * stretch, shear], [0, zoom]])
    linear *= step
    if strength and rng.random() < 0.5:
        linear[:, 0] *= -1
    centre_out = (out_px - 1) / 2
    centre_in = np.full(2, (source_px - 1) / 2) + shift
    offset = centre_in - linear @ np.full(2, centre_out)
    return np.hstack([linear, offset[:, None]]).astype(np.float32)


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


def seen(
    rng: np.random.Generator, face: Image, matrix: NDArray[np.float32], out_px: int, plain: bool
) -> Image:
    """`face` through the map `matrix` of `random_similarity`; light and damage unless `plain`."""
    view = cv2.warpAffine(
        face,
        matrix,
        (out_px, out_px),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    if plain:
        return view
    view = degrade(rng, relight(rng, view))
    if rng.random() < 0.12:
        view = occlude(rng, view)
    if rng.random() < 0.2:
        view = noise(rng, view)
    return view


def random_view(
    rng: np.random.Generator, face: Image, margin_px: float, out_px: int, strength: float = 1.0
) -> Image:
    """A new uint8 `(out_px, out_px, 3)` view of `face`, an aligned square with a margin around."""
    matrix = random_similarity(rng, face.shape[0], margin_px, out_px, strength)
    return seen(rng, face, matrix, out_px, plain=not strength)
