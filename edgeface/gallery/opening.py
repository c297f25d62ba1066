"""Open the gallery that a configuration means, build its immutable index, and notice when that is
outdated."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edgeface.base.errors import GalleryError
from edgeface.gallery.database import GalleryCorruptError, set_aside
from edgeface.gallery.key_file import key_path, load_key
from edgeface.gallery.store import GalleryStore, Position
from edgeface.recognition.index import GalleryIndex
from edgeface.settings.tree import Settings

_log = logging.getLogger(__name__)
NO_GALLERY: Final = "no gallery; enroll somebody with `edgeface enroll`"


def gallery_key(settings: Settings) -> bytes | None:
    """The key of the gallery's rows, made on first use; None where encryption is off.

    Raises StateError or GalleryError as `load_key` does.
    """
    if not settings.gallery.encrypt:
        return None
    path = key_path(settings.gallery.key_file, settings.state_dir)
    return load_key(path, create=not settings.gallery_file.exists())


@contextmanager
def open_gallery(settings: Settings) -> Iterator[GalleryStore]:
    """The configured gallery, made where absent, for the block.

    A file that is damaged, also where only the block notices it, is set aside; then
    GalleryCorruptError says where it is and what to do. Raises GalleryError (key) and StateError
    (file) otherwise.
    """
    try:
        with GalleryStore(settings.gallery_file, gallery_key(settings)) as store:
            yield store
    except GalleryCorruptError as error:
        raise given_up(settings, error) from error


@contextmanager
def existing_gallery(settings: Settings) -> Iterator[GalleryStore]:
    """As `open_gallery`, for who asks: where there is no gallery nobody is found in it, and neither
    it nor its key is made."""
    if settings.gallery_file.exists():
        with open_gallery(settings) as store:
            yield store
        return
    with (
        tempfile.TemporaryDirectory(prefix="edgeface-nobody-") as scratch,
        GalleryStore(Path(scratch, settings.gallery_file.name), None) as store,
    ):
        yield store


def given_up(settings: Settings, error: GalleryCorruptError) -> GalleryCorruptError:
    """Set a gallery that nobody has open aside; `error` with where it is and what to do. Raises
    StateError."""
    aside = set_aside(settings.gallery_file)
    return GalleryCorruptError(
        f"{error}; it was set aside as {aside}, nothing was deleted. {_way_out(settings)}"
    )


def open_or_replace(settings: Settings) -> GalleryStore:
    """As `open_gallery`, but goes on with an empty gallery in place of a damaged one, as a daemon
    does: nobody is recognized until there are people in it again. Goes on with what can be read
    where the disk is full."""
    key = gallery_key(settings)
    try:
        return GalleryStore(settings.gallery_file, key, bear=True)
    except GalleryCorruptError as error:
        _log.error("%s", given_up(settings, error))
        return GalleryStore(settings.gallery_file, key, bear=True)


def last_set_aside(settings: Settings) -> Path | None:
    """The damaged gallery that was set aside last and still lies there."""
    file = settings.gallery_file
    found = file.parent.glob(f"{file.name}.corrupt-*")
    return max((path for path in found if not path.name.endswith(("-wal", "-shm"))), default=None)


def refuse_in_fleet_mode(settings: Settings) -> None:
    """Raise GalleryError where the gallery comes from the fleet: local changes would be undone."""
    if settings.gallery.source == "fleet":
        raise GalleryError(
            "this device takes its gallery from the fleet (gallery.source: fleet), so it is not "
            "changed here; use `edgeface fleet` on the administrator's machine"
        )


def _way_out(settings: Settings) -> str:
    if settings.gallery.source == "fleet":
        return "The gallery is fetched again from the broker."
    return (
        "Import the last export with `edgeface gallery import FILE`, or enroll everyone again; the "
        "next command starts with an empty gallery."
    )


def build_index(store: GalleryStore, space: str, dimensions: int | None = None) -> GalleryIndex:
    """The index of everyone with templates in `space`.

    People who are left out (see `GalleryStore.load`) are logged by id. Raises GalleryCorruptError
    or StateError when the file cannot be read.
    """
    index, damaged = store.load(space, dimensions)
    for person_id in damaged:
        _log.error(
            "%s: the stored data of %s are damaged; the person is not recognized until enrolled "
            "again or imported from an export",
            store.path,
            person_id,
        )
    return index


class GalleryWatch:
    """Tells a running daemon of changes that any process made to the gallery.

    Poll it from one thread, about once a second; a poll that finds nothing new costs some
    microseconds. The index is built aside; the caller swaps it in whole.
    """

    def __init__(self, store: GalleryStore, space: str, dimensions: int | None = None) -> None:
        self._store = store
        self._space = space
        self._dimensions = dimensions
        self._stamp: tuple[int, ...] | None = None
        self._position: Position | None = None

    def poll(self) -> GalleryIndex | None:
        """A new index when the gallery is not as at the last call (always the first time).

        Raises GalleryCorruptError, GalleryError or StateError; the caller then goes on with the
        index it has, and the next poll tries again.
        """
        stamp = self._store.stamp()
        if stamp == self._stamp:
            return None
        position = self._store.position()
        if position == self._position and stamp[:2] == (self._stamp or ())[:2]:
            self._stamp = stamp
            return None
        index = build_index(self._store, self._space, self._dimensions)
        # Taken before the index was built: a change in between is seen by the next poll.
        self._stamp, self._position = stamp, position
        return index
