"""Section `outbox`: how many events wait for the broker."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgeface.settings.base import Seconds, Section


class OutboxSettings(Section):
    """How many events wait for the broker; the oldest go first when a bound is reached."""

    max_events: Annotated[int, Field(ge=1)] = 100_000
    max_bytes: Annotated[int, Field(ge=65_536)] = 256 * 1024 * 1024
    max_age_s: Seconds = 30 * 86_400.0
