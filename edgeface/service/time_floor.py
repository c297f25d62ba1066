"""The effective time for validity windows: never before a time that was surely reached."""

from __future__ import annotations

import contextlib
import logging
import math
from pathlib import Path
from typing import Final

from edgeface.base.clock import NS, Clock
from edgeface.base.errors import StateError
from edgeface.base.files import PUBLIC, write_file

PERSIST_EVERY_S: Final = 300.0
_log = logging.getLogger(__name__)


class TimeFloor:
    """The greater of the system clock and the latest time that was known for sure.

    A Pi has no battery clock and may wake up in the past, where a pass that has expired would be
    good again. Times are remembered in a file only while the kernel trusts its clock, so that a
    clock that was wrong once does not lock everybody out. Written by one thread, the gallery's; any
    may ask for the time.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self.clock: Final = clock
        self._floor_s = _read(path)
        self._persisted_ns: int | None = None

    def raise_to(self, utc_s: float) -> None:
        """Another time that has surely been reached: when a verified manifest was issued."""
        self._floor_s = max(self._floor_s, utc_s)

    def now_s(self) -> float:
        """UTC epoch seconds."""
        return max(self.clock.utc_ns() / NS, self._floor_s)

    def persist(self) -> None:
        """Remember the time if it is trusted and due; call it about once a second."""
        now_ns = self.clock.monotonic_ns()
        last_ns = self._persisted_ns
        if last_ns is not None and now_ns - last_ns < PERSIST_EVERY_S * NS:
            return
        if not self.clock.synced():
            return
        self._persisted_ns = now_ns
        self._floor_s = self.now_s()
        try:
            write_file(self._path, f"{self._floor_s:.0f}\n".encode(), PUBLIC, replace=True)
        except StateError as error:
            _log.warning("the time cannot be remembered: %s", error)


def _read(path: Path) -> float:
    with contextlib.suppress(OSError, ValueError):
        value = float(path.read_text(encoding="ascii"))
        if math.isfinite(value):
            return value
    return 0.0
