"""Messages that came before the manifest that lists them, within a bound of memory.

What is dropped here, oldest first, is asked for again when a manifest lists it.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from edgeface.fleet.protocol.bucket import bucket_number
from edgeface.fleet.protocol.record import SignedRecord

MAX_BUCKET_BYTES: Final = 8 * 1024 * 1024
MAX_RECORD_BYTES: Final = 8 * 1024 * 1024


class EarlyMessages:
    """The newest bucket of each number and the newest record of each person."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[int, bytes] = OrderedDict()
        self._records: OrderedDict[str, SignedRecord] = OrderedDict()
        self._people: dict[int, set[str]] = {}
        self._in_buckets = 0
        self._in_records = 0

    def put_bucket(self, number: int, wire: bytes) -> None:
        """Well-formed, but not listed by the current manifest."""
        self.take_bucket(number)
        self._buckets[number] = wire
        self._in_buckets += len(wire)
        while self._in_buckets > MAX_BUCKET_BYTES:
            self.take_bucket(next(iter(self._buckets)))

    def take_bucket(self, number: int) -> bytes | None:
        """Remove and return."""
        wire = self._buckets.pop(number, None)
        self._in_buckets -= 0 if wire is None else len(wire)
        return wire

    def put_record(self, record: SignedRecord) -> None:
        """Verified, and newer than the current manifest."""
        person_id = record.header.person_id
        self.take_record(person_id)
        self._records[person_id] = record
        self._people.setdefault(bucket_number(person_id), set()).add(person_id)
        self._in_records += _size(record)
        while self._in_records > MAX_RECORD_BYTES:
            self.take_record(next(iter(self._records)))

    def take_record(self, person_id: str) -> SignedRecord | None:
        """Remove and return."""
        record = self._records.pop(person_id, None)
        if record is not None:
            self._in_records -= _size(record)
            self._people[bucket_number(person_id)].discard(person_id)
        return record

    def of_bucket(self, number: int) -> tuple[str, ...]:
        """Ids of the people in a bucket whose records wait."""
        return tuple(self._people.get(number, ()))

    def bucket_numbers(self) -> tuple[int, ...]:
        """Of the buckets that wait."""
        return tuple(self._buckets)


def _size(record: SignedRecord) -> int:
    return len(record.message.start) + len(record.message.body) + len(record.message.signature)
