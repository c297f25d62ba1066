"""Notices what a camera's pictures suffer from: frozen, covered, out of focus, hung elsewhere."""

from __future__ import annotations

import math
import zlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from edgeface.recognition.values import Box, Image
from edgeface.recognition.view import (
    Fit,
    Gray,
    GrayMean,
    blurred,
    changed_cells,
    edge_width_px,
    fit,
    half_gray,
    is_black,
    lost_structure,
    small_gray,
)

LOOK_S: Final = 1.0
"""From one look to the next; each costs a millisecond or two."""
COVERED_S: Final = 3.0
SUDDEN_S: Final = 60.0
"""What was lit within so long before it is black has not become night."""
LIT: Final = 40.0
"""A mean from which on a picture is lit."""
DEFOCUSED_S: Final = 180.0
MOVED_S: Final = 120.0
LEARN_S: Final = 120.0
"""So much undisturbed picture makes a view."""
ACCEPT_S: Final = 86_400.0
"""A place that was seen for so long is the camera's place."""
OTHER_LIGHT_S: Final = 3600.0
"""What was seen for so long before the first view was back is the same place in another light."""
VIEWS_MAX: Final = 4
_ELSEWHERE_EVERY_S: Final = 600.0

_RECENT: Final = 0.05
_FOLLOW: Final = 1e-4
_SHARPER: Final = 0.02
"""Shares of a look in the recent picture, in the view, and in the view's sharpness as it grows."""
_LOOKS_MIN: Final = 30
_KNOWN_MIN: Final = 0.8
"""So much of the picture has to have been seen still."""
_AROUND: Final = 0.5
"""How far beyond its box a face is left out, in its sizes: its head."""
_FITS: Final = 0.35
_BETTER: Final = 0.2
_SHIFT_CELLS: Final = 2.0
"""In another light the correlation stays above the first, and a shift raises it by less than the
second; in another place not."""
_WIDER: Final = 1.6
_WIDER_PX: Final = 0.6
"""Edges so many times as wide, and by so much wider, are out of focus."""
_EDGES_EVERY: Final = 10
"""Looks from one at the edges to the next."""


@dataclass(frozen=True, slots=True, eq=False)
class CameraView:
    """What a camera sees where it hangs: tiny, blurred, averaged over long, without faces."""

    pictures: tuple[Gray, ...]
    """Small pictures of one size in different lights."""
    edge_px: float | None
    """How wide the edges are, in pixels of half the frame; None where there are too few."""


@dataclass(frozen=True, slots=True)
class Troubles:
    """What is wrong with the picture, in words; None where nothing is."""

    covered: str | None = None
    defocused: str | None = None
    moved: str | None = None


class FrozenWatch:
    """Notices pictures that are equal to the last bit: a sensor's noise makes each one differ."""

    def __init__(self, after_s: float) -> None:
        self._after_s = after_s
        self._sample: Image | None = None
        self._sum: int | None = None
        """Of the last picture; None where its sample was another one already."""
        self._since_s = 0.0

    def trouble(self, image: Image, time_s: float) -> str | None:
        """Take the next frame, BGR `(h, w, 3)`; what is wrong, in words."""
        equal = self._equal(image)
        if equal is False:
            self._since_s = time_s
        if not equal or time_s - self._since_s < self._after_s:
            return None
        return (
            "the picture is frozen, equal to the one before to the last bit: nobody is looked for "
            "in it; disconnect the camera and connect it again"
        )

    def _equal(self, image: Image) -> bool | None:
        """Whether it is the last one, of which no copy is kept: a few pixels suffice nearly always
        to tell that it is not, and else checksums do; None for the first of them."""
        sample, before = image[::16, ::16].copy(), self._sample
        self._sample = sample
        if before is None or not np.array_equal(sample, before):
            self._sum = None
            return False
        last, self._sum = self._sum, zlib.crc32(image.tobytes())
        return None if last is None else last == self._sum


