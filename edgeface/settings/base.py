"""What every section is built from: the frozen base and the types of paths, ids and sizes."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from edgeface.base.ids import ID, RESERVED

CREDENTIAL_PREFIX = "credential:"
"""`credential:NAME` stands for the systemd credential NAME of the service."""

CREDENTIALS_FALLBACK = "/run/credentials/edgeface.service"
"""Where systemd puts the unit's credentials; used when $CREDENTIALS_DIRECTORY is not set."""


class Section(BaseModel):
    """Base of every section: frozen, unknown keys refused, no silent conversion of types."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True
    )


class PlacedText(str):
    """A text read from a file, with the folder that relative paths in it start from."""

    folder: Path

    def __new__(cls, text: str, folder: Path) -> Self:
        placed = super().__new__(cls, text)
        placed.folder = folder
        return placed


def place(value: Any) -> Any:
    """`value` as an absolute path when it is a text or a path; anything else is left to pydantic.

    A relative path starts at the folder of the file that named it, or at the working directory
    when no file did.
    """
    if not isinstance(value, str | Path):
        return value
    if not str(value) or "\0" in str(value):
        raise ValueError("should be the path of a file or folder")
    if str(value).startswith(CREDENTIAL_PREFIX):
        name = str(value).removeprefix(CREDENTIAL_PREFIX)
        if not name or "/" in name or name in (".", ".."):
            raise ValueError("should be credential:NAME, the name of a systemd credential")
        return Path(os.environ.get("CREDENTIALS_DIRECTORY", CREDENTIALS_FALLBACK)) / name
    folder = value.folder if isinstance(value, PlacedText) else Path.cwd()
    return Path(os.path.normpath(folder / Path(value).expanduser()))


def is_loopback(host: str) -> bool:
    """Whether `host` can only mean this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def as_tuple(value: Any) -> Any:
    """A list as a tuple, which is frozen; anything else is left to pydantic."""
    return tuple(value) if isinstance(value, list) else value


def _identifier(value: str) -> str:
    if ID.fullmatch(value) is None:
        raise ValueError("should be 1 to 64 characters of a-z, 0-9 and -")
    if value in RESERVED:
        raise ValueError(f"{value!r} is a reserved name of the topic tree")
    return value


Place = Annotated[Path, BeforeValidator(place)]
"""An absolute path; in a file it may be relative to that file, or `credential:NAME`."""

Places = Annotated[tuple[Place, ...], BeforeValidator(as_tuple)]

Side = Annotated[int, Field(ge=16, le=16384)]
Size = Annotated[tuple[Side, Side], BeforeValidator(as_tuple)]
"""Width and height in pixels."""

Identifier = Annotated[
    str,
    AfterValidator(_identifier),
    WithJsonSchema({"type": "string", "pattern": f"^{ID.pattern}$"}),
]
"""A level of a topic: site or device."""

Seconds = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
