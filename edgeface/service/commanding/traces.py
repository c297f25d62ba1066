"""The newest decisions with their traces, for `why`."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from edgeface.contract.event import Sighting

MAX_TRACES: Final = 64
"""Tracks remembered, a few kilobytes each."""


class Traces:
    """Written by the thread of the models, read by that of the commands. Gone with the process."""

    def __init__(self, limit: int = MAX_TRACES) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Sighting] = OrderedDict()

    def note(self, sighting: Sighting) -> None:
        """Remember a decision; it takes the place of an earlier one about the same track."""
        with self._lock:
            self._kept[sighting.track.id] = sighting
            self._kept.move_to_end(sighting.track.id)
            while len(self._kept) > self._limit:
                self._kept.popitem(last=False)

    def find(self, track: int | None) -> Sighting | None:
        """The decision about a track, or the newest one; None when it is not remembered."""
        with self._lock:
            if track is None:
                return next(reversed(self._kept.values()), None)
            return self._kept.get(track)

    def tracks(self) -> tuple[int, ...]:
        """The tracks that are remembered, newest first."""
        with self._lock:
            return tuple(reversed(self._kept))