class _Since:
    """How long something has been so without a break."""

    def __init__(self) -> None:
        self._from_s: float | None = None

    def so(self, now: bool | None, time_s: float) -> float:
        """Seconds up to `time_s`; None: it cannot be seen now, and nothing changes."""
        if now is False:
            self._from_s = None
        elif now and self._from_s is None:
            self._from_s = time_s
        return 0.0 if self._from_s is None else time_s - self._from_s


class _Recent:
    """The last half minute of what is still in the picture."""

    def __init__(self, small: Gray, image: Image) -> None:
        self.mean: GrayMean = np.full(small.shape, small.mean(), np.float32)
        """Of cells that were never still, or always a face, the first picture's mean."""
        self.looks = 0
        """Those in which most of it was still."""
        self.edge_px: float | None = None
        self._last: GrayMean = small.astype(np.float32)
        self._half: GrayMean = half_gray(image).astype(np.float32)
        self._seen = np.zeros(small.shape, np.bool_)

    @property
    def known(self) -> bool:
        """Whether enough was seen to say something of it."""
        return self.looks >= _LOOKS_MIN and float(self._seen.mean()) >= _KNOWN_MIN

    def add(self, small: Gray, image: Image, faces: Sequence[Box]) -> None:
        """Take a look: only what is as it was a look ago, and is no face."""
        now = small.astype(np.float32)
        still = ~changed_cells(now, self._last)
        self._last = now
        scale = now.shape[1] / image.shape[1]
        for box in faces:
            around = _AROUND * max(box.width, box.height)
            left, top = (max(0, int((at - around) * scale)) for at in (box.left, box.top))
            right, bottom = ((at + around) * scale for at in (box.right, box.bottom))
            still[top : max(0, math.ceil(bottom)), left : max(0, math.ceil(right))] = False
        cells = still.astype(np.uint8)
        first = still & ~self._seen
        self.mean[first] = now[first]
        self._seen |= still
        cv2.accumulateWeighted(now, self.mean, _RECENT, cells)
        half = half_gray(image)
        pixels = cv2.resize(cells, half.shape[::-1], interpolation=cv2.INTER_NEAREST)
        cv2.accumulateWeighted(half, self._half, _RECENT, pixels)
        self.looks += bool(still.mean() > 0.5)
        if self.looks % _EDGES_EVERY == 0:
            self.edge_px = edge_width_px(self._half)


