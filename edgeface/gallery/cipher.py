"""Rows at rest: AES-256-GCM under the gallery's key, bound to the place where they are stored.

A sealed row is a random 96-bit nonce and the ciphertext with its 128-bit tag (NIST SP 800-38D). A
random nonce is safe for 2**32 rows under one key. What says where a row belongs (table, person,
space) is associated data, so that a row moved to another place does not open.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edgeface.base.errors import GalleryError

NONCE_BYTES: Final = 12
_DIGEST_BYTES: Final = 16
_PURPOSE: Final = "edgeface gallery 1"


class DamagedRowError(GalleryError):
    """Raised when a row does not open: it was changed, moved or sealed under another key."""


class RowCipher:
    """Seals and opens rows; without a key it stores them readable, with a digest against damage."""

    def __init__(self, key: bytes | None) -> None:
        """`key` is 32 bytes, or None where encryption is off."""
        if key is not None and len(key) != 32:
            raise GalleryError(f"a gallery key has 32 bytes, not {len(key)}")
        self._aead = AESGCM(key) if key is not None else None

    @property
    def encrypts(self) -> bool:
        """Whether there is a key."""
        return self._aead is not None

    def seal(self, plain: bytes, *place: str) -> bytes:
        """`plain` as stored at `place` (table, person, space)."""
        context = _context(place)
        if self._aead is None:
            return _digest(plain, context) + plain
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, plain, context)

    def open(self, sealed: bytes, *place: str) -> bytes:
        """What was sealed at `place`; raises DamagedRowError when it is not exactly that."""
        context = _context(place)
        if not isinstance(sealed, bytes):  # SQLite does not notice another type either
            raise DamagedRowError(f"the row {'/'.join(map(str, place))} is damaged")
        if self._aead is None:
            plain = sealed[_DIGEST_BYTES:]
            if not hmac.compare_digest(sealed[:_DIGEST_BYTES], _digest(plain, context)):
                raise DamagedRowError(f"the row {'/'.join(map(str, place))} is damaged")
            return plain
        try:
            return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise DamagedRowError(f"the row {'/'.join(map(str, place))} is damaged") from None


def _context(place: tuple[str, ...]) -> bytes:
    return "\0".join((_PURPOSE, *map(str, place))).encode()


def _digest(plain: bytes, context: bytes) -> bytes:
    return hashlib.sha256(b"%d\0%s%s" % (len(context), context, plain)).digest()[:_DIGEST_BYTES]
