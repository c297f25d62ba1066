"""Which face of this frame is which face of the frames before."""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from edgeface.recognition.values import Box, Face

_VELOCITY_GAIN: Final = 0.5
"""Share of a newly measured velocity in the smoothed one."""
_REACH: Final = 1.0
"""How far a face may be from where it was expected, in face sizes, when the boxes do not overlap
enough: a walker at a low frame rate moves by more than their own face."""
_GAP_FRAMES: Final = 2.5
"""One frame without a face ends no track, however slowly frames come."""
_LONGEST_GAP_S: Final = 5.0
"""Who comes later is another visitor."""
_MEASURED: Final = 5
"""Intervals between frames whose median is the rate."""
_MAX_GROWTH: Final = 2.0
"""How much a face may grow or shrink meanwhile."""


@dataclass(frozen=True, slots=True)
class TrackerRules:
    """How faces of successive frames become tracks."""

    min_iou: float = 0.3
    """The least overlap of a face with the track's predicted box."""
    max_gap_s: float = 0.7
    """A track without a face for longer has ended; after `_GAP_FRAMES` where they come seldom."""

    def __post_init__(self) -> None:
        if not 0 < self.min_iou < 1:
            raise ValueError(f"min_iou {self.min_iou} is not between 0 and 1")
        if not self.max_gap_s > 0:
            raise ValueError(f"max_gap_s {self.max_gap_s} is not positive")


@dataclass(frozen=True, slots=True)
class TrackerUpdate:
    """What one frame changed."""

    active: tuple[tuple[int, Face], ...]
    """Track id and face, for every usable face of the frame, in the order of the faces."""
    ended: tuple[int, ...]
    """Tracks that have now ended; each id is given once and never used again."""


@dataclass(slots=True)
class _Track:
    track_id: int
    box: Box
    seen_s: float
    velocity: tuple[float, float] = field(default=(0.0, 0.0))

    def predicted(self, time_s: float) -> Box:
        gap_s = max(0.0, time_s - self.seen_s)
        return self.box.translate(self.velocity[0] * gap_s, self.velocity[1] * gap_s)

    def see(self, box: Box, time_s: float) -> None:
        gap_s = time_s - self.seen_s
        if gap_s > 0:
            (x, y), (old_x, old_y) = box.center, self.box.center
            measured = (x - old_x) / gap_s, (y - old_y) / gap_s
            self.velocity = (
                self.velocity[0] + _VELOCITY_GAIN * (measured[0] - self.velocity[0]),
                self.velocity[1] + _VELOCITY_GAIN * (measured[1] - self.velocity[1]),
            )
            self.seen_s = time_s
        self.box = box


class Tracker:
    """Overlap with a box of constant velocity; the closest pairs first. Not thread-safe.

    Times are seconds on any clock that does not run backwards; a step back counts as no time.
    """

    def __init__(self, rules: TrackerRules | None = None) -> None:
        self._rules = rules or TrackerRules()
        self._tracks: dict[int, _Track] = {}
        self._next_id = 1
        self._frame_s: float | None = None
        self._intervals_s: deque[float] = deque(maxlen=_MEASURED)

    @property
    def interval_s(self) -> float | None:
        """The usual time from frame to frame; None until it is known."""
        if len(self._intervals_s) < _MEASURED:
            return None
        return statistics.median(self._intervals_s)

    def expected(self, time_s: float) -> list[Box]:
        """Where the faces of the tracks ought to be, the one seen last first."""
        latest = sorted(self._tracks.values(), key=lambda track: -track.seen_s)
        return [track.predicted(time_s) for track in latest]

    def expire(self, time_s: float) -> tuple[int, ...]:
        """End the tracks that no frame up to `time_s` has shown for too long; their ids."""
        gap_s = self._rules.max_gap_s
        if self.interval_s is not None:
            gap_s = max(gap_s, min(_GAP_FRAMES * self.interval_s, _LONGEST_GAP_S))
        ended = tuple(
            track.track_id for track in self._tracks.values() if time_s - track.seen_s > gap_s
        )
        for track_id in ended:
            del self._tracks[track_id]
        return ended

    def update(self, faces: list[Face] | tuple[Face, ...], time_s: float) -> TrackerUpdate:
        """Take the faces of one frame. A face whose box is empty or not finite is left out."""
        if self._frame_s is not None:
            self._intervals_s.append(max(0.0, time_s - self._frame_s))
        self._frame_s = time_s
        ended = self.expire(time_s)
        usable = [face for face in faces if _usable(face.box)]
        matched = self._match(usable, time_s)
        active: list[tuple[int, Face]] = []
        for number, face in enumerate(usable):
            track = matched.get(number)
            if track is None:
                track = self._start(face.box, time_s)
            else:
                track.see(face.box, time_s)
            active.append((track.track_id, face))
        return TrackerUpdate(tuple(active), ended)

    def split(self, track_id: int) -> int:
        """End a track because its face is now another person's; the new id takes its place.

        The old id is not reported in `ended`: who splits a track closes it. Raises KeyError when
        there is no such track.
        """
        track = self._tracks.pop(track_id)
        return self._start(track.box, track.seen_s, track.velocity).track_id

    def flush(self) -> tuple[int, ...]:
        """End every track and return their ids."""
        ended = tuple(self._tracks)
        self._tracks.clear()
        return ended

    def _start(self, box: Box, time_s: float, velocity: tuple[float, float] = (0.0, 0.0)) -> _Track:
        track = _Track(self._next_id, box, time_s, velocity)
        self._tracks[track.track_id] = track
        self._next_id += 1
        return track

    def _match(self, faces: list[Face], time_s: float) -> dict[int, _Track]:
        """Number of the face -> its track; overlapping pairs first, then those within reach."""
        pairs: list[tuple[float, int, int]] = []
        for track in self._tracks.values():
            expected = track.predicted(time_s)
            for number, face in enumerate(faces):
                # The last seen place counts too: people stop more abruptly than a velocity does.
                overlap = max(expected.iou(face.box), track.box.iou(face.box))
                if overlap >= self._rules.min_iou:
                    pairs.append((-1.0 - overlap, number, track.track_id))
                elif (distance := _distance(expected, face.box)) <= _REACH:
                    pairs.append((distance, number, track.track_id))
        matched: dict[int, _Track] = {}
        taken: set[int] = set()
        for _, number, track_id in sorted(pairs):
            if number not in matched and track_id not in taken:
                matched[number] = self._tracks[track_id]
                taken.add(track_id)
        return matched


def _usable(box: Box) -> bool:
    sides = (box.left, box.top, box.right, box.bottom)
    return all(map(math.isfinite, sides)) and box.width > 0 and box.height > 0


def _distance(expected: Box, box: Box) -> float:
    """Between the centers, in mean face sizes; infinite when the sizes do not fit."""
    size, other = math.sqrt(expected.area), math.sqrt(box.area)
    if max(size, other) > _MAX_GROWTH * min(size, other):
        return math.inf
    (x, y), (other_x, other_y) = expected.center, box.center
    return math.hypot(x - other_x, y - other_y) / ((size + other) / 2)
