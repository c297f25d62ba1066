"""A fleet moves to another embedder: the device follows when everybody has templates of it.

`models.embedder` is in use until the fleet's manifest says that everybody has templates of
`models.next_embedder`; from then on that is, also after a restart and while the broker is away.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from edgeface.base.errors import EdgefaceError, ModelError
from edgeface.base.files import PRIVATE, write_file
from edgeface.inference.package import load_package
from edgeface.service.checked_models import open_checked
from edgeface.settings.tree import Settings

CHOICE_NAME: Final = "embedder-space"
"""In the state folder: the space of the embedder that was changed to."""

_log = logging.getLogger(__name__)


def next_space(settings: Settings) -> str | None:
    """The space of the embedder that waits; None when none does, or it cannot be used."""
    if settings.models.next_embedder is None or settings.gallery.source != "fleet":
        return None
    try:
        return load_package(settings.models.next_embedder).space_id
    except ModelError as error:
        _log.error("models.next_embedder: %s", error)
        return None


def in_use(settings: Settings) -> Settings:
    """`settings` with the next embedder in the place of the first, if it was changed to."""
    space = next_space(settings)
    return changed(settings) if space is not None and _chosen(settings) == space else settings


def changed(settings: Settings) -> Settings:
    """`settings` with the next embedder in the place of the first."""
    models = settings.models
    update = {"embedder": models.next_embedder or models.embedder, "next_embedder": None}
    return settings.model_copy(update={"models": models.model_copy(update=update)})


def change(settings: Settings, space: str) -> Settings | None:
    """The settings from now on, remembered over a restart; None when the next embedder is not, or
    no longer, the one of `space`, fails its check, or the choice cannot be kept."""
    if next_space(settings) != space:
        return None
    after = changed(settings)
    try:
        open_checked(after, accelerator="cpu")
        write_file(_file(settings), f"{space}\n".encode(), PRIVATE, replace=True)
    except EdgefaceError as error:
        _log.error("the next embedder is not taken into use: %s", error)
        return None
    _log.info("everybody has templates of the next embedder: it is taken into use")
    return after


def _chosen(settings: Settings) -> str | None:
    try:
        return _file(settings).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None


def _file(settings: Settings) -> Path:
    return settings.state_dir / CHOICE_NAME
