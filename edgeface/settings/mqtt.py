"""Sections `mqtt`, `outbox` and `homeassistant`: the broker, and what is sent to it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from edgeface.settings.base import Place, Seconds, Section, is_loopback

_PREFIX = r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$"


def _default_port(known: dict[str, Any]) -> int:
    host, tls = known.get("host", "localhost"), known.get("tls", "auto")
    return 8883 if tls == "required" or (tls == "auto" and not is_loopback(host)) else 1883


class MqttSettings(Section):
    """The broker and how the device proves who it is."""

    host: Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[^\s/]+$")] = "localhost"
    tls: Literal["auto", "required", "off"] = "auto"
    """`auto`: required unless the broker is on this machine."""
    port: Annotated[int, Field(ge=1, le=65535)] = Field(default_factory=_default_port)
    """By default 8883 with TLS and 1883 without."""
    keepalive_s: Annotated[int, Field(ge=2, le=10)] = 10
    """A dead connection is noticed after one and a half of it."""
    ca_file: Place | None = None
    """Authorities that may sign the broker's certificate; null: the system's."""
    cert_file: Place | None = None
    """The device's own certificate, where the broker asks for one."""
    key_file: Place | None = None
    """The private key of `cert_file`."""
    username: Annotated[str, Field(min_length=1)] | None = None
    password_file: Place | None = None
    """A file whose first line is the password."""

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is made with TLS."""
        return self.tls == "required" or (self.tls == "auto" and not is_loopback(self.host))

    @model_validator(mode="after")
    def _pairs(self) -> MqttSettings:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file belong together")
        if self.password_file is not None and self.username is None:
            raise ValueError("password_file needs a username")
        if not self.uses_tls and (self.ca_file or self.cert_file):
            raise ValueError("ca_file and cert_file need tls: required")
        return self


class OutboxSettings(Section):
    """How many events wait for the broker; the oldest go first when a bound is reached."""

    max_events: Annotated[int, Field(ge=1)] = 100_000
    max_bytes: Annotated[int, Field(ge=65_536)] = 256 * 1024 * 1024
    max_age_s: Seconds = 30 * 86_400.0


class HomeAssistantSettings(Section):
    """Discovery by Home Assistant; off, or switched off again, nothing of it stays."""

    enabled: bool = False
    discovery_prefix: Annotated[str, Field(max_length=128, pattern=_PREFIX)] = "homeassistant"
    """As in Home Assistant; its birth message is expected on `<discovery_prefix>/status`."""
