"""The effective time for validity windows: never before a time that was surely reached."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edgeface.base.clock import NS, Clock
from edgeface.base.errors import StateError
from edgeface.base.files import PUBLIC, write_file

PERSIST_EVERY_S: Final = 300.0
BEYOND_S: Final = 86_400.0
"""A synchronized clock is believed more than a floor that lies further ahead."""
LATEST_S: Final = 4_102_444_800.0
"""2100-01-01: no such file was written later."""
_log = logging.getLogger(__name__)


class TimeFloor:
    """The greater of the system clock and the latest time that was known for sure.

    A Pi has no battery clock and may wake up in the past, where a pass that has expired would be
    good again. Times are remembered in a file only while the kernel trusts its clock, so that a
    clock that was wrong once does not lock everybody out; one that lies more than a day beyond a
    clock that is trusted now was wrong, and is given up. Written by one thread, the gallery's; any
    may ask for the time.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self.clock: Final = clock
        self._floor_s, self.trouble = _read(path)
        """The second: why the remembered time does not count, and what to do; None when it does."""
        self._persisted_ns: int | None = None
        if self.trouble is not None:
            _log.error("%s", self.trouble)

    def raise_to(self, utc_s: float) -> None:
        """Another time that has surely been reached: when a verified manifest was issued."""
        self._floor_s = max(self._floor_s, utc_s)

    def synced_s(self) -> float | None:
        """The system clock, UTC epoch seconds, while the kernel trusts it."""
        return self.clock.utc_ns() / NS if self.clock.synced() else None

    def now_s(self) -> float:
        """UTC epoch seconds."""
        system_s, floor_s = self.clock.utc_ns() / NS, self._floor_s
        if floor_s > system_s + BEYOND_S and self.clock.synced():
            self._floor_s = system_s
            self._persisted_ns = None
            _log.error(
                "%s: %s lies beyond the synchronized clock, which says %s; the clock is believed. "
                "If it is the clock that is wrong, see to its time source",
                self._path,
                _text(floor_s),
                _text(system_s),
            )
        return max(system_s, self._floor_s)

    def persist(self) -> None:
        """Remember the time if it is trusted and due; call it about once a second."""
        self.now_s()
        now_ns = self.clock.monotonic_ns()
        last_ns = self._persisted_ns
        if last_ns is not None and now_ns - last_ns < PERSIST_EVERY_S * NS:
            return
        if not self.clock.synced():
            return
        self._persisted_ns = now_ns
        self._floor_s = self.now_s()
        try:
            text = f"{self._floor_s:.0f}"
            content = f"{text} {_digest(text)}\n".encode()
            write_file(self._path, content, PUBLIC, replace=True)
            self.trouble = None
        except StateError as error:
            _log.warning("the time cannot be remembered: %s", error)


def _read(path: Path) -> tuple[float, str | None]:
    """The time, and what is wrong with the file. One from before has no digest."""
    try:
        text, *digests = path.read_text(encoding="ascii").split()
        if digests in ([], [_digest(text)]) and 0 <= (found := float(text)) < LATEST_S:
            return found, None
    except FileNotFoundError:
        return 0.0, None
    except (OSError, ValueError):
        pass
    return 0.0, (
        f"{path}: damaged, so the latest time that was reached is not known; it is written anew "
        "once the clock is synchronized, until then the system clock alone counts"
    )


def _digest(text: str) -> str:
    return hashlib.sha256(f"edgeface time {text}".encode()).hexdigest()[:16]


def _text(utc_s: float) -> str:
    return f"{datetime.fromtimestamp(min(utc_s, LATEST_S), UTC):%Y-%m-%d %H:%M} UTC"
