"""Ed25519 keys, of devices, of administrators and for freshness, and what they have signed."""

from __future__ import annotations

import base64
import binascii
import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edgeface.base.errors import StateError
from edgeface.base.files import PUBLIC, make_once, write_file
from edgeface.base.messages import Message
from edgeface.contract.signatures import KEY_ID, SIGNATURE, signed_bytes
from edgeface.security.pem import key_id, load_private, load_public, private_pem, public_pem

_log = logging.getLogger(__name__)

_NAME: Final = "Ed25519"
_MEANT: Final = (
    "; the one that is meant is a device's device.key.pub, in its state_dir: the daemon makes it "
    "at its first start; copy it here"
)


class VerifyingKey:
    """A public key, as others pin it."""

    def __init__(self, raw: bytes) -> None:
        """`raw` has 32 bytes. Raises ValueError."""
        self._key = Ed25519PublicKey.from_public_bytes(raw)
        self.raw: Final = raw
        self.kid: Final = key_id(raw)

    @classmethod
    def load(cls, path: Path, meant: str = "") -> Self:
        """Read a PEM file. Raises StateError naming it, and `meant` where it is no key at all."""
        key = load_public(path, Ed25519PublicKey, _NAME, meant)  # type: ignore[type-abstract]
        return cls(key.public_bytes_raw())

    @classmethod
    def of_device(cls, path: Path) -> Self:
        """Read a device's key. Raises StateError saying which file is meant."""
        return cls.load(path, _MEANT)

    def verify(self, content: bytes, signature: bytes) -> bool:
        """Whether this key signed the content."""
        try:
            self._key.verify(signature, content)
        except InvalidSignature:
            return False
        return True

    def reason_against(self, message: Message) -> str | None:
        """Why a message is not this key's word, `unsigned` or `wrong_signature`; None: it is."""
        text = message.user_property(SIGNATURE)
        if text is None:
            return "unsigned"
        try:
            signature = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return "wrong_signature"
        fits = self.verify(signed_bytes(message.topic, message.payload), signature)
        return None if fits else "wrong_signature"

    def pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM."""
        return public_pem(self._key)


class SigningKey:
    """A private key."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public: Final = VerifyingKey(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> Self:
        """A fresh key, in memory only."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path, passphrase: bytes | None = None) -> Self:
        """Read a PKCS #8 PEM key. Raises StateError, also when other users may read it."""
        key = load_private(path, Ed25519PrivateKey, _NAME, passphrase)  # type: ignore[type-abstract]
        return cls(key)

    @classmethod
    def load_or_create(cls, path: Path) -> Self:
        """Read a device's key, or make it (mode 0600) where there is none, with its public half
        beside it in `<path>.pub`, which doors pin; that of a key from before is replaced. Raises
        StateError."""
        try:
            make_once(path, cls.generate().pem())
        except OSError as error:
            raise StateError(f"{path}: cannot make the device's key: {error.strerror}") from error
        key = cls.load(path)
        public_path = path.with_name(path.name + ".pub")
        pinned: bytes | None = None
        with suppress(StateError):
            pinned = VerifyingKey.load(public_path).raw
        if pinned != key.public.raw and os.access(path.parent, os.W_OK):
            try:
                write_file(public_path, key.public.pem(), PUBLIC, replace=True)
            except StateError as error:  # it is for others, and the disk may be full
                _log.warning("%s", error)
        return key

    @property
    def kid(self) -> str:
        """Id of the key."""
        return self.public.kid

    def sign(self, content: bytes) -> bytes:
        """The signature, 64 bytes."""
        return self._key.sign(content)

    def properties(self, topic: str, payload: bytes) -> tuple[tuple[str, str], ...]:
        """The user properties of a signed message."""
        signature = base64.b64encode(self.sign(signed_bytes(topic, payload))).decode()
        return ((SIGNATURE, signature), (KEY_ID, self.kid))

    def pem(self, passphrase: bytes | None = None) -> bytes:
        """PKCS #8 in PEM, encrypted when there is a passphrase."""
        return private_pem(self._key, passphrase)
