"""The gallery held against the manifest, bucket by bucket."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from edgeface.fleet.protocol.bucket import Entry, bucket_number
from edgeface.fleet.protocol.manifest import NOBODY

_UNKNOWN: Final = b""


class Comparison:
    """What differs. A bucket is *open* once its entries are known and until all of its records are
    held."""

    def __init__(self, held: Sequence[bytes]) -> None:
        """`held` are the digests that a manifest of exactly the people held would list."""
        self._held = list(held)
        self._wanted: tuple[bytes, ...] = (NOBODY,) * len(self._held)
        self._differing: set[int] = set()
        self._missing: dict[int, dict[str, Entry]] = {}
        self._opened: dict[int, bytes] = {}

    def begin(self, wanted: tuple[bytes, ...]) -> None:
        """There is a new manifest, with these digests."""
        self._wanted = wanted
        self._differing = {
            number for number, digest in enumerate(wanted) if self._held[number] != digest
        }
        for number in [n for n, digest in self._opened.items() if wanted[n] != digest]:
            del self._opened[number], self._missing[number]

    @property
    def numbers(self) -> range:
        """Of all buckets."""
        return range(len(self._wanted))

    def digest(self, number: int) -> bytes:
        """What the manifest lists."""
        return self._wanted[number]

    def unread(self) -> list[int]:
        """Buckets that differ and whose entries are not known."""
        return sorted(self._differing - self._opened.keys())

    def is_unread(self, number: int) -> bool:
        """Whether this bucket is one of them."""
        return number in self._differing and number not in self._opened

    def doubt(self, person_id: str) -> None:
        """What is held of this person cannot be used: the bucket has to be read again."""
        number = bucket_number(person_id)
        self._held[number] = _UNKNOWN
        self._opened.pop(number, None)
        self._missing.pop(number, None)
        if self._wanted[number] != NOBODY:
            self._differing.add(number)

    def open(self, number: int, missing: Mapping[str, Entry]) -> None:
        """The entries of a bucket are known; `missing` are those whose record is not held."""
        self._opened[number] = self._wanted[number]
        self._missing[number] = dict(missing)
        self._held[number] = _UNKNOWN

    def expected(self, person_id: str) -> Entry | None:
        """The missing record of a person, if one is."""
        return self._missing.get(bucket_number(person_id), {}).get(person_id)

    def settle(self, person_id: str) -> None:
        """The record is held now."""
        self._missing.get(bucket_number(person_id), {}).pop(person_id, None)

    def close(self) -> None:
        """Buckets that miss nothing are as the manifest lists them."""
        for number in [n for n, missing in self._missing.items() if not missing]:
            self._held[number] = self._opened.pop(number)
            del self._missing[number]
            self._differing.discard(number)

    @property
    def missing(self) -> int:
        """Records that are known to be missing, and one for each bucket that is not known."""
        unread = len(self._differing) - len(self._opened)
        return unread + sum(len(missing) for missing in self._missing.values())

    @property
    def all_read(self) -> bool:
        """Whether everybody who is to be erased is known."""
        return len(self._differing) == len(self._opened)

    def complete_with(self, people: Collection[str]) -> bool:
        """Whether, with the records of these people, what is held is what the manifest lists."""
        return self.all_read and all(
            person_id in people for missing in self._missing.values() for person_id in missing
        )
