"""The frame around everything a gallery has on the wire.

    4 bytes   "EFG1"
    2 bytes   length of the header, big-endian
    header    UTF-8 JSON object
    body      by type
    64 bytes  Ed25519 signature (not on buckets)

The signature covers a prefix of the type's own, and all that precedes it on the wire.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from edgeface.base.errors import ContractError
from edgeface.contract import codec
from edgeface.fleet.protocol.terms import RefusedError

MAGIC: Final = b"EFG1"
HEADER_AT: Final = 6
MAX_HEADER_BYTES: Final = 4096
SIGNATURE_BYTES: Final = 64
VERSION: Final = 1
"""Of every header; one with another version is `malformed` to this reader."""


@dataclass(frozen=True, slots=True)
class GalleryMessage:
    """What a wire message consists of; nothing in it is verified yet."""

    header: Any
    """A dataclass of the type that the header names."""
    body: bytes
    signature: bytes
    """Empty where the type has none."""
    start: bytes
    """Magic, length and header as on the wire."""


def digest_of(wire: bytes) -> bytes:
    """SHA-256 of wire bytes, as buckets and manifests list it."""
    return hashlib.sha256(wire).digest()


def prefix_of(kind: str) -> bytes:
    """What a signature of this type covers first, so that no type passes for another."""
    return b"edgeface gallery v1 " + kind.encode("ascii") + b"\0"


def start_of(header: object) -> bytes:
    """Magic, length and header on the wire, of a header dataclass."""
    content = codec.to_json(header)
    if len(content) > MAX_HEADER_BYTES:
        raise ValueError(f"the header has {len(content)} bytes, at most {MAX_HEADER_BYTES} fit")
    return MAGIC + len(content).to_bytes(2, "big") + content


def unframe(
    wire: bytes, kinds: Mapping[str, type], max_bytes: int, *, signed: bool
) -> GalleryMessage:
    """Take `wire` apart; `kinds` are the header dataclasses by the `type` in the header.

    Raises RefusedError: `oversized` or `malformed`.
    """
    if len(wire) > max_bytes:
        raise RefusedError("oversized", f"{len(wire)} bytes, at most {max_bytes} are allowed")
    if wire[:4] != MAGIC or len(wire) < HEADER_AT:
        raise RefusedError("malformed", "it does not begin with EFG1")
    body_at = HEADER_AT + int.from_bytes(wire[4:HEADER_AT], "big")
    end = len(wire) - (SIGNATURE_BYTES if signed else 0)
    if body_at > end or body_at - HEADER_AT > MAX_HEADER_BYTES:
        raise RefusedError("malformed", "the header does not fit")
    header = _header(wire[HEADER_AT:body_at], kinds)
    return GalleryMessage(header, wire[body_at:end], wire[end:], wire[:body_at])


def check_site(found: str, site: str) -> None:
    """Raise RefusedError `foreign_site` unless both are the same."""
    if found != site:
        raise RefusedError("foreign_site", f"it is of site {found}, not {site}")


def _header(content: bytes, kinds: Mapping[str, type]) -> object:
    try:
        mapping = codec.load(content, max_bytes=MAX_HEADER_BYTES)
        kind = mapping.get("type")
        if not isinstance(kind, str) or kind not in kinds:
            raise RefusedError("malformed", f"type {kind!r} has no place here")
        known = {field.name for field in fields(kinds[kind])}
        if surplus := mapping.keys() - known:
            raise RefusedError("malformed", f"unknown fields in the header: {sorted(surplus)}")
        return codec.from_mapping(kinds[kind], mapping)
    except RefusedError:
        raise
    except ContractError as error:
        raise RefusedError("malformed", f"header: {error}") from error
