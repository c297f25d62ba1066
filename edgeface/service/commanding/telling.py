"""`ping`, `gallery` and `why`: what the device can tell at once."""

from __future__ import annotations

import bisect
import functools
import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import numpy as np

from edgeface.base.clock import Clock, utc_now
from edgeface.contract.answers import GalleryData, PingData, WhyData
from edgeface.contract.codec import dump
from edgeface.contract.command_requests import GalleryQuery, Verb, Why
from edgeface.contract.event import Sighting
from edgeface.contract.report import Lifecycle
from edgeface.recognition.index import GalleryIndex
from edgeface.service.board import Board
from edgeface.service.commanding.admission import CommandRefusedError

_MAX_WHY_BYTES = 48 * 1024
MAX_TRACES: Final = 64
"""Tracks remembered, a few kilobytes each."""


class Traces:
    """The newest decisions, for `why`. Written by the thread of the models, read by that of the
    commands. Gone with the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[int, Sighting] = OrderedDict()

    def note(self, sighting: Sighting) -> None:
        """Remember a decision; it takes the place of an earlier one about the same track."""
        with self._lock:
            self._kept[sighting.track.id] = sighting
            self._kept.move_to_end(sighting.track.id)
            while len(self._kept) > MAX_TRACES:
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


def pong(clock: Clock, lifecycle: Lifecycle, verbs: Sequence[Verb]) -> PingData:
    """The device is there."""
    return PingData(
        lifecycle=lifecycle, clock_synced=clock.synced(), time=utc_now(clock), verbs=tuple(verbs)
    )


def tell_gallery(query: GalleryQuery, board: Board) -> GalleryData:
    """Counts, digest and a page of ids. Raises CommandRefusedError before there is a gallery."""
    index = board.gallery
    if index is None:
        raise CommandRefusedError("not_ready", "the gallery is not yet loaded")
    ids = sorted(index.people)
    start = 0 if query.after is None else bisect.bisect_right(ids, query.after)
    page = tuple(ids[start : start + query.limit])
    more = page and start + len(page) < len(ids)
    return GalleryData(
        source=board.settings.gallery.source,
        epoch=index.epoch,
        revision=index.revision,
        people=len(ids),
        templates=len(index.matrix),
        digest=digest(index),
        space=index.space,
        person_ids=page,
        next=page[-1] if more else None,
    )


@functools.lru_cache(maxsize=1)
def digest(index: GalleryIndex) -> str:
    """SHA-256 over a JSON line `{"id", "templates"}` and the codes of each person, by id.

    The codes (int8, in the order of the index) are got back from the unit rows:
    scaled to 127 and rounded they are what is stored, on every machine. Made once for each index.
    """
    found = hashlib.sha256()
    order = np.argsort(index.owners, kind="stable")
    bounds = np.searchsorted(index.owners[order], np.arange(len(index.people) + 1))
    for person in sorted(range(len(index.people)), key=lambda number: index.people[number]):
        rows = index.matrix[order[bounds[person] : bounds[person + 1]]]
        largest = np.abs(rows).max(axis=1, keepdims=True) if len(rows) else rows[:, :1]
        codes = np.rint(rows * (np.float32(127) / largest)).astype(np.int8)
        found.update(dump({"id": index.people[person], "templates": len(rows)}) + b"\n")
        found.update(codes.tobytes())
    return f"sha256:{found.hexdigest()}"


def explain_track(query: Why, traces: Traces) -> WhyData:
    """A recent decision. Raises CommandRefusedError when it is not remembered."""
    sighting = traces.find(query.track)
    if sighting is None:
        newest = query.track is None
        text = "nothing was decided yet" if newest else f"track {query.track} is not remembered"
        raise CommandRefusedError("not_found", text)
    why = dict(sighting.why or {})
    return WhyData(
        track=sighting.track.id,
        outcome=sighting.event_type,
        captured_at=sighting.captured_at,
        decided_at=sighting.decided_at,
        match=sighting.match,
        quality=sighting.quality,
        faces_in_view=sighting.faces_in_view,
        why=why if len(dump(why)) <= _MAX_WHY_BYTES else {"left_out": "the trace is too long"},
        recent=traces.tracks(),
    )
