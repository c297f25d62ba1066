"""The next index from the one before and what has changed, without reading the whole store."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeface.gallery.person import Person, StoredTemplate
from edgeface.recognition.coded_rows import CodedRows
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.templates import DIMENSIONS

Served: TypeAlias = tuple[Person, tuple[StoredTemplate, ...]]
"""Somebody with their templates in the index's space."""


def patched(
    index: GalleryIndex, changes: Mapping[str, Served | None], epoch: int, revision: int
) -> GalleryIndex:
    """`index` without everybody in `changes`, and with those who have templates there at the end;
    None or no template means gone. It shares no memory with `index`."""
    kept = np.array([person_id not in changes for person_id in index.people], dtype=np.bool_)
    kept_rows, kept_people = kept[index.owners], int(kept.sum())
    added = [change for change in changes.values() if change is not None and change[1]]
    counts = [len(templates) for _, templates in added]
    codes = np.empty((sum(counts), DIMENSIONS), dtype=np.int8)
    for row, item in enumerate(item for _, templates in added for item in templates):
        codes[row] = item.template.codes
    if not isinstance(index.matrix, CodedRows):
        raise TypeError("the index was not built from stored codes")
    numbers = (np.cumsum(kept) - 1).astype(np.int32)
    new_numbers = np.arange(kept_people, kept_people + len(added), dtype=np.int32)
    people = [person for person, _ in added]
    return GalleryIndex(
        matrix=index.matrix.changed(kept_rows, codes),
        owners=np.concatenate([numbers[index.owners[kept_rows]], np.repeat(new_numbers, counts)]),
        people=(
            *(name for name, keep in zip(index.people, kept, strict=True) if keep),
            *(person.person_id for person in people),
        ),
        display_names=(
            *(name for name, keep in zip(index.display_names, kept, strict=True) if keep),
            *(person.display_name for person in people),
        ),
        valid_from_s=_times(index.valid_from_s[kept], [p.valid_from_s for p in people]),
        valid_to_s=_times(index.valid_to_s[kept], [p.valid_to_s for p in people]),
        epoch=epoch,
        revision=revision,
        space=index.space,
    )


def _times(kept: NDArray[np.float64], added: list[float]) -> NDArray[np.float64]:
    return np.concatenate([kept, np.array(added, dtype=np.float64)])
