"""Section `homeassistant`: whether and where the device announces itself to Home Assistant."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgeface.settings.base import Section

_PREFIX = r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$"


class HomeAssistantSettings(Section):
    """Discovery by Home Assistant; off, or switched off again, nothing of it stays."""

    enabled: bool = False
    discovery_prefix: Annotated[str, Field(max_length=128, pattern=_PREFIX)] = "homeassistant"
    """As in Home Assistant; its birth message is expected on `<discovery_prefix>/status`."""
