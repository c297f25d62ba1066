"""How far sessions have counted, with a digest; kept in the outbox's file and, as damage to its
write-ahead log takes the newest transactions without a trace, in a file beside it as well."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeface.base.files import touch_private
from edgeface.contract import codec
from edgeface.contract.event import Previous

DIGEST_BYTES: Final = 16
_LINE_BYTES: Final = 256
_COPIES: Final = 2
"""Written at once within one sector, so that a line is the old or the new one; twice, so that a bit
that flips in one of them costs nothing where another has damaged the database's log."""


def digest_of(*values: object) -> bytes:
    """16 bytes of SHA-256 over values of the types that SQLite keeps; 1 and '1' differ."""
    sha = hashlib.sha256()
    for value in values:
        part = value if isinstance(value, bytes) else str(value).encode(errors="replace")
        sha.update(b"%s %d\0%s" % (type(value).__name__.encode(), len(part), part))
    return sha.digest()[:DIGEST_BYTES]


@dataclass(frozen=True, slots=True)
class Counted:
    """The session that wrote last and the last sequence number that it brought to disk."""

    session: str
    last_seq: int
    life: int = 0
    """Counts the sessions that have written, so that one that is missing is missed."""

    @property
    def previous(self) -> Previous:
        """As the next session names it. Raises ContractError when it cannot be one."""
        return codec.from_mapping(Previous, {"session": self.session, "last_seq": self.last_seq})


NOBODY: Final = Counted("", 0)
"""Stands before the first session."""


class CountFile:
    """`<outbox>.last`: one line, twice, overwritten in place after each commit. It is left to the
    kernel when it is on disk: what counts after a power cut is the database."""

    def __init__(self, outbox: Path) -> None:
        self._path = outbox.with_name(f"{outbox.name}.last")

    def read(self) -> Counted | None:
        """None where there is none, or it is damaged."""
        with suppress(OSError):
            content = self._path.read_bytes()
            for start in range(0, _COPIES * _LINE_BYTES, _LINE_BYTES):
                if (found := _read_line(content[start : start + _LINE_BYTES])) is not None:
                    return found
        return None

    def write(self, counted: Counted) -> None:
        """Raises OSError."""
        line = f"{counted.session} {counted.last_seq} {counted.life} {_digest_of(counted)}"
        touch_private(self._path)
        handle = os.open(self._path, os.O_WRONLY)
        try:
            os.pwrite(handle, _COPIES * (line.ljust(_LINE_BYTES - 1).encode() + b"\n"), 0)
        finally:
            os.close(handle)


def _read_line(line: bytes) -> Counted | None:
    with suppress(ValueError):  # ContractError is one
        session, last_seq, life, digest = line.decode("ascii").split()
        found = Counted(session, int(last_seq), int(life))
        if _digest_of(found) == digest and found.previous:
            return found
    return None


def _digest_of(counted: Counted) -> str:
    return digest_of(counted.session, counted.last_seq, counted.life).hex()
