"""The device's Ed25519 key, and signatures over topic and exact payload bytes."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edgeface.base.errors import StateError
from edgeface.base.files import PUBLIC, drafted, make_folder, read_small, write_file
from edgeface.base.messages import Message
from edgeface.contract.signatures import KEY_ID, SIGNATURE, signed_bytes


class PublicKey:
    """A device's public key, as a door pins it."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        self.kid: Final = hashlib.sha256(raw).hexdigest()[:16]
        """First 16 hexadecimal digits of the SHA-256 of the raw public key."""

    @classmethod
    def load(cls, path: Path) -> PublicKey:
        """Read a PEM public key. Raises StateError naming the file."""
        try:
            key = serialization.load_pem_public_key(read_small(path))
        except (ValueError, UnsupportedAlgorithm) as error:
            raise StateError(
                f"{path}: not a public key in PEM form; the one that is meant is a device's "
                "device.key.pub, in its state_dir"
            ) from error
        if not isinstance(key, Ed25519PublicKey):
            raise StateError(f"{path}: not an Ed25519 key")
        return cls(key)

    def verify(self, topic: str, payload: bytes, signature: str) -> bool:
        """Whether `signature` (base64) was made by this key over this topic and these bytes."""
        try:
            raw = base64.b64decode(signature, validate=True)
            self._key.verify(raw, signed_bytes(topic, payload))
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True

    def reason_against(self, message: Message) -> str | None:
        """Why a message is not this key's word, `unsigned` or `wrong_signature`; None: it is."""
        signature = message.user_property(SIGNATURE)
        if signature is None:
            return "unsigned"
        fits = self.verify(message.topic, message.payload, signature)
        return None if fits else "wrong_signature"

    def is_in(self, path: Path) -> bool:
        """Whether this file holds this key."""
        try:
            return PublicKey.load(path).kid == self.kid
        except StateError:
            return False

    def pem(self) -> bytes:
        """SubjectPublicKeyInfo in PEM."""
        return self._key.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )


class DeviceKey:
    """The private key with which a device signs."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public: Final = PublicKey(key.public_key())

    @classmethod
    def generate(cls) -> DeviceKey:
        """A fresh key, in memory only."""
        return cls(Ed25519PrivateKey.generate())

    @classmethod
    def load(cls, path: Path) -> DeviceKey:
        """Read a PKCS #8 PEM key. Raises StateError, also when other users may read it."""
        content = read_small(path, private=True)
        try:
            key = serialization.load_pem_private_key(content, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise StateError(f"{path}: not a private key in PEM form") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise StateError(f"{path}: not an Ed25519 key")
        return cls(key)

    @classmethod
    def load_or_create(cls, path: Path) -> DeviceKey:
        """Read the key, or make it (mode 0600) where there is none, with its public half beside it
        in `<path>.pub`, which doors pin; that of a key from before is replaced. Raises
        StateError."""
        try:
            if not path.exists():
                make_folder(path.parent)
                with contextlib.suppress(FileExistsError), drafted(path) as file:
                    file.write(cls.generate().pem())
            key = cls.load(path)
            public_path = path.with_name(path.name + ".pub")
            if not key.public.is_in(public_path) and os.access(path.parent, os.W_OK):
                write_file(public_path, key.public.pem(), PUBLIC, replace=True)
        except StateError:
            raise
        except OSError as error:
            raise StateError(f"{path}: cannot make the device's key: {error.strerror}") from error
        return key

    @property
    def kid(self) -> str:
        """Id of the key."""
        return self.public.kid

    def sign(self, topic: str, payload: bytes) -> str:
        """Signature over topic and payload, in base64."""
        return base64.b64encode(self._key.sign(signed_bytes(topic, payload))).decode()

    def properties(self, topic: str, payload: bytes) -> tuple[tuple[str, str], ...]:
        """The user properties of a signed message."""
        return ((SIGNATURE, self.sign(topic, payload)), (KEY_ID, self.kid))

    def pem(self) -> bytes:
        """The private key, PKCS #8 in PEM, not encrypted."""
        return self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
