"""Signals as a queue: a handler only notes the signal, the main thread does the work."""

from __future__ import annotations

import queue
import signal
from types import FrameType
from typing import Any, Final, Self

HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class SignalQueue:
    """Context manager that catches SIGTERM, SIGINT and SIGHUP; the old handlers come back after.

    Used by the main thread alone.
    """

    def __init__(self) -> None:
        # SimpleQueue may be entered again from a signal handler; queue.Queue may not.
        self._queue: queue.SimpleQueue[signal.Signals] = queue.SimpleQueue()
        self._before: dict[signal.Signals, Any] = {}
        self.ending = False
        """SIGTERM or SIGINT has come, whether or not it was taken out yet."""

    def __enter__(self) -> Self:
        for number in HANDLED:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def get(self, timeout_s: float) -> signal.Signals | None:
        """The next signal, waiting for one at most `timeout_s`; None when there was none."""
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.ending |= number in (signal.SIGTERM, signal.SIGINT)
        self._queue.put(signal.Signals(number))
