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

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edgeface.base.errors import GalleryError, StateError
from edgeface.fleet.protocol.framing import GalleryMessage, prefix_of
from edgeface.fleet.protocol.refusal import RefusedError
from edgeface.gallery.key_file import load_key

ADMINISTRATOR_FILES: Final = "administrator-*.pub"
ENCRYPTION_FILES: Final = "encryption-*.key"
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
ENCRYPTION_KEY_BYTES: Final = 32

_ENCRYPTION_KEY_ID: Final = b"edgeface gallery v1 encryption key\0"


class VerifyingKey:
    """A public Ed25519 key."""

    def __init__(self, raw: bytes) -> None:
        """`raw` has 32 bytes. Raises ValueError."""
        self._key = Ed25519PublicKey.from_public_bytes(raw)
        self.raw: Final = raw
        self.kid: Final = hashlib.sha256(raw).hexdigest()[:16]
        """First 16 hexadecimal digits of the SHA-256 of `raw`."""

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a PEM file. Raises StateError."""
        try:
            key = serialization.load_pem_public_key(path.read_bytes())
        except OSError as error:
            raise StateError(f"{path}: cannot read the key: {error.strerror}") from error
        except ValueError as error:
            raise StateError(f"{path}: no public key in PEM form") from error
        if not isinstance(key, Ed25519PublicKey):
            raise StateError(f"{path}: not an Ed25519 key")
        return cls(key.public_bytes_raw())

    def pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM."""
        return self._key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

    def check(self, kind: str, message: GalleryMessage) -> None:
        """Raise RefusedError `bad_signature` unless this key signed the message as this type."""
        try:
            self._key.verify(message.signature, prefix_of(kind) + message.signed)
        except InvalidSignature:
            raise RefusedError("bad_signature", f"not signed by key {self.kid}") from None


class SigningKey:
    """A private Ed25519 key, of an administrator or for freshness."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public: Final = VerifyingKey(key.public_key().public_bytes_raw())

    @property
    def kid(self) -> str:
        """Id of the key."""
        return self.public.kid

    def sign(self, kind: str, content: bytes) -> bytes:
        """`content`, all of the wire that comes before the signature, with the signature."""
        return content + self._key.sign(prefix_of(kind) + content)

    def pem(self, passphrase: bytes | None) -> bytes:
        """PKCS #8 in PEM, encrypted when there is a passphrase."""
        lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase is not None:
            lock = serialization.BestAvailableEncryption(passphrase)
        return self._key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock
        )


def encryption_key_id(key: bytes) -> str:
    """Names an encryption key: 16 hexadecimal digits of SHA-256 over a text of its own and it."""
    return hashlib.sha256(_ENCRYPTION_KEY_ID + key).hexdigest()[:16]


class KeyRing:
    """What a device trusts and can open. Immutable."""

    def __init__(
        self, administrators: Iterable[VerifyingKey], encryption_keys: Iterable[bytes]
    ) -> None:
        """`encryption_keys` have 32 bytes each."""
        self._administrators = {key.kid: key for key in administrators}
        self._ciphers = {encryption_key_id(key): AESGCM(key) for key in encryption_keys}

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

    @property
    def administrators(self) -> frozenset[str]:
        """Ids of the pinned keys."""
        return frozenset(self._administrators)

    @property
    def encryption_keys(self) -> frozenset[str]:
        """Ids of the encryption keys."""
        return frozenset(self._ciphers)

    def same_as(self, other: KeyRing) -> bool:
        """Whether it trusts and opens the same."""
        return (self.administrators, self.encryption_keys) == (
            other.administrators,
            other.encryption_keys,
        )

    def check(self, kid: str, kind: str, message: GalleryMessage) -> None:
        """Raise RefusedError (`unknown_key`, `bad_signature`) unless the administrator's key `kid`
        signed the message as this type."""
        key = self._administrators.get(kid)
        if key is None:
            raise RefusedError("unknown_key", f"no pinned administrator's key has the id {kid}")
        key.check(kind, message)

    def decrypt(self, kid: str, nonce: bytes, ciphertext: bytes, context: bytes) -> bytes:
        """AES-256-GCM. Raises RefusedError (`unknown_key`, `undecryptable`)."""
        cipher = self._ciphers.get(kid)
        if cipher is None:
            raise RefusedError("unknown_key", f"no encryption key here has the id {kid}")
        try:
            return cipher.decrypt(nonce, ciphertext, context)
        except (InvalidTag, ValueError):
            raise RefusedError("undecryptable", f"key {kid} does not open it") from None


def _check_name(path: Path, kid: str) -> None:
    if not path.stem.endswith(f"-{kid}"):
        raise GalleryError(f"{path}: holds the key {kid}, which is not what its name says")
