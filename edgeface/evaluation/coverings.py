"""What covers a face at a door, drawn by its landmarks, and light that a camera at a door has."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.values import Image

Points = NDArray[np.floating]
Covering = Callable[[np.random.Generator, Image, Points], None]


def cover(rng: np.random.Generator, face: Image, landmarks: Points) -> Image:
    """A copy of the face, BGR uint8 `(h, w, 3)`, with one covering; `landmarks` `(5, 2)` in it."""
    face = face.copy()
    COVERINGS[int(rng.integers(len(COVERINGS)))](rng, face, landmarks)
    return face


def _color(rng: np.random.Generator, top: int = 256) -> tuple[int, ...]:
    return tuple(int(c) for c in rng.integers(0, top, 3))


def _frame(landmarks: Points) -> tuple[Points, Points, Points, float]:
    """Between the eyes; unit vectors along the eyes and down the face; the eyes' distance."""
    across = landmarks[1] - landmarks[0]
    span = max(float(np.hypot(*across)), 1.0)
    along = across / span
    down = np.array([-along[1], along[0]])
    if down @ (landmarks[3:].mean(axis=0) - landmarks[:2].mean(axis=0)) < 0:
        down = -down  # a mirrored view
    return landmarks[:2].mean(axis=0), along, down, span


def _fill(face: Image, corners: list[Points], color: tuple[int, ...]) -> None:
    cv2.fillPoly(face, [np.rint(np.stack(corners)).astype(np.int32)], color, cv2.LINE_AA)


def glasses(
    rng: np.random.Generator, face: Image, landmarks: Points, *, dark: bool | None = None
) -> None:
    """A frame about both eyes; with dark lenses, every third time if nothing is said."""
    middle, along, down, span = _frame(landmarks)
    color, lens = _color(rng, 120), _color(rng, 60)
    size = (round(span * rng.uniform(0.3, 0.42)), round(span * rng.uniform(0.22, 0.34)))
    angle = math.degrees(math.atan2(along[1], along[0]))
    width = max(1, round(span * rng.uniform(0.02, 0.08)))
    drawn = rng.random() < 0.33
    dark = drawn if dark is None else dark
    for eye in landmarks[:2]:
        at = tuple(int(v) for v in np.rint(eye + 0.04 * span * down))
        if dark:
            cv2.ellipse(face, at, size, angle, 0, 360, lens, -1, cv2.LINE_AA)
        cv2.ellipse(face, at, size, angle, 0, 360, color, width, cv2.LINE_AA)
    ends = [middle - along * 0.14 * span, middle + along * 0.14 * span]
    left, right = (tuple(int(v) for v in np.rint(end)) for end in ends)
    cv2.line(face, left, right, color, width, cv2.LINE_AA)


def eye_bar(rng: np.random.Generator, face: Image, landmarks: Points) -> None:
    """A bar over the eyes, as a hand or a visor makes it."""
    middle, along, down, span = _frame(landmarks)
    half, up = span * rng.uniform(0.9, 1.3), span * rng.uniform(0.18, 0.35)
    corners = [(-half, -up), (half, -up), (half, up), (-half, up)]
    _fill(face, [middle + x * along + y * down for x, y in corners], _color(rng))


def cap(rng: np.random.Generator, face: Image, landmarks: Points, *, reach: float = 4.0) -> None:
    """Everything above a line between brows and hair, with a lower edge that hangs or rises, as far
    as `reach` distances of the eyes."""
    middle, along, down, span = _frame(landmarks)
    brim, bend, far = span * rng.uniform(0.3, 0.6), span * rng.uniform(-0.12, 0.12), reach * span
    corners = [(-far, -brim), (0, -brim + bend), (far, -brim), (far, -far), (-far, -far)]
    _fill(face, [middle + x * along + y * down for x, y in corners], _color(rng, 200))


def mask(rng: np.random.Generator, face: Image, landmarks: Points) -> None:
    """A mask over nose, mouth and chin."""
    middle, along, down, span = _frame(landmarks)
    top, wide = span * rng.uniform(0.35, 0.6), span * rng.uniform(0.75, 0.95)
    corners = [(0, top), (wide, top * 1.15), (wide * 0.8, 1.5 * span), (0, 1.9 * span)]
    corners += [(-wide * 0.8, 1.5 * span), (-wide, top * 1.15)]
    _fill(face, [middle + x * along + y * down for x, y in corners], _color(rng))


COVERINGS: tuple[Covering, ...] = (glasses, glasses, eye_bar, cap, mask)


def near_infrared(rng: np.random.Generator, face: Image) -> Image:
    """Gray as a night camera sees it: red counts most, skin is bright and flat, pupils dark."""
    weights = np.array([0.05, 0.15, 0.8]) + rng.uniform(-0.05, 0.05, 3)
    gray = face.astype(np.float32) @ weights.astype(np.float32) / 255
    gray = np.clip(gray, 0, 1) ** rng.uniform(0.4, 0.8)
    level = np.clip(gray * rng.uniform(0.75, 1.1) * 255, 0, 255).astype(np.uint8)
    return np.repeat(level[..., None], 3, axis=2)


def against_the_light(rng: np.random.Generator, face: Image) -> Image:
    """A dark face before a bright door: darkened, with glare that fades from one side or above."""
    height, width = face.shape[:2]
    angle = rng.uniform(-math.pi, 0)
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    slope = np.clip((x * math.cos(angle) + y * math.sin(angle) + 1) / 2, 0, 1)[..., None]
    dark = face.astype(np.float32) * rng.uniform(0.2, 0.5)
    glare = 255 * rng.uniform(0.2, 0.7) * slope ** rng.uniform(1.5, 3)
    return np.clip(dark + glare, 0, 255).astype(np.uint8)
