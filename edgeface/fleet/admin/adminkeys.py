"""The keys on the administrator's machine: files in `keys/`, each named by its id."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from edgeface.base.errors import GalleryError
from edgeface.base.files import PRIVATE, PUBLIC, write_file
from edgeface.fleet.protocol.keyring import ENCRYPTION_KEY_BYTES, encryption_key_id
from edgeface.gallery.key_file import load_key
from edgeface.security.keys import SigningKey
from edgeface.security.sealing import AdministratorSecret

MIN_PASSPHRASE: Final = 8

Kind: TypeAlias = Literal["administrator", "freshness", "encryption"]


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
    write_file(key_file(folder, "administrator", keys.signing), signing.pem(passphrase), PRIVATE)
    write_file(public_file(folder, keys.signing), signing.public.pem(), PUBLIC)
    write_file(key_file(folder, "freshness", keys.freshness), freshness.pem(), PRIVATE)
    content = encryption.hex().encode() + b"\n"
    write_file(key_file(folder, "encryption", keys.encryption), content, PRIVATE)
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
        key_file(folder, "administrator", keys.signing),
        public_file(folder, keys.signing),
        key_file(folder, "freshness", keys.freshness),
        key_file(folder, "encryption", keys.encryption),
    ):
        path.unlink(missing_ok=True)


def key_file(folder: Path, kind: Kind, kid: str) -> Path:
    """The administrator's private key, under a passphrase; the private key for freshness, without
    one: a timer uses it; or the key under which records are sealed: devices have it too."""
    return folder / f"{kind}-{kid}.key"


def public_file(folder: Path, kid: str) -> Path:
    """The administrator's public key, which devices pin."""
    return folder / f"administrator-{kid}.pub"


def load_encryption_key(folder: Path, kid: str) -> bytes:
    """32 bytes. Raises StateError or GalleryError."""
    return load_key(key_file(folder, "encryption", kid), create=False)
