"""The whole configuration: one frozen value, checked once, handed to whoever needs a part.

Its JSON Schema is described by the docstrings of the fields.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from edgeface.settings.base import Identifier, Place, Section
from edgeface.settings.camera import Camera
from edgeface.settings.daemon import (
    CommandsSettings,
    GallerySettings,
    HealthSettings,
    IdentitySettings,
    LogSettings,
    MetricsSettings,
    ServiceSettings,
    SnapshotsSettings,
)
from edgeface.settings.models import ModelsSettings
from edgeface.settings.mqtt import HomeAssistantSettings, MqttSettings, OutboxSettings
from edgeface.settings.recognition import (
    DecisionSettings,
    DetectionSettings,
    PadSettings,
    QualitySettings,
    TrackingSettings,
)

CHALLENGE_S: Final = 10.0
"""With less time than this a challenge is lost before it is done."""


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
    pad: PadSettings = Field(default_factory=PadSettings)
    gallery: GallerySettings = Field(default_factory=GallerySettings)
    mqtt: MqttSettings = Field(default_factory=MqttSettings)
    homeassistant: HomeAssistantSettings = Field(default_factory=HomeAssistantSettings)
    commands: CommandsSettings = Field(default_factory=CommandsSettings)
    snapshots: SnapshotsSettings = Field(default_factory=SnapshotsSettings)
    outbox: OutboxSettings = Field(default_factory=OutboxSettings)
    health: HealthSettings = Field(default_factory=HealthSettings)
    metrics: MetricsSettings = Field(default_factory=MetricsSettings)
    log: LogSettings = Field(default_factory=LogSettings)
    service: ServiceSettings = Field(default_factory=ServiceSettings)

    @field_validator("commands")
    @classmethod
    def _leaves_time(cls, found: CommandsSettings, info: ValidationInfo) -> CommandsSettings:
        pad: PadSettings | None = info.data.get("pad")  # absent where it has faults
        challenges = pad is not None and pad.verify == "challenge"
        if challenges and found.verify_timeout_max_s < CHALLENGE_S:
            raise ValueError(
                f"pad.verify: challenge takes a person six to eight seconds: let "
                f"verify_timeout_max_s be {CHALLENGE_S:g} or more"
            )
        return found

    @field_validator("snapshots")
    @classmethod
    def _can_be_sealed(cls, found: SnapshotsSettings, info: ValidationInfo) -> SnapshotsSettings:
        commands: CommandsSettings | None = info.data.get("commands")  # absent where it has faults
        keyless = commands is not None and commands.administrator_key_file is None
        if found.events != "off" and keyless:
            raise ValueError(
                "pictures are kept only where they can be sealed: make a key with `edgeface keys "
                "administrator FILE`, keep FILE off the device, and name FILE.pub as "
                "commands.administrator_key_file"
            )
        return found

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
    def snapshots_folder(self) -> Path:
        """Where pictures of decisions are kept."""
        return self.state_dir / "snapshots"

    @property
    def outbox_file(self) -> Path:
        """The outbox's SQLite file."""
        return self.state_dir / "outbox.sqlite"


def settings_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a configuration file, for editors and checks."""
    schema = Settings.model_json_schema()
    sections = {model.__name__: model for model in _sections(Section)}
    named: dict[str, Any] = {**schema["$defs"], Settings.__name__: schema}
    for name, node in named.items():
        # The model's own docstring belongs to the whole; fields may come from its base.
        for field, text in _field_docs(sections[name]).items():
            node["properties"][field]["description"] = text
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _sections(model: type[BaseModel]) -> list[type[BaseModel]]:
    below = model.__subclasses__()
    return [*below, *(found for child in below for found in _sections(child))]


def _field_docs(model: type[BaseModel]) -> dict[str, str]:
    """The bare text after each field, as pydantic's `use_attribute_docstrings` reads them.

    pydantic would do so at every import, at a cost that a start on a Raspberry Pi notices.
    """
    docs: dict[str, str] = {}
    for parent in reversed(model.__mro__):
        if not (issubclass(parent, Section) and parent is not Section):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(parent))).body[0]
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            match field, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(found))),
                ):
                    docs[name] = inspect.cleandoc(found).replace("\n", " ")
    return docs
