"""People on their way from the file's rows into an index."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeface.gallery.person import Person
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.templates import CodedRows


class IndexRows:
    """Those whose templates have `dimensions` numbers each; memory grows with the codes alone."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.ids: list[str] = []
        self._names: list[str | None] = []
        self._valid_from_s, self._valid_to_s, self._counts = array("d"), array("d"), array("i")
        # What it grows by is not touched, so not resident, before it is used.
        self._codes = bytearray()

    def add(self, person: Person, packed: NDArray[Any]) -> None:
        """Somebody with the structured rows of `packed_templates`."""
        self.ids.append(person.person_id)
        self._names.append(person.display_name)
        self._valid_from_s.append(person.valid_from_s)
        self._valid_to_s.append(person.valid_to_s)
        self._counts.append(len(packed))
        self._codes += packed["codes"].tobytes()

    def index(self, space: str, epoch: int, revision: int) -> GalleryIndex:
        """Everybody so far."""
        codes = np.frombuffer(self._codes, dtype=np.int8).reshape(-1, self.dimensions)
        numbers = np.arange(len(self.ids), dtype=np.int32)
        return GalleryIndex(
            matrix=CodedRows(codes),
            owners=np.repeat(numbers, np.array(self._counts, np.int32)),
            people=tuple(self.ids),
            display_names=tuple(self._names),
            valid_from_s=np.array(self._valid_from_s, dtype=np.float64),
            valid_to_s=np.array(self._valid_to_s, dtype=np.float64),
            epoch=epoch,
            revision=revision,
            space=space,
        )
