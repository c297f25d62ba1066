"""Random views of a photograph for the detector, and what each cell of the network should say."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.augment import motion_blur, noise, relight
from models.training.faces import FACE_PX, MARGIN_PX
from models.training.networks import STRIDES
from models.training.scenes import Floats, Scene, overlap

MIRRORED = (1, 0, 2, 4, 3)
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ],
    np.float32,
)
"""ArcFace's five points in a 112x112 crop."""
TEMPLATE_BOX = np.array([15.3, 11.0, 97.1, 117.8], np.float32)
"""Where the teacher's box lies on the template: the median over its large faces."""
LEVEL_PX = ((0.0, 40.0), (28.0, 112.0), (80.0, 1e9))
"""Face sizes (square root of the area) that each stride answers for; they overlap."""
SMALLEST_PX = 9.0
"""Smaller faces are left out of the loss."""


@dataclass(frozen=True)
class View:
    """One canvas: `image` uint8 BGR `(h, w, 3)` with its faces as in `Scene`."""

    image: NDArray[np.uint8]
    boxes: Floats
    landmarks: Floats
    weight: Floats


def random_canvas(rng: np.random.Generator, scene: Scene, width: int, height: int) -> View:
    """Scale, turn, shift and mirror a photograph so that one of its faces gets a random size.

    Sizes are log-uniform between 14 and 230 px, but no face is enlarged more than three times,
    and no photograph is reduced to much less than half the canvas.
    """
    taught = np.flatnonzero(scene.weight > 0)
    size = np.sqrt(np.prod(scene.boxes[:, 2:] - scene.boxes[:, :2], axis=1).clip(1))
    if len(taught):
        chosen = int(rng.choice(taught))
        wanted = math.exp(rng.uniform(math.log(14), math.log(230)))
        fit = min(width / scene.image.shape[1], height / scene.image.shape[0])
        zoom = min(max(wanted / size[chosen], 0.55 * fit), 3.0)
        focus = (scene.boxes[chosen, :2] + scene.boxes[chosen, 2:]) / 2
    else:
        zoom = math.exp(rng.uniform(-0.7, 0.9))
        focus = rng.uniform(0, 1, 2) * scene.image.shape[1::-1]
    turn = math.radians(rng.normal(0, 6) if rng.random() < 0.8 else rng.uniform(-35, 35))
    cos, sin = math.cos(turn) * zoom, math.sin(turn) * zoom
    linear = np.array([[cos, -sin], [sin, cos]])
    target = rng.uniform(0.12, 0.88, 2) * (width, height)
    matrix = np.hstack([linear, (target - linear @ focus)[:, None]])
    mirror = rng.random() < 0.5
    if mirror:
        matrix[0] = -matrix[0]
        matrix[0, 2] += width - 1
    border = (cv2.BORDER_CONSTANT, cv2.BORDER_REPLICATE, cv2.BORDER_REFLECT_101)[
        int(rng.choice(3, p=(0.6, 0.25, 0.15)))
    ]
    source = scene.image
    if zoom < 0.5:
        half = 0.5 if zoom > 0.25 else 0.25
        source = cv2.resize(source, None, fx=half, fy=half, interpolation=cv2.INTER_AREA)
        shrunk = matrix.copy()
        shrunk[:, :2] /= half
    else:
        shrunk = matrix
    fill = rng.integers(0, 256, 3).tolist() if rng.random() < 0.5 else (0, 0, 0)
    image = cv2.warpAffine(
        source, shrunk, (width, height), flags=cv2.INTER_LINEAR, borderMode=border, borderValue=fill
    )
    centre = (scene.boxes[:, :2] + scene.boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
    half_size = (scene.boxes[:, 2:] - scene.boxes[:, :2]) / 2 * zoom
    boxes = np.concatenate([centre - half_size, centre + half_size], axis=1)
    points = scene.landmarks @ matrix[:, :2].T.astype(np.float32) + matrix[:, 2].astype(np.float32)
    if mirror:
        points = points[:, MIRRORED]
    weight = scene.weight.copy()
    if border == cv2.BORDER_REFLECT_101:  # a mirrored border may show faces that nobody labelled
        image = blank_outside(image, matrix, source_size=scene.image.shape[1::-1])
    return settle(View(image, boxes.astype(np.float32), points.astype(np.float32), weight))


def blank_outside(
    image: NDArray[np.uint8], matrix: Floats, source_size: tuple[int, ...]
) -> NDArray[np.uint8]:
    """Blur what lies outside the photograph beyond recognition."""
    width, height = source_size
    mask = cv2.warpAffine(np.full((height, width), 255, np.uint8), matrix, image.shape[1::-1])
    soft = cv2.blur(image, (61, 61))
    soft[mask > 0] = image[mask > 0]
    return soft


def settle(view: View) -> View:
    """Drop faces outside the canvas; leave out of the loss what is cut off or too small."""
    height, width = view.image.shape[:2]
    clipped = view.boxes.copy()
    clipped[:, 0::2] = clipped[:, 0::2].clip(0, width)
    clipped[:, 1::2] = clipped[:, 1::2].clip(0, height)
    area = np.prod(view.boxes[:, 2:] - view.boxes[:, :2], axis=1)
    seen = np.prod(clipped[:, 2:] - clipped[:, :2], axis=1) / np.maximum(area, 1e-6)
    weight = np.where((seen < 0.6) | (np.sqrt(area) < SMALLEST_PX), 0, view.weight)
    keep = seen > 0.02
    boxes = np.where((seen > 0.6)[:, None], view.boxes, clipped)
    return View(view.image, boxes[keep], view.landmarks[keep], weight[keep].astype(np.float32))


def paste_face(rng: np.random.Generator, view: View, face: NDArray[np.uint8]) -> View:
    """Blend an aligned face of the pool into a free place, with its exact landmarks."""
    height, width = view.image.shape[:2]
    zoom = math.exp(rng.uniform(math.log(0.18), math.log(1.7)))
    turn = math.radians(rng.normal(0, 12))
    linear = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) * zoom
    target = rng.uniform(0.15, 0.85, 2) * (width, height)
    middle = np.full(2, FACE_PX / 2)
    matrix = np.hstack([linear, (target - linear @ middle)[:, None]])
    corners = TEMPLATE_BOX + MARGIN_PX
    centre = linear @ ((corners[:2] + corners[2:]) / 2) + matrix[:, 2]
    half = (corners[2:] - corners[:2]) / 2 * zoom
    box = np.concatenate([centre - half, centre + half]).astype(np.float32)
    if len(view.boxes) and overlap(box[None], view.boxes).max() > 0:
        return view
    mask = np.zeros((FACE_PX, FACE_PX), np.uint8)
    cv2.ellipse(mask, (60, 62), (46, 56), 0, 0, 360, 255, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(1.5, 5)))
    layer = cv2.warpAffine(
        face, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE, flags=cv2.INTER_AREA
    )
    alpha = cv2.warpAffine(mask, matrix, (width, height))[..., None].astype(np.float32) / 255
    image = (view.image * (1 - alpha) + layer * alpha).astype(np.uint8)
    points = (TEMPLATE + MARGIN_PX) @ linear.T + matrix[:, 2]
    return settle(
        View(
            image,
            np.concatenate([view.boxes, box[None]]),
            np.concatenate([view.landmarks, points[None].astype(np.float32)]),
            np.concatenate([view.weight, np.ones(1, np.float32)]),
        )
    )


