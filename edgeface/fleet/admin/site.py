"""The administrator's folder of one site: what is in it, its settings `site.yaml`, and its keys,
files in `keys/` that are each named by their id.

site.yaml       site, broker, models and how long things hold
keys/           administrator-<kid>.key (passphrase) and .pub, freshness-<kid>.key,
                encryption-<kid>.key, gallery.key, sealing.key and .pub
devices/        <id>.pub: the pinned public key of each device
bundles/        <id>/: what goes on the device
gallery.sqlite  everyone, with all templates, encrypted
ledger.sqlite   what has been published, byte for byte
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field, ValidationError

from edgeface.base.errors import NamedFileError, SettingsError
from edgeface.base.files import PRIVATE, PUBLIC, write_file
from edgeface.fleet.protocol.keyring import ENCRYPTION_KEY_BYTES, encryption_key_id
from edgeface.gallery.key_file import load_key
from edgeface.mqtt.options import ConnectionOptions
from edgeface.security.keys import SigningKey
from edgeface.security.sealing import AdministratorSecret
from edgeface.settings.base import Identifier, Section
from edgeface.settings.faults import fault_of, settings_error
from edgeface.settings.models import ModelsSettings
from edgeface.settings.mqtt import MqttSettings
from edgeface.settings.recognition import DecisionSettings, DetectionSettings, QualitySettings
from edgeface.settings.yaml_file import read_yaml

SITE_FILE: Final = "site.yaml"
DAY_S: Final = 86_400
_USER_TIMEOUT_S: Final = 20.0


class SiteSettings(Section):
    """`site.yaml`. The sections have the keys that they have on a device."""

    site: Identifier
    """The site's name in topics."""
    tombstone_days: Annotated[int, Field(ge=1, le=3650)] = 30
    """A removed person's tombstone is cleared after so long, whoever has not confirmed."""
    freshness_hours: Annotated[int, Field(ge=1, le=744)] = 24
    """How long a freshness message holds; `edgeface fleet refresh` has to run more often."""
    grace_days: Annotated[int, Field(ge=0, le=365)] = 7
    """How long devices go on without freshness (set on the devices; here for `fleet status`)."""
    manifest_days: Annotated[int, Field(ge=1, le=3650)] = 365
    """How long a manifest holds; each publish begins anew."""
    mqtt: MqttSettings = Field(default_factory=MqttSettings)
    models: ModelsSettings = Field(default_factory=ModelsSettings)
    detection: DetectionSettings = Field(default_factory=DetectionSettings)
    quality: QualitySettings = Field(default_factory=QualitySettings)
    decision: DecisionSettings = Field(default_factory=DecisionSettings)


class SiteFolder:
    """Where everything is."""

    def __init__(self, path: Path, settings: SiteSettings) -> None:
        self.path = path
        self.settings = settings
        self.site = settings.site
        self.keys = path / "keys"
        self.devices = path / "devices"
        self.bundles = path / "bundles"
        self.gallery_file = path / "gallery.sqlite"
        self.gallery_key = self.keys / "gallery.key"
        self.sealing_key = self.keys / "sealing.key"
        self.ledger_file = path / "ledger.sqlite"
        self.lock_file = path / ".lock"

    @classmethod
    def open(cls, path: Path) -> SiteFolder:
        """An existing one. Raises SettingsError where there is none, and for faults of its
        `site.yaml`."""
        file = path / SITE_FILE
        if not file.is_file():
            raise SettingsError(
                f"{path}: no site folder (there is no {SITE_FILE} in it); make one with "
                "`edgeface fleet init`, or name it with --site-dir"
            )
        return cls(path, load_site_settings(file))

    def connection(self) -> ConnectionOptions:
        """How the administrator reaches the broker; the broker chooses the client id."""
        return ConnectionOptions.from_settings(
            self.settings.mqtt, "", _USER_TIMEOUT_S, gallery=True
        )


def load_site_settings(path: Path) -> SiteSettings:
    """Read `site.yaml`. Raises SettingsError with one line for every fault."""
    file = read_yaml(path)
    if file.broken:
        raise settings_error(file.faults)
    try:
        settings = SiteSettings.model_validate(file.values)
    except ValidationError as error:
        found = [fault_of(details, file.marks) for details in error.errors()]
        raise settings_error([*file.faults, *found]) from None
    if file.faults:
        raise settings_error(file.faults)
    return settings


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

    Raises NamedFileError for a passphrase shorter than 8 bytes, StateError when a file cannot be
    written.
    """
    if len(passphrase) < MIN_PASSPHRASE:
        raise NamedFileError(f"the passphrase is shorter than {MIN_PASSPHRASE} characters")
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
