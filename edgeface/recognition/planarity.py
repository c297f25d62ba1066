"""Does a face move as a thing with depth, or as a picture of one that somebody holds up?

Two pictures of a track, between which enough has moved, are compared. The points of the face say
whether it turned as a head does (`recognition/parallax.py`). What lies beside and above it, beyond
hair and ears, says whether it goes with the face, as a print's border does, or stays where it is,
as a wall behind a person. Both have to agree, several times in a track, before anything is said;
too little motion says nothing, and neither does a camera that moves itself.

A print that is cut out along the face, one that fills the picture, a strongly bent one and a film
of a face that moves are not told from a person by this.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.liveness import Source
from edgeface.recognition.parallax import Turn, fit_turn
from edgeface.recognition.values import Box, Face, Image

_AROUND: Final = 2.7
"""Side of the surroundings, in longer sides of the face's box."""
_SIDE_PX: Final = 160
"""What they are scaled to."""
_FAR_PX: Final = 256
"""What the whole frame's width is scaled to at least."""
_FACE_PX: Final = 36
"""A narrower face has too few pixels for this."""

_SHORTEST_S: Final = 0.2
_LONGEST_S: Final = 1.0
"""Two pictures are compared from one time to the other apart; later ones are of another moment."""
_MOVED: Final = 0.25
"""How far the face has to go in between, see `Step.moved`."""

_POINTS: Final = 36
_POINTS_MIN: Final = 16
_APART_PX: Final = 5
_WINDOW: Final = (13, 13)
_STOP: Final = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.03)
_BACK_PX: Final = 0.5
"""A point that is followed forth and back has to end so near to where it began."""

_CELL_PX: Final = 10
_DIFFERENT: Final = 2.5
"""Gray levels; more is no noise."""
_BETTER: Final = 0.5
"""A cell has stayed where that explains it so much better than going with the face."""
_MUCH_BETTER: Final = 0.35
"""A cell has gone with the face where that explains it so much better than having stayed."""

_TURNED_DEG: Final = 3.5
_SURE: Final = 5.0
"""A turn by so much, and so many times its error, is that of a head."""
_MOVED_FLAT: Final = 0.15
_UNTURNED_DEG: Final = 2.5
_UNTURNED_ERROR_DEG: Final = 1.25
"""No more than this, known so well, is that of a plane."""
_BORDER_CELLS: Final = 6
_BORDER_STILL: Final = 1 / 3
"""The most of what is beside the face that may stay behind, as a share of what goes with it."""
_SIDE_CELLS: Final = 5
_SIDES: Final = 2
"""Of left, right and top, so many have to go with the face."""
_FAR_CELLS: Final = 8
"""So much of the rest of the frame has to stand still before anything is said of a border."""

_DEEP_STEPS: Final = 2
_FLAT_STEPS: Final = 3
_DEEP_SHARE: Final = 0.75
_FLAT_SHARE: Final = 0.9
"""Of the steps that say something, so many have to say the same."""
_BORDERED: Final = 0.5
"""The share of those with motion enough that have to show a border."""

Levels = NDArray[np.float32]
"""float32 `(h, w)`: gray levels about the local mean."""


@dataclass(frozen=True, slots=True, eq=False)
class _Glimpse:
    """One picture of a track, made small."""

    face: Face
    time_s: float
    near: NDArray[np.uint8]
    """The face with its surroundings, `_SIDE_PX` square."""
    near_levels: Levels
    to_near: NDArray[np.float64]
    """`(3, 3)`, from pixels of the frame."""
    inside: tuple[float, float, float, float]
    """Left, top, right and bottom of what lies in the frame, in pixels of `near`."""
    far_levels: Levels
    """The whole frame."""
    to_far: NDArray[np.float64]
    frame_px: int
    """The frame's longer side."""


@dataclass(frozen=True, slots=True)
class Step:
    """What two pictures of a track say."""

    turned_deg: float
    """See `Turn`."""
    error_deg: float
    along: tuple[int, int, int]
    """Cells left of, right of and above the face that go with it."""
    still: tuple[int, int, int]
    """Those that stay where they are."""
    far_still: int
    """Cells of the rest of the frame that do."""
    moved: float
    """How far the face has gone, in its widths; twice the share by which it has grown or shrunk,
    if that is more."""

    @property
    def moving(self) -> bool:
        """Whether a border would have been seen to go with the face."""
        return self.moved >= _MOVED_FLAT and self.far_still >= _FAR_CELLS

    @property
    def deep(self) -> bool:
        """Whether a head has turned."""
        return self.turned_deg >= max(_TURNED_DEG, _SURE * self.error_deg)

    @property
    def flat(self) -> bool:
        """Whether a plane has moved, and its border with it."""
        along, still = sum(self.along), sum(self.still)
        return (
            self.moving
            and self.turned_deg <= _UNTURNED_DEG
            and self.error_deg <= _UNTURNED_ERROR_DEG
            and along >= _BORDER_CELLS
            and still <= _BORDER_STILL * along
        )


