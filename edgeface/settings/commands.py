"""Section `commands`: what may be asked of the device over MQTT."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from edgeface.settings.base import Place, Section, as_tuple

CommandName = Literal["ping", "verify", "identify", "enroll", "reload", "gallery", "why"]


class CommandsSettings(Section):
    """What may be asked of the device over MQTT. Who may ask is for the broker's access list."""

    enabled: Annotated[tuple[CommandName, ...], BeforeValidator(as_tuple)] = get_args(CommandName)
    """The commands in use; `enroll` needs an `administrator_key_file` besides."""
    administrator_key_file: Place | None = None
    """X25519 public key (PEM) that enrolments and snapshots are sealed to; null: both are off."""
    snapshot: bool = False
    """Whether the administrator may ask for a picture."""
    verify_timeout_s: Annotated[float, Field(ge=1, le=60)] = 5.0
    """Seconds until `verify` and `identify` are answered when the request does not say."""
    verify_timeout_max_s: Annotated[float, Field(ge=1, le=60)] = 15.0
    """The most that a request may ask for."""
    enroll_timeout_s: Annotated[float, Field(ge=5, le=600)] = 60.0
    """Seconds for an enrolment when the request does not say."""
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
