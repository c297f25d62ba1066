"""A gallery in which a single bit has flipped: opened, or set aside with words; nothing else, and
never a wrong name."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeface.gallery.database import GalleryCorruptError
from edgeface.gallery.opening import build_index
from edgeface.gallery.store import GalleryStore
from tests.support.flips import PAGE, bits_of, flip, flipped
from tests.support.gallery import ALICE, BOB, KEY, SPACE, put

NAMED = [(byte, 7) for byte in (3225, 1414, 2135, 3007, 3480, 3498, 4009)] + [(63, 0), (63, 1)]
"""Which have ended the daemon at every start: in the texts of the schema (no UTF-8, a column less,
another name), and in the number of the format."""


@pytest.fixture
def content(path: Path) -> bytes:
    """A gallery of two people."""
    with GalleryStore(path, KEY) as store:
        put(store, ALICE, 1)
        put(store, BOB, 2, 3)
    return path.read_bytes()


def use(path: Path) -> tuple[str, ...]:
    """Everything that a daemon and `gallery list` ask for; who would be recognized."""
    with GalleryStore(path, KEY) as store:
        for person_id in store.ids():
            store.spaces(person_id)
        store.position()
        index = build_index(store, SPACE)
        put(store, "p_car0100000", 4)
    return index.people


def test_a_bit_of_the_schemas_page_is_harmless_or_the_file_is_damaged(
    path: Path, content: bytes
) -> None:
    damaged = 0
    for place in flipped(content, path, NAMED + bits_of(content, 0, PAGE, 120)):
        try:
            people = use(path)
        except GalleryCorruptError:
            damaged += 1
        else:
            assert people == (ALICE, BOB), place
            assert place not in NAMED
    assert damaged > 60


def test_a_bit_of_any_other_page_hides_a_person_or_the_file_is_damaged(
    path: Path, content: bytes
) -> None:
    for place in flipped(content, path, bits_of(content, PAGE, len(content), 400)):
        try:
            people = use(path)
        except GalleryCorruptError:
            continue
        assert set(people) <= {ALICE, BOB}, place


def test_an_id_that_is_no_text_any_more_costs_this_person_alone(path: Path, content: bytes) -> None:
    at = content.rfind(BOB.encode())
    while at >= 0:
        flip(path, at + 3, 7)
        at = content.rfind(BOB.encode(), 0, at)
    assert use(path) == (ALICE,)


def test_a_damaged_check_of_the_key_is_made_anew_where_the_key_opens_somebody(
    path: Path, content: bytes
) -> None:
    with GalleryStore(path, KEY) as store, store.change() as change:
        change.execute("UPDATE position SET key_check = 7")
    assert use(path) == (ALICE, BOB)
    assert "p_car0100000" in use(path)
