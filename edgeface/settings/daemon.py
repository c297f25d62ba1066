"""Sections `identity`, `gallery`, `commands`, `snapshots`, `health`, `metrics`, `log` and
`service`: the daemon itself."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from edgeface.settings.base import Place, Seconds, Section, as_tuple

CommandName = Literal["ping", "verify", "identify", "enroll", "reload", "gallery", "why"]


class IdentitySettings(Section):
    """What proves that an event is this device's."""

    key_file: Place | None = None
    """The device's Ed25519 key; null: made at the first start in `state_dir`."""


class GallerySettings(Section):
    """Where the people come from and how they are kept. No photograph is kept with them."""

    source: Literal["local", "fleet"] = "local"
    """`local`: enrolled on this device. `fleet`: from the site's broker; no local changes."""
    encrypt: bool = True
    """Rows of the store are encrypted."""
    key_file: Place | None = None
    """The store's key; null: made at the first start in `state_dir`."""
    unsynced_clock: Literal["refuse", "allow"] = "refuse"
    """What happens to people with a validity window while the clock is not synchronized."""
    fleet_folder: Place | None = None
    """Pinned keys, encryption keys and floor, as `edgeface fleet device add` wrote them; null:
    `fleet` in `state_dir`."""
    grace_days: Annotated[int, Field(ge=0, le=365)] = 7
    """How long the last good gallery is used when nobody confirms it any more."""


class CommandsSettings(Section):
    """What may be asked of the device over MQTT. Who may ask is for the broker's access list."""

    enabled: Annotated[tuple[CommandName, ...], BeforeValidator(as_tuple)] = get_args(CommandName)
    """The commands in use; `enroll` needs an `administrator_key_file` besides."""
    administrator_key_file: Place | None = None
    """X25519 public key (PEM) that enrollments and snapshots are sealed to; null: both are off."""
    snapshot: bool = False
    """Whether the administrator may ask for a picture of what the camera sees now."""
    verify_timeout_s: Annotated[float, Field(ge=1, le=60)] = 5.0
    """Seconds until `verify` and `identify` are answered when the request does not say."""
    verify_timeout_max_s: Annotated[float, Field(ge=1, le=60)] = 15.0
    """The most that a request may ask for, and what a challenge has when it does not say."""
    enroll_timeout_s: Annotated[float, Field(ge=5, le=600)] = 60.0
    """Seconds for an enrollment when the request does not say."""
    enroll_timeout_max_s: Annotated[float, Field(ge=5, le=600)] = 180.0
    """The most that a request may ask for."""

    @model_validator(mode="after")
    def _consistent(self) -> CommandsSettings:
        if self.snapshot and self.administrator_key_file is None:
            raise ValueError("snapshot needs an administrator_key_file to seal it to")
        if self.verify_timeout_s > self.verify_timeout_max_s:
            raise ValueError("verify_timeout_s is more than verify_timeout_max_s")
        if self.enroll_timeout_s > self.enroll_timeout_max_s:
            raise ValueError("enroll_timeout_s is more than enroll_timeout_max_s")
        return self


class SnapshotsSettings(Section):
    """Pictures of decisions, sealed to the `commands.administrator_key_file`. Off by default: what
    law asks of who keeps them is in docs/security.md."""

    events: Literal["off", "unknown", "all"] = "off"
    """Of which decisions a picture is kept: none, those on strangers, all."""
    keep_s: Annotated[float, Field(ge=1, le=31_536_000)] = 259_200.0
    """A picture is erased so long after it was taken; three days."""
    crops_only: bool = True
    """The face and a little around it; false: the whole frame, others in it as well, with a box."""
    max_mb: Annotated[int, Field(ge=1, le=100_000)] = 64
    """The oldest are erased first when they take more, in 10^6 bytes."""


class HealthSettings(Section):
    """The periodic counters."""

    interval_s: Seconds = 30.0


def _listen(value: str) -> str:
    host, _, port = value.rpartition(":")
    try:
        if host != "localhost":
            address = ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))
            if (address.version == 6) != host.startswith("["):
                raise ValueError
        if not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            raise ValueError
    except ValueError:
        raise ValueError(
            "should be ADDRESS:PORT with the address written out: 127.0.0.1:9117 or [::1]:9117"
        ) from None
    return value


class MetricsSettings(Section):
    """The exporter for Prometheus."""

    listen: Annotated[str, AfterValidator(_listen)] | None = None
    """`127.0.0.1:9117`, say; null: off. Whoever reaches the address reads the metrics: another one
    than this machine's own is warned about."""

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port; None when it is off."""
        if self.listen is None:
            return None
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


class LogSettings(Section):
    """What is logged, and how."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"
    """`auto`: text on a terminal, else JSON, one object per line."""


class ServiceSettings(Section):
    """How the daemon keeps its workers running."""

    stop_timeout_s: Seconds = 5.0
    """Stopping takes no longer; a worker that hangs then ends the process with status 5."""
    restart_budget: Annotated[int, Field(ge=0)] = 5
    """A worker that fails more often within `restart_window_s` ends the process with status 4."""
    restart_window_s: Seconds = 60.0
