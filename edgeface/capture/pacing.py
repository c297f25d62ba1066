"""When recorded frames are due, so that a file behaves like a camera."""

from __future__ import annotations

from typing import Literal

from edgeface.base.clock import NS, Clock, Stamp, stamp_at
from edgeface.base.errors import FrameTimeoutError

RESTING_S = 0.2
"""A camera at rest shows who comes within so long."""
MOST_BEHIND_S = 1.0
"""How much is dropped at once at most; beyond that the schedule is moved instead."""


def frames_at_rest(fps: float) -> int:
    """Of so many frames in a row one is enough while nobody is there."""
    return max(1, int(RESTING_S * fps))


class Pacer:
    """Frame `n` is due at `start + n / fps` on CLOCK_BOOTTIME.

    `late="drop"`: frames whose time is over are skipped, as a live camera would have moved on.
    `late="slip"`: every frame is delivered, and a slow reader moves the schedule.
    """

    def __init__(self, clock: Clock, fps: float, late: Literal["drop", "slip"]) -> None:
        if not fps > 0:
            raise ValueError(f"fps must be positive, not {fps}")
        self._clock = clock
        self._fps = fps
        self._late = late
        self._start_ns = 0
        self._next = 0

    def start(self, first: int = 0) -> None:
        """Frame number `first` is due now."""
        self._next = first
        self._start_ns = self._clock.boottime_ns() - round(first * NS / self._fps)

    def take(self, timeout_s: float) -> tuple[int, Stamp]:
        """Number and due time of the next frame, after waiting for it.

        Raises FrameTimeoutError when it is due only after `timeout_s`; the frame stays the next.
        """
        self._catch_up()
        wait_s = (self._due_ns(self._next) - self._clock.boottime_ns()) / NS
        if wait_s > timeout_s:
            self._clock.sleep(timeout_s)
            raise FrameTimeoutError(f"no frame within {timeout_s:g} s")
        self._clock.sleep(wait_s)
        number = self._next
        self._next += 1
        return number, stamp_at(self._clock, self._due_ns(number))

    def _due_ns(self, number: int) -> int:
        return self._start_ns + round(number * NS / self._fps)

    def _catch_up(self) -> None:
        """Skip or slip what a slow reader left behind; up to one frame period is no lateness."""
        now_ns = self._clock.boottime_ns()
        behind = int((now_ns - self._due_ns(self._next)) * self._fps / NS)
        if behind < 1:
            return
        if self._late == "slip":
            self.start(self._next)
            return
        number = self._next + min(behind, max(1, round(MOST_BEHIND_S * self._fps)))
        if behind > MOST_BEHIND_S * self._fps:
            self.start(number)
        self._next = number