class SceneWatch:
    """Looks at frames about once a second. Not thread-safe.

    A view is learned in the first minutes and then followed slowly, while nothing is wrong. After a
    move the new view is taken for good when it has been there for a day; when the old one is back
    after an hour or more, what was seen between is kept as the same place in another light.
    """

    def __init__(self, view: CameraView | None = None) -> None:
        self._means: list[GrayMean] = []
        self._edge_px: float | None = None
        if view is not None:
            self._means = [picture.astype(np.float32) for picture in view.pictures]
            self._edge_px = view.edge_px
        self._due_s = -math.inf
        self._recent: _Recent | None = None
        self._elsewhere: deque[GrayMean] = deque(maxlen=2)
        """What was seen while it was no view of this place; the older one is of before the end."""
        self._elsewhere_due_s = -math.inf
        self._lit_s: float | None = None
        self._night = False
        self._covered, self._defocused, self._moved = _Since(), _Since(), _Since()
        self.troubles = Troubles()
        """As of the last look."""

    @property
    def view(self) -> CameraView | None:
        """To be kept; None before there is one."""
        if not self._means:
            return None
        pictures = tuple(np.rint(mean).astype(np.uint8) for mean in self._means)
        return CameraView(pictures, self._edge_px)

    def look(self, image: Image, faces: Sequence[Box], time_s: float) -> bool:
        """Look at a frame when it is time; whether there is another view to be kept.

        `image` is BGR `(h, w, 3)`, `faces` are boxes in its pixels, `time_s` is of any clock.
        """
        if time_s < self._due_s:
            return False
        self._due_s = time_s + LOOK_S
        small = small_gray(image)
        if self._recent is None or self._recent.mean.shape != small.shape:
            self._recent = _Recent(small, image)
            self._means = [mean for mean in self._means if mean.shape == small.shape]
        black = is_black(small)
        flat = any(lost_structure(small, mean) for mean in self._means)
        covered = self._look_covered(small, black, flat, time_s)
        self.troubles = replace(self.troubles, covered=covered)
        if black or flat:  # it says nothing of the place
            return False
        self._recent.add(small, image, faces)
        return self._recent.known and self._look_at_place(self._recent, time_s)

    def _look_covered(self, small: Gray, black: bool, flat: bool, time_s: float) -> str | None:
        lit = float(small.mean()) >= LIT
        if not (black or flat):
            if lit:
                self._lit_s = time_s
            # Night falls slowly; a lens is covered, and a light is put out, at once.
            self._night = self._lit_s is not None and time_s - self._lit_s > SUDDEN_S
        covered = (black or flat) and (lit or not self._night)
        if self._covered.so(covered, time_s) < COVERED_S:
            return None
        return (
            f"the picture is {'black' if black else 'without any structure'}: the lens is covered, "
            "or there is no light; uncover it, or light the place"
        )

    def _look_at_place(self, recent: _Recent, time_s: float) -> bool:
        """Whether the view has become another one."""
        if not self._means:
            return recent.looks * LOOK_S >= LEARN_S and self._take(recent)
        fits = [found for mean in self._means if (found := fit(recent.mean, mean)) is not None]
        away = all(map(_is_elsewhere, fits)) if fits else None
        before_s = self._moved.so(None, time_s)
        moved_s = self._moved.so(away, time_s)
        if moved_s >= ACCEPT_S:
            return self._take(recent)
        if away and time_s >= self._elsewhere_due_s:
            self._elsewhere.append(recent.mean.copy())
            self._elsewhere_due_s = time_s + _ELSEWHERE_EVERY_S
        moved = moved_s >= MOVED_S
        wide = None if moved else self._is_wide(recent)
        defocused = self._defocused.so(wide, time_s) >= DEFOCUSED_S
        self.troubles = Troubles(
            self.troubles.covered, _DEFOCUSED if defocused else None, _MOVED if moved else None
        )
        if away is False and self._elsewhere:
            other = self._elsewhere[0]
            self._elsewhere.clear()
            if before_s >= OTHER_LIGHT_S:
                del self._means[1 : len(self._means) - VIEWS_MAX + 2]
                self._means.append(other)
                return True
        if away is False and not wide:
            self._follow(recent, [found.here for found in fits])
        return False

    def _is_wide(self, recent: _Recent) -> bool | None:
        if recent.edge_px is None or self._edge_px is None:
            return None
        return recent.edge_px > max(_WIDER * self._edge_px, self._edge_px + _WIDER_PX)

    def _take(self, recent: _Recent) -> bool:
        """This place for good."""
        self._means, self._edge_px = [blurred(recent.mean, 1.0)], recent.edge_px
        self._defocused, self._moved = _Since(), _Since()
        self._elsewhere.clear()
        self.troubles = Troubles(self.troubles.covered)
        return True

    def _follow(self, recent: _Recent, fits: Sequence[float]) -> None:
        if len(fits) == len(self._means):
            mean = self._means[int(np.argmax(fits))]
            mean += np.float32(_FOLLOW) * (recent.mean - mean)
        if recent.edge_px is not None:
            before_px = recent.edge_px if self._edge_px is None else self._edge_px
            share = _SHARPER if recent.edge_px < before_px else _FOLLOW
            self._edge_px = before_px + share * (recent.edge_px - before_px)


_DEFOCUSED: Final = (
    "the picture is out of focus: its edges have become much wider than they were; clean the lens "
    "and focus it"
)
_MOVED: Final = (
    "the camera sees another place than before: it was moved or turned, or much was put before it; "
    "hang it as it was, or delete the file view in the state folder so that this place is its own"
)


def _is_elsewhere(found: Fit) -> bool:
    shifted = found.shift_cells >= _SHIFT_CELLS and found.best > found.here + _BETTER
    return found.here < _FITS or shifted