class Planarity:
    """The evidence of one track's motion. Not thread-safe; needs memory for one small picture."""

    def __init__(self) -> None:
        self._last: _Glimpse | None = None
        self._steps = self._moving = self._deep = self._flat = 0
        self._along = np.zeros(3, int)
        self._turned_deg = 0.0

    def observe(self, image_bgr: Image, face: Face, time_s: float) -> None:
        """Take the track's face in the next frame, BGR uint8 `(h, w, 3)`; times are seconds of one
        clock, the frames'. Most frames cost nothing: a few a second are looked at."""
        (x, y), (height, width) = face.box.center, image_bgr.shape[:2]
        if min(face.box.width, face.box.height) < _FACE_PX or not (
            0 <= x < width and 0 <= y < height
        ):
            return
        last = self._last
        if last is not None and not _due(last, face, time_s):
            return
        self._last = now = _glimpse(image_bgr, face, time_s)
        if last is None or time_s - last.time_s > 2 * _LONGEST_S:
            return
        step = _compare(last, now)
        if step is not None:
            self._count(step)

    def verdict(self) -> Source:
        """What the track's motion says so far."""
        said = self._deep + self._flat
        score = round((self._deep + 0.5) / (said + 1), 4) if said else None
        live: bool | None = None
        if self._deep >= _DEEP_STEPS and self._deep >= _DEEP_SHARE * said:
            live = True
        elif self._flat >= max(_FLAT_STEPS, _FLAT_SHARE * said, _BORDERED * self._moving):
            bordered = int((self._along >= _SIDE_CELLS).sum()) >= _SIDES
            live = False if bordered else None
        detail = {
            "steps": self._steps,
            "moving": self._moving,
            "deep": self._deep,
            "flat": self._flat,
            "turned_deg": round(self._turned_deg, 1),
            "border_cells": [int(cells) for cells in self._along],
        }
        return Source("motion", score, live, detail)

    def _count(self, step: Step) -> None:
        self._steps += 1
        self._turned_deg = max(self._turned_deg, step.turned_deg if step.deep else 0.0)
        self._moving += step.moving
        self._deep += step.deep
        self._flat += step.flat
        if step.flat:
            self._along += step.along


def _due(last: _Glimpse, face: Face, time_s: float) -> bool:
    since_s = time_s - last.time_s
    if since_s < _SHORTEST_S:
        return False
    return since_s >= _LONGEST_S or _motion(last.face, face) >= _MOVED


def _motion(before: Face, now: Face) -> float:
    """See `Step.moved`."""
    moved = math.dist(now.box.center, before.box.center) / before.box.width
    return max(moved, abs(math.log(now.box.area / before.box.area)))


