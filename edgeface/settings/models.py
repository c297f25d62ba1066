"""Section `models`: the two model packages and the accelerator they run on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from edgeface.settings.base import Seconds, Section, place
from edgeface.settings.places import shipped_models


def _package(value: Any) -> Any:
    """A bare name is a package that ships; anything with a slash or a leading dot is a path."""
    text = str(value) if isinstance(value, str | Path) else ""
    if text and "/" not in text and not text.startswith((".", "~", "credential:")):
        return shipped_models() / text
    return place(value)


Package = Annotated[Path, BeforeValidator(_package)]
"""The absolute path of a model package's folder."""


class ModelsSettings(Section):
    """The two model packages and the accelerator they run on."""

    detector: Package = Path("face_detector")
    embedder: Package = Path("facenet")
    next_embedder: Package | None = None
    """Taken into use instead once everybody in the fleet's gallery has templates of it."""
    accelerator: Literal["auto", "cpu", "edgetpu"] = "auto"
    """`auto` takes an Edge TPU when there is one and a compiled model for it."""
    edgetpu_device: Annotated[str, Field(pattern=r"^((usb|pci)?(:[0-9]+)?)$")] = ""
    """Which Edge TPU: empty for any, `usb`, `pci`, `:0`, `usb:0`, `pci:1`."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Threads of the CPU runtime."""
    golden_every_s: Seconds = 3600.0
    """How often the golden input runs again while nobody is at the door; at the latest after twice
    as long, whoever is there."""
