"""Sections `identity`, `health`, `log` and `service`: the daemon itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgeface.settings.base import Place, Seconds, Section


class IdentitySettings(Section):
    """What proves that an event is this device's."""

    key_file: Place | None = None
    """The device's Ed25519 key; null: made at the first start in `state_dir`."""


class HealthSettings(Section):
    """The periodic counters."""

    interval_s: Seconds = 30.0


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
