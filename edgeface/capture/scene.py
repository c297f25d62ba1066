"""The pictures of the simulated camera: a hallway, and a photograph that walks through it.

A photograph is cut out with a soft edge, given a coat below its lower edge, and placed by one
affine warp per frame. Nothing here looks for faces: the photograph is used whole.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.capture.solid import Pane
from edgeface.recognition.values import Image

FULL_SPRITE_PX = 800
"""Photographs higher than this are reduced: a visitor is never shown much larger."""

COAT = 1.1
"""Height of the coat below the photograph, in heights of the photograph."""

HEAD = 0.36
"""Where the head is assumed, in heights of the photograph; turned and placed about it."""

NOISE_MARGIN_PX = 64
NOISE_SIGMA = 32.0
"""Standard deviation of the stored noise, in gray levels about 128."""


@dataclass(frozen=True, slots=True)
class Pose:
    """How the visitor is seen in one frame."""

    height_px: float
    """Of the photograph, without the coat."""
    x_px: float
    """Of the head's center in the frame."""
    y_px: float
    roll_deg: float
    opacity: float
    """0 to 1; below 1 while coming out of the dark end of the hallway."""
    motion_px: float
    """Width of the horizontal motion blur."""
    defocus_px: float
    """Standard deviation of the defocus blur."""
    yaw_deg: float = 0.0
    """Of what has depth, or is held: the front turned to the right of the image."""
    pitch_deg: float = 0.0
    """The front turned up."""
    bend: float = 0.0
    """Of what is held: its curvature, edges away from the camera; one over heights of the
    photograph."""


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A cut-out visitor: premultiplied BGRA uint8, full size first, each next one half of it."""

    levels: tuple[NDArray[np.uint8], ...]
    photograph_px: int
    """Height of the photograph, without the coat, in the first level."""


def _smooth(x: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    clipped = np.clip(x, 0.0, 1.0)
    return np.asarray(clipped * clipped * (3.0 - 2.0 * clipped), np.float32)


def make_sprite(photograph: Image) -> Sprite:
    """Cut the photograph (BGR uint8 `(h, w, 3)`) out in the shape of an arch, and dress it."""
    photo = reduced(photograph)
    height, width = photo.shape[:2]
    bgr = dressed(photo).astype(np.float32)
    alpha = np.concatenate([_arch(height, width), _coat_mask(bgr.shape[0] - height, width)])
    bgra = np.dstack([bgr * alpha[..., None], alpha * 255.0])
    return Sprite(halvings(np.clip(np.rint(bgra), 0, 255).astype(np.uint8)), height)


def reduced(photograph: Image) -> Image:
    """Not larger than a visitor is ever shown."""
    scale = min(1.0, FULL_SPRITE_PX / photograph.shape[0], FULL_SPRITE_PX / photograph.shape[1])
    return np.asarray(
        cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    )


def dressed(photo: Image) -> Image:
    """The photograph with a coat below it."""
    coat = _coat(photo, round(photo.shape[0] * COAT))
    return np.concatenate([photo, np.clip(np.rint(coat), 0, 255).astype(np.uint8)])


def halvings(picture: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], ...]:
    """The picture and its halves, quarters and so on."""
    levels = [picture]
    while min(levels[-1].shape[:2]) > 64:
        levels.append(np.asarray(cv2.pyrDown(levels[-1]), np.uint8))
    return tuple(levels)


def level_for(levels: tuple[NDArray[np.uint8], ...], scale: float) -> int:
    """The smallest of the halvings that is still large enough to be shown at this scale."""
    level = 0
    while level + 1 < len(levels) and scale <= 0.5:
        scale *= 2
        level += 1
    return level


def _arch(height: int, width: int) -> NDArray[np.float32]:
    """Opaque inside, fading at the edge; the upper corners are round."""
    x = np.abs(np.linspace(-1.0, 1.0, width, dtype=np.float32))[None, :]
    y = np.clip(np.linspace(1.0, -1.0, height, dtype=np.float32), 0.0, None)[:, None]
    radius = (x**3.2 + y**3.2) ** (1 / 3.2)
    return _smooth((1.0 - radius) / 0.22)


def _coat(photo: Image, coat_px: int) -> NDArray[np.float32]:
    """The lower edge of the photograph drawn downwards, blurred and darker towards the floor."""
    height, width = photo.shape[:2]
    edge = photo[-max(2, height // 25) :].astype(np.float32).mean(axis=0, keepdims=True)
    blurred = cv2.GaussianBlur(edge, (0, 0), max(1.0, width / 10), borderType=cv2.BORDER_REPLICATE)
    kept = np.linspace(0.0, 1.0, coat_px, dtype=np.float32)[:, None, None]
    blend = np.clip(kept * 8, 0.0, 1.0)
    color = edge * (1.0 - blend) + blurred * blend
    return np.asarray(color * (0.95 - 0.6 * kept), np.float32)


def _coat_mask(coat_px: int, width: int) -> NDArray[np.float32]:
    x = np.abs(np.linspace(-1.0, 1.0, width, dtype=np.float32))[None, :]
    down = np.linspace(0.0, 1.0, coat_px, dtype=np.float32)[:, None]
    half = 1.0 - 0.35 * _smooth(down * 1.6)
    return np.asarray(_smooth((half - x) / 0.22) * _smooth((1.0 - down) / 0.2), np.float32)


def hallway(size: tuple[int, int], seed: int) -> Image:
    """A generated corridor out of focus: BGR uint8 `(height, width, 3)`."""
    width, height = size
    rng = np.random.default_rng([seed, 1])
    wall = np.array([150, 162, 168]) + rng.uniform(-14, 14, 3)
    shades = {"ceiling": wall * 1.16, "floor": wall * 0.52, "left": wall * 0.92, "right": wall}
    end_x, end_y = width * rng.uniform(0.46, 0.54), height * 0.40
    half_w, half_h = width * 0.10, height * 0.17
    near = {"tl": (0, 0), "tr": (width, 0), "br": (width, height), "bl": (0, height)}
    far = {
        "tl": (end_x - half_w, end_y - half_h),
        "tr": (end_x + half_w, end_y - half_h),
        "br": (end_x + half_w, end_y + half_h),
        "bl": (end_x - half_w, end_y + half_h),
    }
    image = np.zeros((height, width, 3), np.uint8)
    sides = (("ceiling", "tl", "tr"), ("right", "tr", "br"), ("floor", "br", "bl"))
    for side, a, b in (*sides, ("left", "bl", "tl")):
        _fill(image, (near[a], near[b], far[b], far[a]), shades[side])
    _fill(image, tuple(far.values()), wall * 0.62)
    _fill(image, tuple(_towards(far[c], (end_x, end_y + half_h), 0.4) for c in far), wall * 0.36)
    for at in (0.2, 0.5, 0.75):  # lamps along the ceiling
        left, right = _towards(near["tl"], far["tl"], at), _towards(near["tr"], far["tr"], at)
        span = 0.025 * (1 - at)
        lamp = [
            (left[0] + (right[0] - left[0]) * f, left[1] + height * d)
            for f, d in ((0.4, -span), (0.6, -span), (0.6, span), (0.4, span))
        ]
        _fill(image, tuple(lamp), np.array([245, 250, 252]))
    for at in (0.35, 0.68):  # doors along the right wall
        top, bottom = _towards(near["tr"], far["tr"], at), _towards(near["br"], far["br"], at)
        top2 = _towards(near["tr"], far["tr"], at + 0.13)
        bottom2 = _towards(near["br"], far["br"], at + 0.13)
        lintel = (_towards(top, bottom, 0.3), _towards(top2, bottom2, 0.3))
        _fill(image, (lintel[0], lintel[1], bottom2, bottom), wall * np.array([0.55, 0.62, 0.7]))
    blurred = cv2.GaussianBlur(image, (0, 0), height / 90).astype(np.float32)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    depth = np.hypot((x - end_x) / width, (y - end_y) / height)
    shade = 0.62 + 0.5 * np.clip(depth * 1.3, 0, 1) - 0.22 * np.clip(depth - 0.5, 0, 1)
    return np.asarray(np.clip(blurred * shade[..., None], 0, 255), np.uint8)


Point = tuple[float, float]


def _towards(a: Point, b: Point, share: float) -> Point:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def _fill(image: Image, corners: tuple[Point, ...], color: NDArray[np.float64]) -> None:
    points = np.rint(np.array(corners)).astype(np.int32)
    blue, green, red = (float(min(255.0, value)) for value in color)
    cv2.fillConvexPoly(image, points, (blue, green, red), lineType=cv2.LINE_AA)


def noise_bank(size: tuple[int, int], seed: int) -> Image:
    """Sensor noise about 128, `NOISE_MARGIN_PX` larger than the frame; mostly gray, some color."""
    width, height = size[0] + NOISE_MARGIN_PX, size[1] + NOISE_MARGIN_PX
    rng = np.random.default_rng([seed, 2])
    gray = rng.standard_normal((height, width, 1), np.float32) * np.float32(0.9 * NOISE_SIGMA)
    color = rng.standard_normal((height, width, 3), np.float32) * np.float32(0.44 * NOISE_SIGMA)
    return np.asarray(np.clip(np.rint(gray + color + 128), 0, 255), np.uint8)


def place_visitor(image: Image, sprite: Sprite, pose: Pose) -> None:
    """Draw the visitor into `image`, in place. Draws nothing where he is out of view."""
    scale = pose.height_px / sprite.photograph_px
    level = level_for(sprite.levels, scale)
    scale *= 2**level
    source = sprite.levels[level]
    rows, columns = source.shape[:2]
    # The center of the head goes to (x_px, y_px), turned about it.
    anchor = (columns / 2, HEAD * rows / (1 + COAT))
    turn = math.radians(pose.roll_deg)
    cos, sin = scale * math.cos(turn), scale * math.sin(turn)
    matrix = np.array(
        [
            [cos, -sin, pose.x_px - cos * anchor[0] + sin * anchor[1]],
            [sin, cos, pose.y_px - sin * anchor[0] - cos * anchor[1]],
        ]
    )
    corners = matrix @ np.array([[0, columns, columns, 0], [0, 0, rows, rows], [1, 1, 1, 1]])
    low, high = corners.min(axis=1), corners.max(axis=1)
    view = part_of(image, (low[0], low[1], high[0], high[1]), pose)
    if view is None:
        return
    matrix[:, 2] -= view.left, view.top
    layer = cv2.warpAffine(source, matrix, view.size, flags=cv2.INTER_LINEAR)
    lay(image, np.asarray(layer, np.uint8), view, pose)


def part_of(
    image: Image, bounds: tuple[float, float, float, float], pose: Pose, step: int = 1
) -> Pane | None:
    """The part of the frame within left, top, right and bottom, with room for the pose's blur; None
    where that is out of view."""
    spread = math.ceil(pose.motion_px + 3 * pose.defocus_px) + 1
    height, width = image.shape[:2]
    view = Pane(
        left=max(0, math.floor(bounds[0]) - spread),
        top=max(0, math.floor(bounds[1]) - spread),
        right=min(width, math.ceil(bounds[2]) + spread),
        bottom=min(height, math.ceil(bounds[3]) + spread),
        frame=(width, height),
        step=step,
    )
    return view if min(view.size) >= 2 else None


def lay(image: Image, layer: NDArray[np.uint8], view: Pane, pose: Pose) -> None:
    """Put a layer, premultiplied BGRA, over a part of the image, blurred as the pose says."""
    if pose.defocus_px > 0.35:
        layer = np.asarray(cv2.GaussianBlur(layer, (0, 0), pose.defocus_px), np.uint8)
    if pose.motion_px >= 2:
        layer = np.asarray(cv2.blur(layer, (int(pose.motion_px) | 1, 1)), np.uint8)
    if pose.opacity < 1:
        layer = np.asarray(cv2.convertScaleAbs(layer, alpha=pose.opacity), np.uint8)
    behind = image[view.top : view.bottom, view.left : view.right]
    through = cv2.cvtColor(cv2.bitwise_not(cv2.extractChannel(layer, 3)), cv2.COLOR_GRAY2BGR)
    behind[:] = cv2.add(
        cv2.multiply(behind, through, scale=1 / 255), cv2.cvtColor(layer, cv2.COLOR_BGRA2BGR)
    )


def cut(picture: Image, alpha: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Premultiplied BGRA of a picture with this alpha, `(h, w)`, taken between 0 and 1."""
    opaque = np.clip(alpha * 255.0, 0, 255).astype(np.uint8)
    layer = cv2.multiply(picture, cv2.cvtColor(opaque, cv2.COLOR_GRAY2BGR), scale=1 / 255)
    return np.asarray(cv2.merge([*cv2.split(layer), opaque]), np.uint8)


def expose(
    image: Image, bank: Image, offset: tuple[int, int], gain: float, noise_sigma: float
) -> Image:
    """A new picture with the gain applied (exposure; 1 is right) and noise added, taken from the
    bank at `offset`; `noise_sigma` is its standard deviation in gray levels."""
    height, width = image.shape[:2]
    x, y = offset
    noise = bank[y : y + height, x : x + width]
    share = noise_sigma / NOISE_SIGMA
    return np.asarray(cv2.addWeighted(image, gain, noise, share, -128 * share), np.uint8)
