"""The gallery worker: loads the gallery, and swaps the index when any process has changed it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final, TypeAlias

from edgeface.base.counting import people
from edgeface.base.errors import EdgefaceError, GalleryError, StateError
from edgeface.gallery.database import GalleryCorruptError
from edgeface.gallery.opening import GalleryWatch, given_up, last_set_aside, open_or_replace
from edgeface.gallery.store import GalleryStore
from edgeface.recognition.index import GalleryIndex
from edgeface.service.board import Board, ModelFacts
from edgeface.service.supervisor import FatalError, fatal
from edgeface.service.time_floor import TimeFloor
from edgeface.service.worker import Pulse

POLL_S: Final = 1.0
LOAD_S: Final = 120.0
"""10,000 people take a few seconds on a Pi, with a writer to wait for."""

Gone: TypeAlias = Callable[[str], bool]
Forget: TypeAlias = Callable[[Gone, object], None]
"""Erases what is kept of people elsewhere: of whom `gone` says so, by a state of the gallery."""

_log = logging.getLogger(__name__)


class LocalGallery:
    """`run` is the worker's function."""

    def __init__(self, board: Board, floor: TimeFloor, forget: Forget = lambda *_: None) -> None:
        self._forget = forget
        self._board = board
        self._floor = floor
        self._lost: str | None = None
        """Why the gallery is empty, where it was lost."""

    def run(self, pulse: Pulse) -> None:
        """Open the gallery once the models are known, then look for changes until told to stop.

        A gallery that cannot be opened the first time ends the process (FatalError); later the
        index that was loaded goes on.
        """
        facts = pulse.until(lambda: self._board.models)
        if facts is None:
            return
        first = self._board.gallery is None
        with fatal(GalleryError, StateError, when=first), pulse.patience(LOAD_S):
            store = open_or_replace(self._board.settings)
        aside = last_set_aside(self._board.settings)
        if aside is not None:
            self._lost = (
                f"the gallery was damaged and set aside as {aside}, and nobody is in the new one; "
                "import the last export with `edgeface gallery import FILE`, or enroll everyone "
                "again; without that damaged file an empty gallery is in order"
            )
        try:
            with store:
                self._follow(store, facts, pulse)
        except GalleryCorruptError as error:  # what the check at the opening does not find
            raise given_up(self._board.settings, error) from error

    def _follow(self, store: GalleryStore, facts: ModelFacts, pulse: Pulse) -> None:
        space, watch = facts.space, GalleryWatch(store, facts.space, facts.dimensions)
        while not pulse.stop.is_set():
            now = self._board.models
            if now is not None and now.space != space:
                space = now.space
                watch = GalleryWatch(store, space, now.dimensions)
            with pulse.patience(LOAD_S):
                self._poll(store, watch)
            if self._board.gallery is None:
                raise FatalError(GalleryError(str(self._board.by_gallery.trouble)))
            self._floor.persist()
            self._board.by_gallery.time_trouble = self._floor.trouble
            pulse.stop.wait(POLL_S)

    def _poll(self, store: GalleryStore, watch: GalleryWatch) -> None:
        try:
            index = watch.poll()
            if index is not None:
                self._take(index, store)
            if self._missed is None:  # else nobody knows who was removed
                self._forget(lambda person_id: person_id not in store, store.stamp())
        except EdgefaceError as error:
            if isinstance(error, GalleryCorruptError) and self._board.gallery is None:
                raise
            self._board.by_gallery.trouble = str(error)
            _log.error("the gallery cannot be read, the one before is used on: %s", error)
            return
        self._board.by_gallery.trouble = store.read_only or self._missed

    @property
    def _missed(self) -> str | None:
        """Why nobody is in the gallery, where it was lost."""
        now = self._board.gallery
        return None if now is not None and now.people else self._lost

    def _take(self, index: GalleryIndex, store: GalleryStore) -> None:
        others = _of_other_models(store, index)
        self._board.by_gallery.model_trouble = (
            f"{people(others)} of the gallery cannot be recognized, with templates of another "
            "model alone; `edgeface gallery audit` names them, enroll them again"
            if others
            else None
        )
        before = self._board.gallery
        self._board.by_gallery.index = index
        _log.info(
            "gallery %s",
            "loaded" if before is None else "changed",
            extra={
                "revision": index.revision,
                "people": len(index.people),
                "templates": len(index.matrix),
            },
        )


def _of_other_models(store: GalleryStore, index: GalleryIndex) -> int:
    """How many people have templates, and none of the index's space: damaged ones are no such."""
    known = frozenset(index.people)
    spaces = (store.spaces(person_id) for person_id in store.ids() if person_id not in known)
    return sum(bool(found) and index.space not in found for found in spaces)
