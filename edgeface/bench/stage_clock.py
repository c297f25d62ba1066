"""Where the time of a frame goes: nested stages, each with what it spent itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeface.inference.runtimes import Interpreter


@dataclass(slots=True)
class _Open:
    started_s: float
    inside_s: float = 0.0
    """Spent in stages within this one."""


class StageClock:
    """Adds up the time of named stages, frame by frame. One thread uses it.

    A stage within another counts for itself only: `detect` is the detector without the `invoke`
    inside it. Time is the thread's processor time, on which other work of the machine has little
    influence; what waits, or runs in other threads, is not in it.
    """

    def __init__(self, frames: int = 1000, now_s: Callable[[], float] = time.thread_time) -> None:
        """Room for `frames` is made beforehand, so that counting does not look like a leak."""
        self.now_s = now_s
        self._open: list[_Open] = []
        self._frame: dict[str, float] = {}
        self._room = frames
        self._spent_s: dict[str, NDArray[np.float64]] = {}
        self.frames = 0
        """How many frames were closed."""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block for `name`, less what stages within it take."""
        entry = _Open(self.now_s())
        self._open.append(entry)
        try:
            yield
        finally:
            spent_s = self.now_s() - entry.started_s
            self._open.pop()
            if self._open:
                self._open[-1].inside_s += spent_s
            self._frame[name] = self._frame.get(name, 0.0) + spent_s - entry.inside_s

    def end_frame(self) -> None:
        """Close the account of this frame."""
        if self.frames == self._room:
            self._room *= 2
            for name, spent_s in self._spent_s.items():
                self._spent_s[name] = np.concatenate([spent_s, np.full(self.frames, 0.0)])
        for name, value_s in self._frame.items():
            if name not in self._spent_s:
                self._spent_s[name] = np.full(self._room, 0.0)
            self._spent_s[name][self.frames] = value_s
        self._frame.clear()
        self.frames += 1

    def forget(self) -> None:
        """Start anew, after a warm-up."""
        for spent_s in self._spent_s.values():
            spent_s[:] = 0.0
        self._frame.clear()
        self.frames = 0

    def names(self) -> list[str]:
        """All stages seen, in the order of their first end."""
        return list(self._spent_s)

    def per_frame_ms(self, *names: str) -> NDArray[np.float64]:
        """Milliseconds of these stages together in each frame, `(frames,)`."""
        total = np.zeros(self.frames)
        for name in names:
            if name in self._spent_s:
                total += self._spent_s[name][: self.frames] * 1e3
        return total


class MeteredInterpreter:
    """An interpreter whose invocations are a stage of their own; all else is that of `inner`."""

    def __init__(self, inner: Interpreter, clock: StageClock, stage: str) -> None:
        self._inner = inner
        self._clock = clock
        self._stage = stage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def invoke(self) -> None:
        """As the interpreter, timed."""
        with self._clock.stage(self._stage):
            self._inner.invoke()
