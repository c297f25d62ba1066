"""A bucket: who is in one 256th of the gallery, and the digest of each one's record.

Not signed: the manifest lists its SHA-256. The body has 52 bytes a person, sorted by id: the id in
ASCII, the record's revision as 64-bit big-endian, the SHA-256 of the record's wire bytes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, NamedTuple

from edgeface.base.ids import is_person_id
from edgeface.contract.codec import MAX_INT, matching
from edgeface.fleet.protocol.framing import VERSION, check_site, digest_of, start_of, unframe
from edgeface.fleet.protocol.terms import RefusedError, Site

BUCKETS: Final = 256
MAX_BUCKET_BYTES: Final = 512 * 1024
"""About ten thousand people in a bucket."""

_ENTRY: Final = struct.Struct(">12sQ32s")
"""Id, revision, digest."""


class Entry(NamedTuple):
    """One person in a bucket."""

    person_id: str
    revision: int
    """Of the record."""
    digest: bytes
    """SHA-256 of the record's wire bytes."""


@dataclass(frozen=True, slots=True)
class BucketHeader:
    """The readable part."""

    type: Literal["bucket"]
    version: Literal[1]
    site: Site
    bucket: Annotated[str, matching("[0-9a-f]{2}", 2)]


def bucket_number(person_id: str) -> int:
    """In which bucket a person is: the first byte of SHA-256 of the id, 0 to 255."""
    return hashlib.sha256(person_id.encode("ascii")).digest()[0]


def encode_bucket(site: str, number: int, entries: Iterable[Entry]) -> bytes:
    """The wire bytes; the order of `entries` does not matter. Raises ValueError when one does not
    belong here, is there twice, or when they are too many."""
    ordered = sorted(entries)
    header = BucketHeader(type="bucket", version=VERSION, site=site, bucket=f"{number:02x}")
    if len({entry.person_id for entry in ordered}) != len(ordered) or any(
        bucket_number(entry.person_id) != number for entry in ordered
    ):
        raise ValueError(f"bucket {number:02x}: a person is there twice or belongs elsewhere")
    wire = start_of(header) + b"".join(
        _ENTRY.pack(entry.person_id.encode("ascii"), entry.revision, entry.digest)
        for entry in ordered
    )
    if len(wire) > MAX_BUCKET_BYTES:
        raise ValueError(f"bucket {number:02x}: {len(ordered)} people are more than fit")
    return wire


def read_bucket(wire: bytes, digest: bytes, *, site: str, number: int) -> tuple[Entry, ...]:
    """The entries of bucket `number`, which a verified manifest lists with `digest`.

    Raises RefusedError: `oversized`, `wrong_digest` (also: of an older or newer manifest),
    `malformed`, `foreign_site`, `wrong_topic`.
    """
    if len(wire) > MAX_BUCKET_BYTES:
        raise RefusedError("oversized", f"a bucket of {len(wire)} bytes")
    if digest_of(wire) != digest:
        raise RefusedError("wrong_digest", f"bucket {number:02x} is not the one of the manifest")
    message = unframe(wire, {"bucket": BucketHeader}, MAX_BUCKET_BYTES, signed=False)
    check_site(message.header.site, site)
    if message.header.bucket != f"{number:02x}":
        raise RefusedError("wrong_topic", f"it is bucket {message.header.bucket}, not {number:02x}")
    if len(message.body) % _ENTRY.size:
        raise RefusedError("malformed", "the bucket's body is cut off")
    entries = tuple(_entry(*found) for found in _ENTRY.iter_unpack(message.body))
    if not entries:
        raise RefusedError("malformed", "an empty bucket is not listed")
    ids = [entry.person_id for entry in entries]
    if ids != sorted(set(ids)) or any(bucket_number(person_id) != number for person_id in ids):
        raise RefusedError("malformed", "the bucket's people are not sorted or belong elsewhere")
    return entries


def _entry(name: bytes, revision: int, digest: bytes) -> Entry:
    person_id = name.decode("ascii", errors="replace")
    if not is_person_id(person_id) or not 1 <= revision <= MAX_INT:
        raise RefusedError("malformed", "an entry of the bucket is not one")
    return Entry(person_id, revision, digest)
