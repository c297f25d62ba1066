"""Random views of a photograph for the detector, and what each cell of the network should say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.training.augment import motion_blur, noise, relight
from models.training.networks import STRIDES
from models.training.scenes import MIRRORED, Floats, Scene, overlap

ANY_PX = (14.0, 230.0)
SMALL_PX = (8.0, 40.0)
LOOK_PX = (42.0, 125.0)
"""Sizes of faces (square root of the box's area) on a canvas: anyhow, tiled, and as the second
look has them, a fifth to a half of its height and some more."""
LEVEL_PX = ((0.0, 40.0), (28.0, 112.0), (80.0, 1e9))
"""Face sizes (square root of the area) that each stride answers for; they overlap."""
SMALLEST_PX = 7.0
"""Smaller faces are left out of the loss."""


@dataclass(frozen=True)
class View:
    """One canvas: `image` uint8 BGR `(h, w, 3)` with its faces as in `Scene`."""

    image: NDArray[np.uint8]
    boxes: Floats
    landmarks: Floats
    weight: Floats


def framed(
    rng: np.random.Generator, scene: Scene, width: int, height: int, sizes: tuple[float, float]
) -> tuple[float, Floats, Floats]:
    """Zoom, the point of the photograph that is looked at, and where on the canvas it goes.

    One of the faces gets a log-uniform size between `sizes`, but is not enlarged more than three
    times, and no photograph is reduced to much less than the canvas. Without a face the zoom is
    random.
    """
    taught = np.flatnonzero(scene.weight > 0)
    size = np.sqrt(np.prod(scene.boxes[:, 2:] - scene.boxes[:, :2], axis=1).clip(1))
    reach = 0.15 if sizes[0] >= LOOK_PX[0] else 0.38
    target = rng.uniform(0.5 - reach, 0.5 + reach, 2) * (width, height)
    if not len(taught):
        spot = rng.uniform(0, 1, 2) * scene.image.shape[1::-1]
        return math.exp(rng.uniform(-0.9, 0.9)), spot, target
    likely = size[taught] if sizes[0] >= LOOK_PX[0] else np.ones(len(taught))
    chosen = int(rng.choice(taught, p=likely / likely.sum()))
    wanted = math.exp(rng.uniform(math.log(sizes[0]), math.log(sizes[1])))
    fit = min(width / scene.image.shape[1], height / scene.image.shape[0])
    zoom = min(max(wanted / size[chosen], 0.6 * fit), 3.0)
    return zoom, (scene.boxes[chosen, :2] + scene.boxes[chosen, 2:]) / 2, target


def whole(
    rng: np.random.Generator, scene: Scene, width: int, height: int
) -> tuple[float, Floats, Floats]:
    """As `framed`, for the whole photograph about as the daemon scales a frame: top left."""
    fit = min(width / scene.image.shape[1], height / scene.image.shape[0])
    zoom = fit * math.exp(rng.uniform(-0.35, 0.15))
    return zoom, np.zeros(2, np.float32), rng.normal(0, 0.02, 2) * (width, height)


def random_canvas(
    rng: np.random.Generator,
    scene: Scene,
    width: int,
    height: int,
    frame: tuple[float, Floats, Floats],
    steady: bool = False,
) -> View:
    """Scale, turn, shift and mirror a photograph as `framed` or `whole` say; `steady`: upright."""
    zoom, focus, target = frame
    turn = math.radians(rng.normal(0, 6) if rng.random() < 0.85 else rng.uniform(-35, 35))
    if steady:
        turn = 0.0
    cos, sin = math.cos(turn) * zoom, math.sin(turn) * zoom
    linear = np.array([[cos, -sin], [sin, cos]])
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
        shrunk = enlarged(matrix, 1 / half)
    else:
        shrunk = matrix
    fill = (
        rng.integers(0, 256, 3).tolist() if rng.random() < 0.4 else [int(rng.choice(2)) * 127] * 3
    )
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


def enlarged(matrix: NDArray[np.float64], times: float) -> NDArray[np.float64]:
    """The same map from a picture that `cv2.resize` made smaller by `times`."""
    linear, shift = matrix[:, :2], matrix[:, 2] + matrix[:, :2] @ np.full(2, (times - 1) / 2)
    return np.hstack([linear * times, shift[:, None]])


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


def paste_face(
    rng: np.random.Generator, view: View, face: Scene, sizes: tuple[float, float]
) -> View:
    """Blend an aligned face of the pool into a free place, with its own landmarks."""
    height, width = view.image.shape[:2]
    side = face.image.shape[0]
    corners = face.boxes[0].reshape(2, 2)
    size = math.sqrt(float(np.prod(corners[1] - corners[0])))
    zoom = math.exp(rng.uniform(math.log(sizes[0]), math.log(sizes[1]))) / size
    turn = math.radians(rng.normal(0, 12))
    linear = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) * zoom
    mirror = rng.random() < 0.5
    if mirror:
        linear[:, 0] *= -1
    target = rng.uniform(0.15, 0.85, 2) * (width, height)
    middle = corners.mean(axis=0)
    matrix = np.hstack([linear, (target - linear @ middle)[:, None]])
    half = (corners[1] - corners[0]) / 2 * zoom
    box = np.concatenate([target - half, target + half]).astype(np.float32)
    if len(view.boxes) and overlap(box[None], view.boxes).max() > 0:
        return view
    mask = np.zeros((side, side), np.uint8)
    centre = (side // 2, int(side * 0.517))
    cv2.ellipse(mask, centre, (int(side * 0.39), int(side * 0.47)), 0, 0, 360, 255, -1)
    mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(1.5, 5)))
    source = face.image
    if zoom < 0.5:
        source = cv2.resize(source, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        mask = cv2.resize(mask, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        shrunk = enlarged(matrix, 2)
    else:
        shrunk = matrix
    layer = cv2.warpAffine(
        source, shrunk, (width, height), borderMode=cv2.BORDER_REPLICATE, flags=cv2.INTER_LINEAR
    )
    alpha = cv2.warpAffine(mask, shrunk, (width, height))[..., None].astype(np.float32) / 255
    image = (view.image * (1 - alpha) + layer * alpha).astype(np.uint8)
    points = face.landmarks @ linear.T.astype(np.float32) + matrix[:, 2].astype(np.float32)
    if mirror:
        points = points[:, MIRRORED]
    return settle(
        View(
            image,
            np.concatenate([view.boxes, box[None]]),
            np.concatenate([view.landmarks, points]),
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


def tiled(rng: np.random.Generator, scenes: Sequence[Scene], width: int, height: int) -> View:
    """Four photographs side by side: small faces, and many backgrounds."""
    corners = [(0, 0), (width // 2, 0), (0, height // 2), (width // 2, height // 2)]
    image = np.zeros((height, width, 3), np.uint8)
    parts = []
    for x, y in corners:
        scene = scenes[int(rng.integers(len(scenes)))]
        frame = framed(rng, scene, width // 2, height // 2, SMALL_PX)
        part = random_canvas(rng, scene, width // 2, height // 2, frame)
        image[y : y + height // 2, x : x + width // 2] = part.image
        shift = np.array([x, y], np.float32)
        parts.append((part.boxes + np.tile(shift, 2), part.landmarks + shift, part.weight))
    boxes, points, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return View(image, boxes, points, weight)


def random_scene_view(
    rng: np.random.Generator,
    scenes: Sequence[Scene],
    chosen: int,
    pasted: Sequence[Scene],
    width: int,
    height: int,
) -> tuple[NDArray[np.uint8], list[Floats]]:
    """A fresh canvas uint8 BGR `(height, width, 3)` of a scene, and its targets.

    Of five canvases two are framed as the second look frames a face, one and a half as the daemon
    scales a whole frame, half a one anyhow, and one shows small faces of four photographs.
    """
    scene, draw = scenes[chosen], rng.random()
    sizes, seen_px = ANY_PX, width
    if draw < 0.2:
        view, sizes = tiled(rng, scenes, width, height), SMALL_PX
    elif draw < 0.5:
        frame = whole(rng, scene, width, height)
        view = random_canvas(rng, scene, width, height, frame, steady=True)
    else:
        sizes = LOOK_PX if draw < 0.9 else ANY_PX
        seen_px = height if draw < 0.75 else width  # the second look is a square
        frame = framed(rng, scene, seen_px, height, sizes)
        view = random_canvas(rng, scene, seen_px, height, frame)
    while rng.random() < (0.6 if sizes == LOOK_PX else 0.3):
        view = paste_face(rng, view, pasted[int(rng.integers(len(pasted)))], sizes)
    image = weather(rng, view.image) if rng.random() < 0.7 else view.image
    if seen_px < width:
        image = cv2.copyMakeBorder(image, 0, 0, 0, width - seen_px, cv2.BORDER_CONSTANT)
    return image, targets(View(image, view.boxes, view.landmarks, view.weight))
