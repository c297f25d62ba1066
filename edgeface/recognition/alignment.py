"""From five landmarks to the crop that an embedder expects."""

from __future__ import annotations

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

    Rotation, uniform scale and shift with the least sum of squared distances; never a reflection
    (Umeyama, PAMI 1991, in the closed form of the plane). Raises ValueError when a coordinate is
    not finite, the shapes differ, or the points leave scale and rotation open.
    """
    source = np.asarray(landmarks, dtype=np.float64)
    goal = np.asarray(target, dtype=np.float64)
    if source.shape != goal.shape or source.ndim != 2 or source.shape[1] != 2:
        raise ValueError(f"landmarks {source.shape} do not fit the target {goal.shape}")
    if not np.isfinite(source).all():
        raise ValueError("landmarks are not finite")
    source_mean, goal_mean = source.mean(axis=0), goal.mean(axis=0)
    s, g = source - source_mean, goal - goal_mean
    spread = float(np.sum(s * s))
    if spread < 1e-6:
        raise ValueError("landmarks lie on one point")
    cosine = float(np.sum(s * g)) / spread
    sine = float(np.sum(s[:, 0] * g[:, 1] - s[:, 1] * g[:, 0])) / spread
    if cosine * cosine + sine * sine < 1e-12:
        raise ValueError("landmarks have no orientation")
    turn = np.array([[cosine, -sine], [sine, cosine]])
    return np.column_stack([turn, goal_mean - turn @ source_mean])


def align(image_bgr: Image, landmarks: Landmarks, to: Alignment = ARCFACE) -> Image:
    """A new crop, RGB uint8 `(s, s, 3)`, s = `to.size_px`, of the face with these landmarks.

    `image_bgr` is BGR uint8 `(h, w, 3)`, `landmarks` are in its pixels. What lies outside the image
    is black. A large face is first averaged down by a whole factor, because bilinear sampling alone
    would alias. Raises ValueError as `similarity` does.
    """
    size_px = to.size_px
    matrix = similarity(landmarks, to.template)
    part, matrix = _around(image_bgr, matrix, size_px)
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
    image: Image, matrix: NDArray[np.float64], size_px: int
) -> tuple[Image, NDArray[np.float64]]:
    """The part of the image under the crop, averaged down where it is large, with its matrix."""
    back = inverse(matrix)
    corners = np.array([[0, 0], [size_px, 0], [0, size_px], [size_px, size_px]], dtype=np.float64)
    corners = corners @ back[:, :2].T + back[:, 2]
    height, width = image.shape[:2]
    limits = np.array([width, height])
    low = np.clip(np.floor(corners.min(axis=0)) - 2, 0, limits).astype(int)
    high = np.clip(np.ceil(corners.max(axis=0)) + 3, 0, limits).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    moved = matrix.copy()
    moved[:, 2] += matrix[:, :2] @ low
    factor = int(1.0 / float(np.hypot(matrix[0, 0], matrix[1, 0])))
    rows, columns = (side // factor if factor > 1 else side for side in part.shape[:2])
    if factor < 2 or rows < 1 or columns < 1:
        return part, moved
    whole = part[: rows * factor, : columns * factor]
    small = cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA)
    # The center of a small pixel lies factor/2 - 1/2 behind that of its first large one.
    moved[:, 2] += moved[:, :2] @ np.full(2, (factor - 1) / 2)
    moved[:, :2] *= factor
    return np.asarray(small, dtype=np.uint8), moved
