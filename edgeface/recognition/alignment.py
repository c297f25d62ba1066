"""From five landmarks to the crop that an embedder expects."""

from __future__ import annotations

import cmath
import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.values import Alignment, Image, Landmarks


def _alignment(name: str, size_px: int, template: list[list[float]]) -> Alignment:
    points = np.array(template, dtype=np.float32)
    points.setflags(write=False)
    return Alignment(name, size_px, points)


ARCFACE: Final = _alignment(
    "arcface-112",
    112,
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ],
)
"""ArcFace's (Deng et al., CVPR 2019). Quality is measured in its crop, whatever the embedder."""

RETAIL: Final = _alignment(
    "retail-128",
    128,
    [
        [40.3968, 59.0848],
        [87.3728, 59.0848],
        [64.0384, 81.9840],
        [44.7360, 105.5616],
        [83.6352, 105.5616],
    ],
)
"""That of Open Model Zoo's face-reidentification-retail-0095."""

ALIGNMENTS: Final = {alignment.name: alignment for alignment in (ARCFACE, RETAIL)}
"""What `alignment` in a model package may say; the name is part of the space id."""


def similarity(landmarks: Landmarks, target: Landmarks = ARCFACE.template) -> NDArray[np.float64]:
    """The `(2, 3)` matrix that maps `landmarks` onto `target`, both `(n, 2)`, n >= 2.

    See `turn_and_shift`, also for what is raised.
    """
    return _matrix(*turn_and_shift(landmarks, target))


def turn_and_shift(
    landmarks: Landmarks, target: Landmarks = ARCFACE.template
) -> tuple[complex, complex]:
    """The same with points as complex numbers: `x + iy` goes to `turn * (x + iy) + shift`.

    Rotation, uniform scale and shift with the least sum of squared distances; never a reflection
    (Umeyama, PAMI 1991, in the closed form of the plane). Raises ValueError when a coordinate is
    not finite, the shapes differ, or the points leave scale and rotation open.
    """
    if landmarks.shape != target.shape or landmarks.ndim != 2 or landmarks.shape[1] != 2:
        raise ValueError(f"landmarks {landmarks.shape} do not fit the target {target.shape}")
    source = [complex(x, y) for x, y in landmarks.tolist()]
    goal = [complex(x, y) for x, y in target.tolist()]
    if not all(map(cmath.isfinite, source)):
        raise ValueError("landmarks are not finite")
    source_mean, goal_mean = sum(source) / len(source), sum(goal) / len(goal)
    around = [point - source_mean for point in source]
    spread = sum((point * point.conjugate()).real for point in around)
    if spread < 1e-6:
        raise ValueError("landmarks lie on one point")
    turn = sum(s.conjugate() * (g - goal_mean) for s, g in zip(around, goal, strict=True)) / spread
    if abs(turn) < 1e-6:
        raise ValueError("landmarks have no orientation")
    return turn, goal_mean - turn * source_mean


def _matrix(turn: complex, shift: complex) -> NDArray[np.float64]:
    return np.array(
        [[turn.real, -turn.imag, shift.real], [turn.imag, turn.real, shift.imag]], dtype=np.float64
    )


def align(image_bgr: Image, landmarks: Landmarks, to: Alignment = ARCFACE) -> Image:
    """A new crop, RGB uint8 `(s, s, 3)`, s = `to.size_px`, of the face with these landmarks.

    `image_bgr` is BGR uint8 `(h, w, 3)`, `landmarks` are in its pixels. What lies outside the image
    is black. A large face is first averaged down by a whole factor, because bilinear sampling alone
    would alias. Raises ValueError as `similarity` does.
    """
    size_px = to.size_px
    part, matrix = _around(image_bgr, *turn_and_shift(landmarks, to.template), size_px)
    if part.size == 0:
        return np.zeros((size_px, size_px, 3), dtype=np.uint8)
    crop = cv2.warpAffine(part, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def inverse(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The `(2, 3)` matrix that undoes a `(2, 3)` similarity of non-zero scale."""
    (cosine, _, x), (sine, _, y) = matrix.tolist()
    scale = cosine * cosine + sine * sine
    cosine, sine = cosine / scale, -sine / scale
    return np.array(
        [[cosine, -sine, sine * y - cosine * x], [sine, cosine, -sine * x - cosine * y]]
    )


def _around(
    image: Image, turn: complex, shift: complex, size_px: int
) -> tuple[Image, NDArray[np.float64]]:
    """The part of the image under the crop, averaged down where it is large, with its matrix."""
    corners = [(complex(x, y) - shift) / turn for x in (0, size_px) for y in (0, size_px)]
    rows = _span([corner.imag for corner in corners], image.shape[0])
    columns = _span([corner.real for corner in corners], image.shape[1])
    part = image[rows, columns]
    shift += turn * complex(columns.start, rows.start)
    factor = int(1 / abs(turn))
    height, width = (side // factor if factor > 1 else side for side in part.shape[:2])
    if factor < 2 or height < 1 or width < 1:
        return part, _matrix(turn, shift)
    whole = part[: height * factor, : width * factor]
    small = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
    # The center of a small pixel lies factor/2 - 1/2 behind that of its first large one.
    shift += turn * complex(factor - 1, factor - 1) / 2
    return np.asarray(small, dtype=np.uint8), _matrix(turn * factor, shift)


def _span(places: list[float], limit: int) -> slice:
    """The pixels from the first to the last place and a little more, as far as there are any."""
    low, high = math.floor(min(places)) - 2, math.ceil(max(places)) + 3
    return slice(max(0, low), max(0, min(limit, high)))
