"""The keys on the administrator's machine: files in `keys/`, each named by its id."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeface.base.errors import GalleryError
from edgeface.base.files import PRIVATE, PUBLIC, write_file
from edgeface.fleet.protocol.keyring import ENCRYPTION_KEY_BYTES, encryption_key_id
from edgeface.gallery.key_file import load_key
from edgeface.security.keys import SigningKey, VerifyingKey
from edgeface.security.sealing import AdministratorSecret

MIN_PASSPHRASE: Final = 8


@dataclass(frozen=True, slots=True)
class KeySet:
    """The ids of the keys that publish together."""

    signing: str
    freshness: str
    encryption: str


def make_keys(folder: Path, passphrase: bytes) -> KeySet:
    """New keys of all three kinds, as files of mode 0600.

    Raises GalleryError for a passphrase shorter than 8 bytes, StateError when a file cannot be
    written.
    """
    if len(passphrase) < MIN_PASSPHRASE:
        raise GalleryError(f"the passphrase is shorter than {MIN_PASSPHRASE} characters")
    signing = SigningKey.generate()
    freshness = SigningKey.generate()
    encryption = secrets.token_bytes(ENCRYPTION_KEY_BYTES)
    keys = KeySet(signing.kid, freshness.kid, encryption_key_id(encryption))
    write_file(administrator_file(folder, keys.signing), signing.pem(passphrase), PRIVATE)
    write_file(public_file(folder, keys.signing), signing.public.pem(), PUBLIC)
    write_file(freshness_file(folder, keys.freshness), freshness.pem(), PRIVATE)
    write_file(encryption_file(folder, keys.encryption), encryption.hex().encode() + b"\n", PRIVATE)
    return keys


def ensure_sealing_key(path: Path) -> bytes:
    """The public half (PEM) of the key to which devices seal what they take at a door; both halves
    are made when there are none. Raises StateError."""
    secret = AdministratorSecret.load(path) if path.exists() else AdministratorSecret.generate()
    if not path.exists():
        secret.save(path)
    return secret.public.pem()


def drop_keys(folder: Path, keys: KeySet) -> None:
    """Delete the files of keys that publish no more."""
    for path in (
        administrator_file(folder, keys.signing),
        public_file(folder, keys.signing),
        freshness_file(folder, keys.freshness),
        encryption_file(folder, keys.encryption),
    ):
        path.unlink(missing_ok=True)


def administrator_file(folder: Path, kid: str) -> Path:
    """The administrator's private key, under a passphrase."""
    return folder / f"administrator-{kid}.key"


def public_file(folder: Path, kid: str) -> Path:
    """The administrator's public key, which devices pin."""
    return folder / f"administrator-{kid}.pub"


def freshness_file(folder: Path, kid: str) -> Path:
    """The private key for freshness, without a passphrase: a timer uses it."""
    return folder / f"freshness-{kid}.key"


def encryption_file(folder: Path, kid: str) -> Path:
    """The key under which records are sealed; devices have it too."""
    return folder / f"encryption-{kid}.key"


def load_encryption_key(folder: Path, kid: str) -> bytes:
    """32 bytes. Raises StateError or GalleryError."""
    return load_key(encryption_file(folder, kid), create=False)


def load_public_key(folder: Path, kid: str) -> VerifyingKey:
    """Raises StateError."""
    return VerifyingKey.load(public_file(folder, kid))
