"""The index that recognition uses, kept in step with what the device holds."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from itertools import compress
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeface.fleet.protocol.terms import RefusedError, Version
from edgeface.gallery.person import Person, StoredTemplate, dimensions_of
from edgeface.gallery.store import GalleryStore
from edgeface.recognition.index import GalleryIndex

PACE: Final = 20.0
"""While many changes come, building takes at most one in so many parts of the time."""

Served: TypeAlias = tuple[Person, tuple[StoredTemplate, ...]]
"""Somebody with their templates in the index's space."""


class ServedIndex:
    """Every index is built aside and then put in the place of the one before, whole."""

    def __init__(self, store: GalleryStore, space: str, dimensions: int) -> None:
        self.index = GalleryIndex.empty(space)
        self.damaged: tuple[str, ...] = ()
        """People whose rows did not open when the store was last read."""
        self.loads = 0
        """How often it was read."""
        self._store = store
        self.space = space
        """Of the embedder in use; `use_space` changes it."""
        self._dimensions = dimensions
        self._loaded = False
        self._changes: dict[str, Served | None] = {}
        self._urgent = False
        self._next_s = 0.0

    def use_space(self, space: str, dimensions: int) -> None:
        """Another embedder is in use; the index follows with the next `refresh`."""
        if space != self.space:
            self.space, self._dimensions = space, dimensions
            self._loaded = False

    def check(self, templates: Mapping[str, tuple[StoredTemplate, ...]]) -> None:
        """Raises RefusedError for templates of the index's space that its embedder cannot have
        made: they would not be comparable."""
        numbers = dimensions_of(templates.get(self.space, ()))
        if numbers not in (None, self._dimensions):
            raise RefusedError(
                "malformed",
                f"templates of {numbers} numbers, the embedder's have {self._dimensions}",
            )

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
            if self.index.people or self.index.space != self.space:
                self.index = GalleryIndex.empty(self.space, *version)
        elif not self._loaded:
            self.index, self.damaged = self._store.load(self.space, self._dimensions)
            self._loaded = True
            self.loads += 1
            self._done()
        elif self._changes and (idle or self._urgent or now_s >= self._next_s):
            began_s = time.perf_counter()
            self.index = _patched(self.index, self._changes, self._dimensions, version)
            self._next_s = now_s + PACE * (time.perf_counter() - began_s)
            self._done()
        elif not self._changes and (self.index.epoch, self.index.revision) != version:
            self.index = dataclasses.replace(
                self.index, epoch=version.epoch, revision=version.revision
            )

    def _done(self) -> None:
        self._changes.clear()
        self._urgent = False


def _patched(
    index: GalleryIndex, changes: Mapping[str, Served | None], dimensions: int, version: Version
) -> GalleryIndex:
    """`index` without everybody in `changes`, and with those who have templates there at the end;
    None or no template means gone. It shares no memory with `index`."""
    kept = np.array([person_id not in changes for person_id in index.people], dtype=np.bool_)
    kept_rows, kept_people = kept[index.owners], int(kept.sum())
    added = [change for change in changes.values() if change is not None and change[1]]
    counts = [len(templates) for _, templates in added]
    codes = np.empty((sum(counts), dimensions), dtype=np.int8)
    for row, item in enumerate(item for _, templates in added for item in templates):
        codes[row] = item.template.codes
    numbers = (np.cumsum(kept) - 1).astype(np.int32)
    new_numbers = np.arange(kept_people, kept_people + len(added), dtype=np.int32)
    people = [person for person, _ in added]
    return GalleryIndex(
        matrix=index.matrix.changed(kept_rows, codes),
        owners=np.concatenate([numbers[index.owners[kept_rows]], np.repeat(new_numbers, counts)]),
        people=(
            *compress(index.people, kept),
            *(person.person_id for person in people),
        ),
        display_names=(
            *compress(index.display_names, kept),
            *(person.display_name for person in people),
        ),
        valid_from_s=_times(index.valid_from_s[kept], [p.valid_from_s for p in people]),
        valid_to_s=_times(index.valid_to_s[kept], [p.valid_to_s for p in people]),
        epoch=version.epoch,
        revision=version.revision,
        space=index.space,
    )


def _times(kept: NDArray[np.float64], added: list[float]) -> NDArray[np.float64]:
    return np.concatenate([kept, np.array(added, dtype=np.float64)])
