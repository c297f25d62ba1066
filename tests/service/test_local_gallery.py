"""The gallery's worker: of a gallery of the device's own, and what a reload means in a fleet."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from edgeface.base.clock import ManualClock
from edgeface.gallery.database import GalleryCorruptError
from edgeface.gallery.opening import open_gallery
from edgeface.gallery.store import GalleryStore
from edgeface.inference.package import load_package
from edgeface.service import local_gallery
from edgeface.service.board import Board
from edgeface.service.checked_models import change
from edgeface.service.fleet_gallery import FleetGallery
from edgeface.service.local_gallery import LocalGallery
from edgeface.service.time_floor import TimeFloor
from edgeface.service.worker import Pulse
from edgeface.settings.places import shipped_models
from tests.support.broker import eventually
from tests.support.gallery import ALICE, BOB, OTHER_SPACE, SPACE, direction, put, stored
from tests.support.settings import settings_of


@pytest.fixture
def board(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    monkeypatch.setattr(local_gallery, "POLL_S", 0.01)
    board = Board(settings_of(state_dir=str(tmp_path)))
    board.by_recognizer.models = cast(Any, SimpleNamespace(space=SPACE, dimensions=128))
    return board


@contextmanager
def replica(board: Board) -> Iterator[Callable[[Callable[[], bool]], None]]:
    """The worker while it runs; gives a function that waits for something on the board."""
    floor = TimeFloor(board.settings.state_dir / "time", ManualClock())
    pulse = Pulse(10)
    thread = threading.Thread(target=LocalGallery(board, floor).run, args=(pulse,))
    thread.start()
    try:
        eventually(lambda: board.gallery is not None)
        yield eventually
    finally:
        pulse.stop.set()
        thread.join()


def people(board: Board) -> tuple[str, ...]:
    return () if board.gallery is None else board.gallery.people


def put_other(store: GalleryStore, person_id: str, number: int) -> None:
    with store.change() as work:
        work.put_templates(person_id, OTHER_SPACE, [stored(direction(number))])


def test_people_of_another_model_alone_are_told_of_until_they_are_enrolled_again(
    board: Board,
) -> None:
    with open_gallery(board.settings) as store:
        put(store, ALICE, 1)
        put_other(store, ALICE, 2)
        put(store, BOB)
        put_other(store, BOB, 3)
        with replica(board) as wait:
            assert people(board) == (ALICE,)
            wait(lambda: board.by_gallery.model_trouble is not None)
            assert str(board.by_gallery.model_trouble).startswith("1 person of the gallery")
            put(store, BOB, 4)
            wait(lambda: people(board) == (ALICE, BOB))
            wait(lambda: board.by_gallery.model_trouble is None)


def test_damaged_templates_are_not_taken_for_those_of_another_model(board: Board) -> None:
    with open_gallery(board.settings) as store:
        put(store, ALICE, 1)
        put(store, BOB, 2)
    with sqlite3.connect(board.settings.gallery_file) as connection:
        connection.execute("UPDATE templates SET body = x'00' WHERE person_id = ?", (BOB,))
    with replica(board):
        assert people(board) == (ALICE,)
        assert board.by_gallery.model_trouble is None


def test_a_gallery_that_was_lost_is_trouble_until_somebody_is_in_the_new_one(board: Board) -> None:
    with open_gallery(board.settings):
        pass
    board.settings.gallery_file.write_bytes(b"no database" * 1000)
    for _ in range(2):  # also after a restart, which finds the new, empty gallery
        board.by_gallery.index = board.by_gallery.trouble = None
        with replica(board) as wait:
            wait(lambda: board.by_gallery.trouble is not None)
            assert "gallery import" in str(board.by_gallery.trouble)
            assert ".corrupt-" in str(board.by_gallery.trouble)
    with replica(board) as wait, open_gallery(board.settings) as store:
        put(store, ALICE, 1)
        wait(lambda: board.by_gallery.trouble is None)
        assert people(board) == (ALICE,)


def test_damage_that_only_the_first_reading_finds_sets_the_gallery_aside_as_well(
    board: Board,
) -> None:
    with open_gallery(board.settings) as store, store.change() as change:
        change.execute("UPDATE position SET revision = 'x'")
    floor = TimeFloor(board.settings.state_dir / "time", ManualClock())
    with pytest.raises(GalleryCorruptError, match="gallery import"):
        LocalGallery(board, floor).run(Pulse(10))
    with replica(board) as wait:  # the worker's next turn
        wait(lambda: board.by_gallery.trouble is not None)
        assert people(board) == ()


def test_a_gallery_that_is_empty_from_the_beginning_is_in_order(board: Board) -> None:
    with replica(board):
        assert people(board) == ()
        assert board.by_gallery.trouble is None


def test_a_next_embedder_that_a_reload_names_is_offered_and_once_more_after_each_reload(
    board: Board, tmp_path: Path
) -> None:
    nothing = cast(Any, None)
    floor = TimeFloor(tmp_path / "time", ManualClock())
    replica = FleetGallery(board, nothing, floor, nothing)
    covered = cast(
        Any,
        SimpleNamespace(
            trusted=SimpleNamespace(manifest=SimpleNamespace(version=1)),
            standing="current",
            covered_by=lambda space: True,
        ),
    )
    folder = Path(shutil.copytree(shipped_models() / "facenet", tmp_path / "next"))
    offered: list[str | None] = []
    for next_embedder in (None, folder, folder):
        board.by_main.settings = board.settings.model_copy(
            update={
                "gallery": board.settings.gallery.model_copy(update={"source": "fleet"}),
                "models": board.settings.models.model_copy(update={"next_embedder": next_embedder}),
            }
        )
        for _ in range(2):
            board.covered_space = None
            before = board.by_gallery.offer
            replica._offer_next(covered)
            offer = board.by_gallery.offer
            offered.append(None if offer is None or offer is before else offer.space)
    space = load_package(folder).space_id
    assert change(board.settings, SPACE) is None, "it is another one by now"
    assert not list(tmp_path.glob("embedder-space"))
    assert offered == [None, None, space, None, space, None]
