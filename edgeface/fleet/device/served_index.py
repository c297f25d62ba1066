"""The index that recognition uses, kept in step with what the device holds."""

from __future__ import annotations

import dataclasses
import time
from typing import Final

from edgeface.fleet.device.index_patch import Served, patched
from edgeface.fleet.protocol.version import Version
from edgeface.gallery.build import index_of
from edgeface.gallery.store import GalleryStore
from edgeface.recognition.index import GalleryIndex

PACE: Final = 20.0
"""While many changes come, building takes at most one in so many parts of the time."""


class ServedIndex:
    """Every index is built aside and then put in the place of the one before, whole."""

    def __init__(self, store: GalleryStore, space: str) -> None:
        self.index = GalleryIndex.empty(space)
        self.damaged: tuple[str, ...] = ()
        """People whose rows did not open when the store was last read."""
        self._store = store
        self._space = space
        self._loaded = False
        self._changes: dict[str, Served | None] = {}
        self._urgent = False
        self._next_s = 0.0

    @property
    def space(self) -> str:
        """Of the embedder in use."""
        return self._space

    def use_space(self, space: str) -> None:
        """Another embedder is in use."""
        if space != self._space:
            self._space = space
            self._loaded = False

    def put(self, person_id: str, change: Served) -> None:
        """Somebody is new or changed."""
        self._changes[person_id] = change

    def remove(self, person_id: str) -> None:
        """Somebody is gone: not one frame more is matched with them than can be helped."""
        self._changes[person_id] = None
        self._urgent = True

    def refresh(self, version: Version, now_s: float, *, usable: bool, idle: bool) -> None:
        """Bring `index` up to date; not at once while there is more to come (not `idle`). Nobody is
        in it while the gallery is not `usable`. Raises what reading the store raises."""
        if not usable:
            self._loaded = False
            if self.index.people or self.index.space != self._space:
                self.index = GalleryIndex.empty(self._space, *version)
        elif not self._loaded:
            contents = self._store.load(self._space)
            self.index = index_of(contents, self._space)
            self.damaged = contents.damaged
            self._loaded = True
            self._done()
        elif self._changes and (idle or self._urgent or now_s >= self._next_s):
            began_s = time.perf_counter()
            self.index = patched(self.index, self._changes, *version)
            self._next_s = now_s + PACE * (time.perf_counter() - began_s)
            self._done()
        elif not self._changes and (self.index.epoch, self.index.revision) != version:
            self.index = dataclasses.replace(
                self.index, epoch=version.epoch, revision=version.revision
            )

    def _done(self) -> None:
        self._changes.clear()
        self._urgent = False
