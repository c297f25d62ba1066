"""The gallery as the matcher sees it: one immutable matrix, swapped whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.fusion import fuse_templates
from edgeface.recognition.templates import DIMENSIONS, CodedRows

UnsyncedClock: TypeAlias = Literal["refuse", "allow"]
"""What happens to people with a validity window while the clock is not synchronized."""


@dataclass(frozen=True, slots=True, eq=False)
class GalleryIndex:
    """Every template in use, with the people they belong to, and what of it a probe is compared
    with.

    Its arrays are made read-only. Raises ValueError when they do not fit one another.
    """

    matrix: CodedRows
    """`(n, d)`, unit rows, one a template, coded as they were stored."""
    owners: NDArray[np.int32]
    """int32 `(n,)`: the number of the person whose template the row is."""
    people: tuple[str, ...]
    """Person ids; the place in this tuple is the person's number. p of them."""
    display_names: tuple[str | None, ...]
    """p names, None where there is none."""
    valid_from_s: NDArray[np.float64]
    """float64 `(p,)`, UTC seconds since 1970, inclusive; -inf where there is no bound."""
    valid_to_s: NDArray[np.float64]
    """float64 `(p,)`, UTC seconds since 1970, exclusive; inf where there is no bound."""
    epoch: int
    """Of the fleet manifest it was built from, 0 for a local gallery."""
    revision: int
    """Counts up with every change of the gallery."""
    space: str
    """Space id of the embedder that made the templates; empty for an empty index."""
    compared: CodedRows = field(init=False)
    """`(m, d)`, m <= n: each person's templates that agree as one (`fuse_templates`)."""
    compared_owners: NDArray[np.int32] = field(init=False)
    """int32 `(m,)`: the number of the person of each row of `compared`."""

    def __post_init__(self) -> None:
        rows, persons = len(self.matrix), len(self.people)
        expected: list[tuple[str, NDArray[np.generic], type[np.generic], tuple[int, ...]]] = [
            ("owners", self.owners, np.int32, (rows,)),
            ("valid_from_s", self.valid_from_s, np.float64, (persons,)),
            ("valid_to_s", self.valid_to_s, np.float64, (persons,)),
        ]
        for name, array, dtype, shape in expected:
            if array.dtype != dtype or array.shape != shape:
                raise ValueError(
                    f"index: {name} is {array.dtype} {array.shape}, not {dtype.__name__} {shape}"
                )
            array.setflags(write=False)
        if len(self.display_names) != persons or len(set(self.people)) != persons:
            raise ValueError("index: people are repeated or have no display name entry")
        if rows and not (self.owners.min() >= 0 and self.owners.max() < persons):
            raise ValueError("index: a template has no owner")
        if np.isnan(self.valid_from_s).any() or np.isnan(self.valid_to_s).any():
            raise ValueError("index: a validity bound is not a number")
        compared, compared_owners = fuse_templates(self.matrix, self.owners)
        compared_owners.setflags(write=False)
        object.__setattr__(self, "compared", compared)
        object.__setattr__(self, "compared_owners", compared_owners)

    @classmethod
    def empty(cls, space: str = "", epoch: int = 0, revision: int = 0) -> Self:
        """An index of nobody."""
        return cls(
            matrix=CodedRows(np.zeros((0, DIMENSIONS), dtype=np.int8)),
            owners=np.zeros(0, dtype=np.int32),
            people=(),
            display_names=(),
            valid_from_s=np.zeros(0, dtype=np.float64),
            valid_to_s=np.zeros(0, dtype=np.float64),
            epoch=epoch,
            revision=revision,
            space=space,
        )

    def allowed(
        self, now_utc_s: float, clock_synced: bool, unsynced_clock: UnsyncedClock
    ) -> NDArray[np.bool_]:
        """Bool `(p,)`: the people who may be recognized at `now_utc_s`, the effective time.

        While the clock is not synchronized the effective time is a lower bound of the true one.
        People with a validity window are then refused, or, with "allow", taken as long as the
        window has not surely ended.
        """
        begun = self.valid_from_s <= now_utc_s
        not_ended = now_utc_s < self.valid_to_s
        if clock_synced:
            return np.asarray(begun & not_ended, dtype=np.bool_)
        if unsynced_clock == "allow":
            return np.asarray(not_ended, dtype=np.bool_)
        return np.asarray(np.isneginf(self.valid_from_s) & np.isposinf(self.valid_to_s), np.bool_)

    def templates_allowed(self, mask: NDArray[np.bool_]) -> int:
        """How many rows of `compared` belong to the people of `mask`, bool `(p,)`."""
        return int(np.count_nonzero(mask[self.compared_owners])) if len(self.owners) else 0

    def templates_of(self, person_id: str) -> NDArray[np.int64]:
        """int64 `(k,)`: the rows of one person; empty for somebody who is not in the gallery."""
        if person_id not in self.people:
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(self.owners == self.people.index(person_id)).astype(np.int64)
