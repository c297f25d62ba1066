"""Answers that only the administrator can read: X25519, HKDF-SHA256 and AES-256-GCM.

A fresh X25519 key is made for each sealing. From its secret shared with the recipient's key, HKDF
(RFC 5869; no salt; info: a prefix and both public keys) derives the AES key. The context, which
says what was asked of which device, is the associated data: a sealed answer cannot be passed off as
the answer to another request. Who sealed it is told by the signature of the answer around it.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edgeface.base.errors import ContractError, StateError
from edgeface.base.files import PRIVATE, PUBLIC, write_file
from edgeface.contract.answers import Sealed
from edgeface.security.pem import key_id, load_private, load_public, private_pem, public_pem

_PREFIX: Final = b"edgeface sealed answer v1\0"
_NONCE_BYTES: Final = 12
_KEY_BYTES: Final = 32
_NAME: Final = "X25519"


@dataclass(frozen=True, slots=True)
class Context:
    """What was asked of which device."""

    site: str
    device: str
    verb: str
    transaction: str

    def bound(self) -> bytes:
        """The associated data: a JSON list, so that no two contexts have the same bytes."""
        return json.dumps([self.site, self.device, self.verb, self.transaction]).encode()


def picture_context(site: str, device: str, event_id: str) -> Context:
    """Of a picture that was sealed when it was taken, for whoever asks for it later."""
    return Context(site, device, "event", event_id)


class AdministratorKey:
    """The public half, as a device pins it."""

    def __init__(self, key: X25519PublicKey) -> None:
        self._key = key
        self._raw = key.public_bytes_raw()
        self.kid: Final = key_id(self._raw)

    @classmethod
    def load(cls, path: Path) -> AdministratorKey:
        """Read a PEM public key. Raises StateError naming the file."""
        return cls(load_public(path, X25519PublicKey, _NAME))  # type: ignore[type-abstract]

    def seal(self, content: bytes, context: Context) -> Sealed:
        """`content` for this key's owner alone."""
        mine = X25519PrivateKey.generate()
        ephemeral, nonce = mine.public_key().public_bytes_raw(), os.urandom(_NONCE_BYTES)
        key = _derive(mine.exchange(self._key), ephemeral, self._raw)
        ciphertext = AESGCM(key).encrypt(nonce, content, context.bound())
        return Sealed(
            "x25519-hkdf-sha256-aes-256-gcm",
            self.kid,
            _text(ephemeral),
            _text(nonce),
            _text(ciphertext),
        )

    def pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM."""
        return public_pem(self._key)


class AdministratorSecret:
    """The private half, which never comes near a device."""

    def __init__(self, key: X25519PrivateKey) -> None:
        self._key = key
        self.public: Final = AdministratorKey(key.public_key())

    @classmethod
    def generate(cls) -> AdministratorSecret:
        """A fresh key, in memory only."""
        return cls(X25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> AdministratorSecret:
        """Read a PKCS #8 PEM key. Raises StateError, also when other users may read it."""
        return cls(load_private(path, X25519PrivateKey, _NAME))  # type: ignore[type-abstract]

    def open(self, sealed: Sealed, context: Context) -> bytes:
        """The content. Raises ContractError: `other_recipient` or `cannot_open`."""
        if sealed.recipient != self.public.kid:
            raise ContractError(
                "other_recipient",
                f"sealed to the key {sealed.recipient}, this one is {self.public.kid}",
            )
        try:
            ephemeral, nonce, ciphertext = (
                base64.b64decode(text, validate=True)
                for text in (sealed.ephemeral, sealed.nonce, sealed.ciphertext)
            )
            shared = self._key.exchange(X25519PublicKey.from_public_bytes(ephemeral))
            key = _derive(shared, ephemeral, self._key.public_key().public_bytes_raw())
            return AESGCM(key).decrypt(nonce, ciphertext, context.bound())
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise ContractError(
                "cannot_open", "it was changed, or is the answer to another request"
            ) from error

    def save(self, path: Path) -> Path:
        """Write both halves: `path` (mode 0600) and `<path>.pub`, whose path is returned.

        Raises StateError; nothing that is there already is replaced.
        """
        public = path.with_name(path.name + ".pub")
        for target in (path, public):
            if target.exists():
                raise StateError(f"{target}: is there already and is not replaced")
        write_file(path, private_pem(self._key), PRIVATE)
        write_file(public, self.public.pem(), PUBLIC)
        return public


def _derive(shared: bytes, ephemeral: bytes, recipient: bytes) -> bytes:
    return HKDF(hashes.SHA256(), _KEY_BYTES, None, _PREFIX + ephemeral + recipient).derive(shared)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