def weather(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Light, night, noise, blur and compression as a door camera has them."""
    image = relight(rng, image)
    draw = rng.random()
    if draw < 0.12:  # night: dark, then amplified noise
        dark = (image * rng.uniform(0.1, 0.45)).astype(np.uint8)
        grain = np.empty(dark.shape, np.int16)
        cv2.randn(grain, 0, float(rng.uniform(3, 12)))
        image = cv2.add(dark, grain, dtype=cv2.CV_8U)
    elif draw < 0.3:
        image = noise(rng, image)
    draw = rng.random()
    if draw < 0.12:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 2.0)))
    elif draw < 0.17:
        image = motion_blur(rng, image)
    if rng.random() < 0.12:
        done, data = cv2.imencode(
            ".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 70))]
        )
        if done:
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return image


def targets(view: View) -> list[Floats]:
    """For each stride float32 `(rows, cols, 16)`: state, box (4), points (10), points known.

    State is 1 for a face cell, 0 for background, -1 where the loss says nothing. A face is taught
    in the cells around its centre; where two faces want a cell, the smaller one has it.
    """
    height, width = view.image.shape[:2]
    size = np.sqrt(np.prod(view.boxes[:, 2:] - view.boxes[:, :2], axis=1).clip(0))
    order = np.argsort(-size)
    maps = []
    for stride, (low, high) in zip(STRIDES, LEVEL_PX, strict=True):
        rows, cols = -(-height // stride), -(-width // stride)
        out = np.zeros((rows, cols, 16), np.float32)
        x = (np.arange(cols, dtype=np.float32) + 0.5) * stride
        y = (np.arange(rows, dtype=np.float32) + 0.5) * stride
        for i in order:
            left, top, right, bottom = view.boxes[i]
            if view.weight[i] <= 0 or not low <= size[i] < high:
                inside_x, inside_y = (x > left) & (x < right), (y > top) & (y < bottom)
                if view.weight[i] <= 0:  # keep quiet about it on every level
                    out[np.ix_(inside_y, inside_x)] = 0
                    out[np.ix_(inside_y, inside_x, [0])] = -1
                continue
            reach_x = max(0.22 * (right - left), 0.75 * stride)
            reach_y = max(0.22 * (bottom - top), 0.75 * stride)
            at_x = np.flatnonzero(
                (np.abs(x - (left + right) / 2) < reach_x) & (x > left) & (x < right)
            )
            at_y = np.flatnonzero(
                (np.abs(y - (top + bottom) / 2) < reach_y) & (y > top) & (y < bottom)
            )
            if not len(at_x) or not len(at_y):
                continue
            gx, gy = np.meshgrid(x[at_x], y[at_y])
            block = np.zeros((len(at_y), len(at_x), 16), np.float32)
            block[..., 0] = 1
            block[..., 1], block[..., 2] = gx - left, gy - top
            block[..., 3], block[..., 4] = right - gx, bottom - gy
            points = view.landmarks[i]
            if np.isfinite(points).all():
                block[..., 5:15:2] = points[:, 0] - gx[..., None]
                block[..., 6:15:2] = points[:, 1] - gy[..., None]
                block[..., 15] = 1
            block[..., 1:15] /= stride
            out[np.ix_(at_y, at_x)] = block
        maps.append(out)
    return maps


def random_scene_view(
    rng: np.random.Generator, scene: Scene, faces: NDArray[np.uint8], width: int, height: int
) -> tuple[NDArray[np.uint8], list[Floats]]:
    """A fresh canvas uint8 BGR `(height, width, 3)` and its targets."""
    view = random_canvas(rng, scene, width, height)
    while rng.random() < 0.35:
        view = paste_face(rng, view, faces[int(rng.integers(len(faces)))])
    return weather(rng, view.image), targets(view)
