"""The gallery worker: loads the gallery, and swaps the index when any process has changed it."""

from __future__ import annotations

import logging
from typing import Final

from edgeface.errors import EdgefaceError, GalleryError, StateError
from edgeface.gallery.build import GalleryWatch
from edgeface.gallery.opening import open_or_replace
from edgeface.gallery.store import GalleryStore
from edgeface.recognition.index import GalleryIndex
from edgeface.service.board import Board
from edgeface.service.supervisor import FatalError
from edgeface.service.time_floor import TimeFloor
from edgeface.service.worker import Pulse

POLL_S: Final = 1.0
WAIT_S: Final = 0.02
LOAD_S: Final = 120.0
"""10,000 people take a few seconds on a Pi, with a writer to wait for."""

_log = logging.getLogger(__name__)


class GalleryFollower:
    """`run` is the worker's function."""

    def __init__(self, board: Board, floor: TimeFloor) -> None:
        self._board = board
        self._floor = floor

    def run(self, pulse: Pulse) -> None:
        """Open the gallery once the models are known, then look for changes until told to stop.

        A gallery that cannot be opened the first time ends the process (FatalError); later the
        index that was loaded goes on.
        """
        while (facts := self._board.models) is None:
            pulse.beat()
            if pulse.stop.wait(WAIT_S):
                return
        first = self._board.gallery is None
        try:
            with pulse.patience(LOAD_S):
                opened = open_or_replace(self._board.settings)
        except (GalleryError, StateError) as error:
            if first:
                raise FatalError(error) from error
            raise
        with opened.store as store:
            space, watch = facts.space, GalleryWatch(store, facts.space)
            while not pulse.stop.is_set():
                now = self._board.models
                if now is not None and now.space != space:
                    space, watch = now.space, GalleryWatch(store, now.space)
                with pulse.patience(LOAD_S):
                    self._poll(store, watch)
                if self._board.gallery is None:
                    raise FatalError(GalleryError(str(self._board.gallery_trouble)))
                self._floor.persist()
                pulse.stop.wait(POLL_S)

    def _poll(self, store: GalleryStore, watch: GalleryWatch) -> None:
        try:
            index = watch.poll()
            if index is not None:
                self._take(index, store)
        except EdgefaceError as error:
            self._board.gallery_trouble = str(error)
            _log.error("the gallery cannot be read, the one before is used on: %s", error)
            return
        self._board.gallery_trouble = None

    def _take(self, index: GalleryIndex, store: GalleryStore) -> None:
        others = sum(store.spaces().values()) - len(index.matrix)
        self._board.model_trouble = (
            f"{others} templates of the gallery belong to another model and cannot match; enrol "
            "these people again"
            if others > 0
            else None
        )
        before = self._board.gallery
        self._board.gallery = index
        if before is not None:
            _log.info(
                "gallery changed",
                extra={
                    "revision": index.revision,
                    "people": len(index.people),
                    "templates": len(index.matrix),
                },
            )
