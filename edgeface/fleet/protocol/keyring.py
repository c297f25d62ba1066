"""The keys that a device trusts, and those that sign and seal.

A device holds public keys of administrators and encryption keys, several of each while keys are
rotated. They are files in one folder, which may also be systemd credentials:

    administrator-<kid>.pub   Ed25519 public key, PEM
    encryption-<kid>.key      32 bytes as 64 hexadecimal digits, mode 0600
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edgeface.base.errors import GalleryError
from edgeface.fleet.protocol.framing import GalleryMessage, prefix_of
from edgeface.fleet.protocol.terms import RefusedError
from edgeface.gallery.key_file import load_key
from edgeface.security.keys import SigningKey, VerifyingKey

ADMINISTRATOR_FILES: Final = "administrator-*.pub"
ENCRYPTION_FILES: Final = "encryption-*.key"
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
ENCRYPTION_KEY_BYTES: Final = 32

_ENCRYPTION_KEY_ID: Final = b"edgeface gallery v1 encryption key\0"


def signed(signer: SigningKey, kind: str, content: bytes) -> bytes:
    """`content`, all of the wire that comes before the signature, with the signature as this type
    of message."""
    return content + signer.sign(prefix_of(kind) + content)


def check_signed(key: VerifyingKey, kind: str, message: GalleryMessage) -> None:
    """Raise RefusedError `bad_signature` unless this key signed the message as this type."""
    if not key.verify(prefix_of(kind) + message.start + message.body, message.signature):
        raise RefusedError("bad_signature", f"not signed by key {key.kid}")


def encryption_key_id(key: bytes) -> str:
    """Names an encryption key: 16 hexadecimal digits of SHA-256 over a text of its own and it."""
    return hashlib.sha256(_ENCRYPTION_KEY_ID + key).hexdigest()[:16]


class KeyRing:
    """What a device trusts and can open. Immutable."""

    def __init__(
        self, administrators: Iterable[VerifyingKey], encryption_keys: Iterable[bytes]
    ) -> None:
        """`encryption_keys` have 32 bytes each."""
        self.administrators: Final = {key.kid: key for key in administrators}
        """The pinned keys by id."""
        self.ciphers: Final = {encryption_key_id(key): AESGCM(key) for key in encryption_keys}
        """By the id of the encryption key."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """From the files of `folder`. Raises StateError or GalleryError: one cannot be read, is no
        key, has another id than its name says, others may read it, or a kind has none at all."""
        administrators = []
        for path in sorted(folder.glob(f"*{ADMINISTRATOR_FILES}")):
            administrators.append(VerifyingKey.load(path))
            _check_name(path, administrators[-1].kid)
        ciphers = []
        for path in sorted(folder.glob(f"*{ENCRYPTION_FILES}")):
            ciphers.append(load_key(path, create=False))
            _check_name(path, encryption_key_id(ciphers[-1]))
        for found, name in ((administrators, ADMINISTRATOR_FILES), (ciphers, ENCRYPTION_FILES)):
            if not found:
                raise GalleryError(
                    f"{folder}: no {name}; copy the files that `edgeface fleet device add` made"
                )
        return cls(administrators, ciphers)

    def same_as(self, other: KeyRing) -> bool:
        """Whether it trusts and opens the same."""
        pinned = self.administrators.keys() == other.administrators.keys()
        return pinned and self.ciphers.keys() == other.ciphers.keys()

    def check(self, kid: str, kind: str, message: GalleryMessage) -> None:
        """Raise RefusedError (`unknown_key`, `bad_signature`) unless the administrator's key `kid`
        signed the message as this type."""
        key = self.administrators.get(kid)
        if key is None:
            raise RefusedError("unknown_key", f"no pinned administrator's key has the id {kid}")
        check_signed(key, kind, message)

    def decrypt(self, kid: str, nonce: bytes, ciphertext: bytes, context: bytes) -> bytes:
        """AES-256-GCM. Raises RefusedError (`unknown_key`, `undecryptable`)."""
        cipher = self.ciphers.get(kid)
        if cipher is None:
            raise RefusedError("unknown_key", f"no encryption key here has the id {kid}")
        try:
            return cipher.decrypt(nonce, ciphertext, context)
        except (InvalidTag, ValueError):
            raise RefusedError("undecryptable", f"key {kid} does not open it") from None


def _check_name(path: Path, kid: str) -> None:
    if not path.stem.endswith(f"-{kid}"):
        raise GalleryError(f"{path}: holds the key {kid}, which is not what its name says")
