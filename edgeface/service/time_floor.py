"""The effective time for validity windows: never before a time that was surely reached."""

from __future__ import annotations

import contextlib
import logging
import math
import os
from pathlib import Path
from typing import Final

from edgeface.base.clock import NS, Clock
from edgeface.base.files import sync_folder

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
        self._clock = clock
        self._floor_s = _read(path)
        self._persisted_ns: int | None = None

    def raise_to(self, utc_s: float) -> None:
        """Another time that has surely been reached: when a verified manifest was issued."""
        self._floor_s = max(self._floor_s, utc_s)

    def now_s(self) -> float:
        """UTC epoch seconds."""
        return max(self._clock.utc_ns() / NS, self._floor_s)

    def persist(self) -> None:
        """Remember the time if it is trusted and due; call it about once a second."""
        now_ns = self._clock.monotonic_ns()
        last_ns = self._persisted_ns
        if last_ns is not None and now_ns - last_ns < PERSIST_EVERY_S * NS:
            return
        if not self._clock.synced():
            return
        self._persisted_ns = now_ns
        self._floor_s = self.now_s()
        draft = self._path.with_name(f".{self._path.name}.new")
        try:
            with draft.open("w", encoding="ascii") as file:
                file.write(f"{self._floor_s:.0f}\n")
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            _log.warning("%s: the time cannot be remembered: %s", self._path, error.strerror)


def _read(path: Path) -> float:
    with contextlib.suppress(OSError, ValueError):
        value = float(path.read_text(encoding="ascii"))
        if math.isfinite(value):
            return value
    return 0.0
