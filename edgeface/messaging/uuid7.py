"""UUIDv7 (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then 74 random bits."""

from __future__ import annotations

import secrets
import uuid


def uuid7(utc_ns: int) -> str:
    """A new id in its usual text form; later milliseconds sort after earlier ones."""
    milliseconds = (utc_ns // 1_000_000) & ((1 << 48) - 1)
    value = milliseconds << 80 | 0x7 << 76 | secrets.randbits(12) << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return str(uuid.UUID(int=value))
