"""From the store to the immutable index that recognition uses, and noticing when it is outdated."""

from __future__ import annotations

import logging

from edgeface.gallery.store import GalleryStore, Position
from edgeface.recognition.index import GalleryIndex

_log = logging.getLogger(__name__)


def build_index(store: GalleryStore, space: str) -> GalleryIndex:
    """The index of everyone with templates in `space`.

    People whose rows do not open are left out and logged by id. Raises GalleryCorruptError or
    StateError when the file cannot be read.
    """
    index, damaged = store.load(space)
    for person_id in damaged:
        _log.error(
            "%s: the stored data of %s are damaged; the person is not recognised until enrolled "
            "again or imported from an export",
            store.path,
            person_id,
        )
    return index


class GalleryWatch:
    """Tells a running daemon of changes that any process made to the gallery.

    Poll it from one thread, about once a second; a poll that finds nothing new costs some
    microseconds. The index is built aside; the caller swaps it in whole.
    """

    def __init__(self, store: GalleryStore, space: str) -> None:
        self._store = store
        self._space = space
        self._stamp: tuple[int, ...] | None = None
        self._position: Position | None = None

    def poll(self) -> GalleryIndex | None:
        """A new index when the gallery is not as at the last call (always the first time).

        Raises GalleryCorruptError, GalleryError or StateError; the caller then goes on with the
        index it has, and the next poll tries again.
        """
        stamp = self._store.stamp()
        if stamp == self._stamp:
            return None
        position = self._store.position()
        if position == self._position and stamp[:2] == (self._stamp or ())[:2]:
            self._stamp = stamp
            return None
        index = build_index(self._store, self._space)
        # Taken before the index was built: a change in between is seen by the next poll.
        self._stamp, self._position = stamp, position
        return index
