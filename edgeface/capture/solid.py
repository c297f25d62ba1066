"""Surfaces before a pinhole camera: which point of each a pixel sees, by casting its ray.

Lengths are of any unit, the same for all surfaces of a picture; x points to the right, y down, z
away from the camera, which is at the origin. A surface has its own axes, those of the camera while
it faces it, and is colored by a picture that lies in the plane of its x and y.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
"""float32 `(h, w)`: one value a pixel."""

FOCAL_WIDTHS: Final = 1.0
"""The focal length in widths of the frame: 53 degrees are in view."""


@dataclass(frozen=True, slots=True, eq=False)
class Hits:
    """What the rays meet."""

    x: Values
    y: Values
    """On the surface, along its own axes; where a ray misses it, of the point beside it."""
    depth: Values
    """Along the camera's z."""
    inside: Values
    """How far from the surface's outline, as a share of its size; negative outside."""


class Surface(Protocol):
    """What rays can meet."""

    def hits(self, origin: NDArray[np.float32], rays: NDArray[np.float32]) -> Hits:
        """Of rays float32 `(h, w, 3)` from `origin` `(3,)`, along the surface's own axes."""


@dataclass(frozen=True, slots=True)
class Ellipsoid:
    """About `center`, with half axes `radii`."""

    center: tuple[float, float, float]
    radii: tuple[float, float, float]

    def hits(self, origin: NDArray[np.float32], rays: NDArray[np.float32]) -> Hits:
        """The nearer of the two points; the front is colored, and the back like it."""
        radii = np.array(self.radii, np.float32)
        start = (origin - np.array(self.center, np.float32)) / radii
        scaled = rays / radii
        square = np.einsum("hwi,hwi->hw", scaled, scaled)
        along = scaled @ start
        rest = float(start @ start) - along * along / square
        depth = (-along - np.sqrt(np.maximum(0.0, 1.0 - rest) * square)) / square
        x, y = (origin[i] + depth * rays[..., i] for i in (0, 1))
        return Hits(x, y, depth, 1.0 - np.sqrt(np.maximum(0.0, rest)))


@dataclass(frozen=True, slots=True)
class Sheet:
    """A sheet of paper or glass about the origin, `width` by `height`, bent about its y axis to a
    parabola of this curvature (one over the radius), its edges away from the camera if positive."""

    width: float
    height: float
    curvature: float = 0.0

    def hits(self, origin: NDArray[np.float32], rays: NDArray[np.float32]) -> Hits:
        """x is the way along the sheet."""
        half = self.curvature / 2
        dx, dy, dz = (rays[..., i] for i in range(3))
        # z = half x x: a t^2 + b t + c = 0, the root that stays finite for a flat sheet.
        a = half * dx * dx
        b = 2 * half * origin[0] * dx - dz
        c = half * origin[0] ** 2 - origin[2]
        root = np.sqrt(np.maximum(0.0, b * b - 4 * a * c))
        depth = 2 * c / (-b + np.where(b < 0, root, -root))
        x = origin[0] + depth * dx
        y = origin[1] + depth * dy
        x = x + (self.curvature**2 / 6) * x**3
        inside = np.minimum(1 - np.abs(x) * (2 / self.width), 1 - np.abs(y) * (2 / self.height))
        return Hits(x, y, depth, inside)


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> NDArray[np.float32]:
    """`(3, 3)`, from a surface's axes to the camera's: what faces the camera turns to the right of
    the image by yaw, up by pitch, and leans clockwise by roll, as `recognition.quality.head_pose`
    counts them."""
    yaw, pitch, roll = (math.radians(angle) for angle in (yaw_deg, pitch_deg, roll_deg))
    cos, sin = math.cos(yaw), math.sin(yaw)
    about_y = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    cos, sin = math.cos(pitch), math.sin(pitch)
    about_x = np.array([[1, 0, 0], [0, cos, sin], [0, -sin, cos]])
    cos, sin = math.cos(roll), math.sin(roll)
    about_z = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z, np.float32)


@dataclass(frozen=True, slots=True)
class Pane:
    """A part of a frame, seen through every `step`-th pixel."""

    left: int
    top: int
    right: int
    bottom: int
    frame: tuple[int, int]
    """Width and height."""
    step: int = 1

    @property
    def focal_px(self) -> float:
        """Of the camera."""
        return FOCAL_WIDTHS * self.frame[0]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the part."""
        return self.right - self.left, self.bottom - self.top

    def rays(self) -> NDArray[np.float32]:
        """float32 `(h, w, 3)`: their z is 1."""
        columns, rows = (max(2, math.ceil(side / self.step) + 1) for side in self.size)
        x = self.left + self.step * np.arange(columns, dtype=np.float32) - self.frame[0] / 2
        y = self.top + self.step * np.arange(rows, dtype=np.float32) - self.frame[1] / 2
        rays = np.ones((rows, columns, 3), np.float32)
        rays[..., 0] = (x / self.focal_px)[None, :]
        rays[..., 1] = (y / self.focal_px)[:, None]
        return rays

    def full(self, coarse: Values) -> Values:
        """A value for every pixel of the part, from those of the rays."""
        if self.step == 1:
            return np.ascontiguousarray(coarse[: self.size[1], : self.size[0]])
        matrix = np.array([[1 / self.step, 0, 0], [0, 1 / self.step, 0]], np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        border = cv2.BORDER_REPLICATE
        whole = cv2.warpAffine(coarse, matrix, self.size, flags=flags, borderMode=border)
        return np.asarray(whole, np.float32)


def seen(
    surface: Surface,
    rays: NDArray[np.float32],
    place: NDArray[np.float32],
    turn: NDArray[np.float32],
) -> Hits:
    """What rays from the camera see of a surface whose axes begin at `place` `(3,)` and are turned
    by `turn` `(3, 3)`."""
    return surface.hits(-place @ turn, rays @ turn)


def nearest(first: Hits, second: Hits) -> Hits:
    """What is seen of two surfaces, of which one may hide the other."""
    behind = (second.inside > 0) & ((first.inside <= 0) | (second.depth < first.depth))
    beside = (first.inside <= 0) & (second.inside <= 0) & (second.inside > first.inside)
    take = behind | beside
    pairs = ((first.x, second.x), (first.y, second.y), (first.depth, second.depth))
    x, y, depth = (np.where(take, there, here) for here, there in pairs)
    return Hits(x, y, depth, np.maximum(first.inside, second.inside))
