"""Section `gallery`: where the people come from and how they are kept."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgeface.settings.base import Place, Section


class GallerySettings(Section):
    """Where the people come from and how they are kept. No photograph is ever kept."""

    source: Literal["local", "fleet"] = "local"
    """`local`: enrolled on this device. `fleet`: from the site's broker; no local changes."""
    encrypt: bool = True
    """Rows of the store are encrypted."""
    key_file: Place | None = None
    """The store's key; null: made at the first start in `state_dir`."""
    unsynced_clock: Literal["refuse", "allow"] = "refuse"
    """What happens to people with a validity window while the clock is not synchronised."""
    fleet_folder: Place | None = None
    """Pinned keys, encryption keys and floor, as `edgeface fleet device add` wrote them; null:
    `fleet` in `state_dir`."""
    grace_days: Annotated[int, Field(ge=0, le=365)] = 7
    """How long the last good gallery is used when nobody confirms it any more."""
