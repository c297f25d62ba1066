"""The whole configuration: one frozen value, checked once, handed to whoever needs a part."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from edgeface.settings.base import Identifier, Place, Section
from edgeface.settings.camera import Camera
from edgeface.settings.daemon import (
    CommandsSettings,
    GallerySettings,
    HealthSettings,
    IdentitySettings,
    LogSettings,
    ServiceSettings,
)
from edgeface.settings.models import ModelsSettings
from edgeface.settings.mqtt import HomeAssistantSettings, MqttSettings, OutboxSettings
from edgeface.settings.recognition import (
    DecisionSettings,
    DetectionSettings,
    QualitySettings,
    TrackingSettings,
)


class Settings(Section):
    """The whole configuration. Only `site`, `device` and `camera` have no default."""

    site: Identifier
    """The site's name in topics: a-z, 0-9 and -, at most 64 characters."""
    device: Identifier
    """The device's name in topics, unique within the site."""
    state_dir: Place = Path("/var/lib/edgeface")
    """Keys, gallery and outbox."""
    identity: IdentitySettings = Field(default_factory=IdentitySettings)
    camera: Camera
    models: ModelsSettings = Field(default_factory=ModelsSettings)
    detection: DetectionSettings = Field(default_factory=DetectionSettings)
    quality: QualitySettings = Field(default_factory=QualitySettings)
    tracking: TrackingSettings = Field(default_factory=TrackingSettings)
    decision: DecisionSettings = Field(default_factory=DecisionSettings)
    gallery: GallerySettings = Field(default_factory=GallerySettings)
    mqtt: MqttSettings = Field(default_factory=MqttSettings)
    homeassistant: HomeAssistantSettings = Field(default_factory=HomeAssistantSettings)
    commands: CommandsSettings = Field(default_factory=CommandsSettings)
    outbox: OutboxSettings = Field(default_factory=OutboxSettings)
    health: HealthSettings = Field(default_factory=HealthSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    service: ServiceSettings = Field(default_factory=ServiceSettings)

    @property
    def device_key_file(self) -> Path:
        """The device's Ed25519 key."""
        return self.identity.key_file or self.state_dir / "device.key"

    @property
    def gallery_file(self) -> Path:
        """The gallery's SQLite file."""
        return self.state_dir / "gallery.sqlite"

    @property
    def fleet_folder(self) -> Path:
        """What the device was given to follow the fleet's gallery."""
        return self.gallery.fleet_folder or self.state_dir / "fleet"

    @property
    def outbox_file(self) -> Path:
        """The outbox's SQLite file."""
        return self.state_dir / "outbox.sqlite"
