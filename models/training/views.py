"""Random views of a stored face as the embedder's crop: geometry, turned heads, light, damage."""

from __future__ import annotations

import functools
import math

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from edgeface.evaluation.coverings import against_the_light, cover, near_infrared
from edgeface.recognition.alignment import ARCFACE, RETAIL, inverse, similarity
from models.training.augment import Image, degrade, noise, occlude, relight
from models.training.faces import DIVERSE_MARGIN_PX, DIVERSE_PX, FACE_PX, MARGIN_PX
from models.training.turned_head import mapped, turned

CROP_PX = RETAIL.size_px
TURNED = 0.45
"""The share of views that show a turned head."""

Matrix = NDArray[np.float64]


@functools.cache
def crop_to_face(side_px: int) -> Matrix:
    """The 2x3 map from pixels of the embedder's crop to those of a stored face of either pool."""
    if side_px == FACE_PX:
        landmarks = ARCFACE.template + np.float32(MARGIN_PX)
        return np.asarray(similarity(RETAIL.template, landmarks), np.float64)
    if side_px == DIVERSE_PX:
        return np.array([[1, 0, DIVERSE_MARGIN_PX], [0, 1, DIVERSE_MARGIN_PX]], np.float64)
    raise ValueError(f"no pool has faces of {side_px} px; they have {FACE_PX} or {DIVERSE_PX}")


def jitter(rng: np.random.Generator, strength: float) -> Matrix:
    """A 2x3 map from a view to the crop: scale, roll, shift, a little shear, mirror.

    With `strength` 0 it changes nothing.
    """
    zoom = math.exp(rng.normal(0, 0.05 * strength))
    stretch = math.exp(rng.normal(0, 0.03 * strength))
    roll = math.radians(rng.normal(0, 4.0 * strength))
    shear = rng.normal(0, 0.03 * strength)
    shift = rng.normal(0, 0.018 * strength, size=2) * CROP_PX
    cos, sin = math.cos(roll), math.sin(roll)
    linear = np.array([[cos, -sin], [sin, cos]]) @ np.array([[zoom * stretch, shear], [0, zoom]])
    if strength and rng.random() < 0.5:
        linear[:, 0] *= -1
    centre = np.full(2, (CROP_PX - 1) / 2)
    return np.column_stack([linear, centre + shift - linear @ centre])


def random_view(
    rng: np.random.Generator, face: Image, strength: float = 1.0, turn: float = TURNED
) -> Image:
    """A new view, BGR uint8 `(128, 128, 3)`, of a stored face of either pool.

    With `strength` 0 and `turn` 0 it is the plain crop. `turn` is the chance of a turned head, by
    15 to 72 degrees. Outside of the picture it is black, as in the daemon, or its edge repeated.
    """
    view, back = jitter(rng, strength), crop_to_face(face.shape[0])
    if turn and rng.random() < turn:
        yaw = math.radians(rng.uniform(15, 72)) * (1 if rng.random() < 0.5 else -1)
        source, landmarks = turned(yaw, math.radians(rng.normal(0, 8)), view)
        border = cv2.BORDER_CONSTANT
    else:
        source = mapped(view, _pixels())
        landmarks = mapped(inverse(view), RETAIL.template.astype(np.float64))
        black = not strength or rng.random() < 0.3
        border = cv2.BORDER_CONSTANT if black else cv2.BORDER_REPLICATE
    places = mapped(back, source.reshape(-1, 2)).reshape(CROP_PX, CROP_PX, 2).astype(np.float32)
    shown = np.asarray(cv2.remap(face, places, None, cv2.INTER_LINEAR, borderMode=border), np.uint8)
    return damaged(rng, shown, landmarks) if strength else shown


@functools.cache
def _pixels() -> Matrix:
    x, y = np.meshgrid(np.arange(CROP_PX), np.arange(CROP_PX))
    return np.stack([x, y], axis=-1).reshape(-1, 2).astype(np.float64)


def damaged(rng: np.random.Generator, view: Image, landmarks: NDArray[np.floating]) -> Image:
    """The view in another light, covered in part, blurred or noisy; a quarter stay as they are."""
    if rng.random() < 0.75:
        view = relight(rng, view)
        draw = rng.random()
        if draw < 0.04:
            view = near_infrared(rng, view)
        elif draw < 0.09:
            view = against_the_light(rng, view)
        view = degrade(rng, view)
    draw = rng.random()
    if draw < 0.08:
        view = cover(rng, view, landmarks)
    elif draw < 0.12:
        view = occlude(rng, view)
    if rng.random() < 0.15:
        view = noise(rng, view)
    return view


def normalise(batch: NDArray[np.uint8]) -> Tensor:
    """BGR uint8 `(n, h, w, 3)` -> RGB float `(n, 3, h, w)` as (x - 127.5) / 128."""
    tensor = torch.from_numpy(batch[..., ::-1].copy()).permute(0, 3, 1, 2)
    return (tensor.float() - 127.5) / 128
