"""The administrator's folder of one site: what is in it, and its settings `site.yaml`.

site.yaml       site, broker, models and how long things hold
keys/           administrator-<kid>.key (passphrase) and .pub, freshness-<kid>.key,
                encryption-<kid>.key, gallery.key, sealing.key and .pub
devices/        <id>.pub: the pinned public key of each device
bundles/        <id>/: what goes on the device
gallery.sqlite  everyone, with all templates, encrypted
ledger.sqlite   what has been published, byte for byte
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, ValidationError

from edgeface.base.errors import SettingsError
from edgeface.mqtt.options import ConnectionOptions
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

    @property
    def site(self) -> str:
        """The site's id."""
        return self.settings.site

    def connection(self) -> ConnectionOptions:
        """How the administrator reaches the broker; the broker chooses the client id."""
        return ConnectionOptions.from_settings(self.settings.mqtt, "", _USER_TIMEOUT_S)


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
