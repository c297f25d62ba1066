"""Keys as PEM files: read, checked to be of the kind that is wanted, and written."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes

from edgeface.base.errors import NamedFileError, StateError
from edgeface.base.files import read_small

K = TypeVar("K")


def load_public(path: Path, kind: type[K], name: str, meant: str = "") -> K:
    """The public key in a file, which has to be of this kind, `name` in words; `meant` says which
    file was. Raises StateError naming the file."""
    try:
        content = read_small(path)
    except StateError as error:
        raise StateError(f"{error}{meant}") from error
    try:
        key = serialization.load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise StateError(f"{path}: not a public key in PEM form{meant}") from error
    if not isinstance(key, kind):
        raise StateError(f"{path}: not an {name} key")
    return key


def load_private(path: Path, kind: type[K], name: str, passphrase: bytes | None = None) -> K:
    """The private key (PKCS #8) in a file, as `load_public`. Raises StateError, also when other
    users may read it, and NamedFileError for a passphrase that does not open it."""
    content = read_small(path, private=True)
    try:
        key = serialization.load_pem_private_key(content, passphrase)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        if b"ENCRYPTED" in content:
            if passphrase is None:
                raise NamedFileError(f"{path}: under a passphrase, and none was given") from error
            raise NamedFileError(f"{path}: the passphrase does not open this key") from error
        raise StateError(f"{path}: not a private key in PEM form") from error
    if not isinstance(key, kind):
        raise StateError(f"{path}: not an {name} key")
    return key


def public_pem(key: PublicKeyTypes) -> bytes:
    """SubjectPublicKeyInfo."""
    return key.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def private_pem(key: PrivateKeyTypes, passphrase: bytes | None = None) -> bytes:
    """PKCS #8, encrypted when there is a passphrase."""
    protection: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase is not None:
        protection = serialization.BestAvailableEncryption(passphrase)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, protection
    )


def key_id(raw: bytes) -> str:
    """Names a public key: the first 16 hexadecimal digits of the SHA-256 of its raw bytes."""
    return hashlib.sha256(raw).hexdigest()[:16]