def _glimpse(image: Image, face: Face, time_s: float) -> _Glimpse:
    height, width = image.shape[:2]
    side = max(_CELL_PX, round(_AROUND * max(face.box.width, face.box.height)))
    left, top = (round(middle - side / 2) for middle in face.box.center)
    scale = _SIDE_PX / side
    right, bottom = min(width, left + side), min(height, top + side)
    seen_left, seen_top = max(0, left), max(0, top)
    step = max(1, side // (2 * _SIDE_PX))
    part = np.ascontiguousarray(image[seen_top:bottom:step, seen_left:right:step, 1])
    place = np.array(
        [[scale * step, 0, scale * (seen_left - left)], [0, scale * step, scale * (seen_top - top)]]
    )
    size = (_SIDE_PX, _SIDE_PX)
    near = np.asarray(cv2.warpAffine(part, place, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)
    coarse = max(1, width // _FAR_PX)
    return _Glimpse(
        face=face,
        time_s=time_s,
        near=near,
        near_levels=_levels(near),
        to_near=np.array([[scale, 0, -scale * left], [0, scale, -scale * top], [0, 0, 1]]),
        inside=(
            scale * (seen_left - left) + 2,
            scale * (seen_top - top) + 2,
            scale * (right - left) - 2,
            scale * (bottom - top) - 2,
        ),
        far_levels=_levels(np.ascontiguousarray(image[::coarse, ::coarse, 1])),
        to_far=np.diag([1 / coarse, 1 / coarse, 1.0]),
        frame_px=max(width, height),
    )


def _levels(gray: NDArray[np.uint8]) -> Levels:
    """Freed from noise, and from light that changes."""
    fine = cv2.GaussianBlur(gray.astype(np.float32), (0, 0), 1.2)
    return np.asarray(fine - cv2.blur(fine, (11, 11)), np.float32)


def _compare(last: _Glimpse, now: _Glimpse) -> Step | None:
    """What lies between the two; None where too few points of the face can be followed."""
    turn = _turn(last, now)
    if turn is None:
        return None
    back = np.linalg.inv(last.to_near)
    along, still = _votes(
        (last.near_levels, now.near_levels),
        now.to_near @ turn.homography @ back,
        now.to_near @ back,
    )
    x, y = _centers(along.shape)
    box = _in_near(now)
    across, down = (x - box.center[0]) / box.width, (y - box.center[1]) / box.height
    seen = _inside(now, x, y)
    beside = seen & (down < 0.45)  # below it are shoulders
    places = (
        beside & (across < -0.95),
        beside & (across > 0.95),
        seen & (down < -1.0) & (np.abs(across) <= 0.95),
    )
    back = np.linalg.inv(last.to_far)
    _, rest = _votes(
        (last.far_levels, now.far_levels), now.to_far @ turn.homography @ back, np.eye(3)
    )
    counted = [[int(cells[place].sum()) for place in places] for cells in (along, still)]
    elsewhere = _outside(rest.shape, last) & _outside(rest.shape, now)
    return Step(
        turn.turned_deg,
        turn.error_deg,
        along=(counted[0][0], counted[0][1], counted[0][2]),
        still=(counted[1][0], counted[1][1], counted[1][2]),
        far_still=int(rest[elsewhere].sum()),
        moved=_motion(last.face, now.face),
    )


def _turn(last: _Glimpse, now: _Glimpse) -> Turn | None:
    """Points of the face, followed forth and back (Kalal, Mikolajczyk and Matas, "Forward-backward
    error", ICPR 2010); None where too few can be."""
    scale = float(last.to_near[0, 0])
    box = _in_near(last)
    mask = np.zeros(last.near.shape, np.uint8)
    center = (round(box.center[0]), round(box.center[1]))
    axes = (round(0.62 * box.width), round(0.62 * box.height))
    cv2.ellipse(mask, center, axes, 0, 0, 360, 255, -1)
    mask[~_inside(last, *np.mgrid[:_SIDE_PX, :_SIDE_PX][::-1])] = 0
    start = cv2.goodFeaturesToTrack(last.near, _POINTS, 0.02, _APART_PX, mask=mask, blockSize=5)
    if start is None or len(start) < _POINTS_MIN:
        return None
    flags = cv2.OPTFLOW_USE_INITIAL_FLOW
    end, found, _ = cv2.calcOpticalFlowPyrLK(
        last.near, now.near, start, start.copy(), None, None, _WINDOW, 3, _STOP, flags
    )
    again, back, _ = cv2.calcOpticalFlowPyrLK(
        now.near, last.near, end, start.copy(), None, None, _WINDOW, 1, _STOP, flags
    )
    good = (
        (found[:, 0] > 0) & (back[:, 0] > 0) & (np.abs(again - start).max(axis=(1, 2)) < _BACK_PX)
    )
    good &= _inside(now, *end[:, 0].T)
    if int(good.sum()) < _POINTS_MIN:
        return None
    before = (start[good, 0] - last.to_near[:2, 2]) / scale
    after = (end[good, 0] - now.to_near[:2, 2]) / now.to_near[0, 0]
    return fit_turn(last.face, before, after, last.frame_px)


def _votes(
    pictures: tuple[Levels, Levels], along: NDArray[np.float64], still: NDArray[np.float64]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which cells of the second picture have gone with the face, and which have stayed: those that
    one of the two maps from the first picture explains, and the other one does not."""
    before, now = pictures
    size = (now.shape[1], now.shape[0])
    outside = 1e4
    apart = [
        _cells(np.abs(now - cv2.warpPerspective(before, way, size, borderValue=outside)))
        for way in (along, still)
    ]
    known = (apart[0] < outside / 100) & (apart[1] < outside / 100)
    went = known & (apart[1] > _DIFFERENT) & (apart[0] < _MUCH_BETTER * apart[1])
    stayed = known & (apart[0] > _DIFFERENT) & (apart[1] < _BETTER * apart[0])
    return went, stayed


def _in_near(glimpse: _Glimpse) -> Box:
    """The face's box in the picture of its surroundings."""
    (scale, _, x), (_, _, y), _ = glimpse.to_near
    return glimpse.face.box.scale(float(scale), float(scale)).translate(float(x), float(y))


def _inside(
    glimpse: _Glimpse, x: NDArray[np.floating[Any]], y: NDArray[np.floating[Any]]
) -> NDArray[np.bool_]:
    """Which places of the picture of its surroundings the frame has shown."""
    left, top, right, bottom = glimpse.inside
    return np.asarray((x > left) & (x < right) & (y > top) & (y < bottom), np.bool_)


def _cells(levels: Levels) -> Levels:
    rows, columns = (side // _CELL_PX for side in levels.shape)
    whole = levels[: rows * _CELL_PX, : columns * _CELL_PX]
    return np.asarray(cv2.resize(whole, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)


def _centers(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """x and y of the middles of cells, `(2, rows, columns)`."""
    return (np.mgrid[: shape[0], : shape[1]][::-1] + 0.5) * _CELL_PX


def _outside(shape: tuple[int, ...], glimpse: _Glimpse) -> NDArray[np.bool_]:
    """The cells of the whole frame that are not of the surroundings."""
    x, y = _centers(shape)
    way = glimpse.to_near @ np.linalg.inv(glimpse.to_far)
    near_x, near_y = way[0, 0] * x + way[0, 2], way[1, 1] * y + way[1, 2]
    outside = (near_x < 0) | (near_x > _SIDE_PX) | (near_y < 0) | (near_y > _SIDE_PX)
    return np.asarray(outside, np.bool_)
