from __future__ import annotations

import logging
import math
from pathlib import Path

import numpy as np
import pytest

from edgeface.base.errors import GalleryError
from edgeface.gallery.database import set_aside
from edgeface.gallery.opening import GalleryWatch, build_index
from edgeface.gallery.person import Person
from edgeface.gallery.store import GalleryStore
from edgeface.recognition.templates import decode_template
from tests.support.gallery import ALICE, BOB, CAROL, KEY, OTHER_SPACE, SPACE, direction, put, stored


def test_the_index_holds_everyone_enrolled_for_the_space(store: GalleryStore) -> None:
    put(store, BOB, 3, name="Bob")
    put(store, ALICE, 1, 2)
    with store.change() as change:
        change.put_person(Person(CAROL, "Carol", 10.0, 20.0))
        change.put_templates(CAROL, OTHER_SPACE, [stored(direction(4))])
    index = build_index(store, SPACE)
    assert index.people == (ALICE, BOB)
    assert index.display_names == (None, "Bob")
    assert index.owners.tolist() == [0, 0, 1]
    assert (index.epoch, index.revision, index.space) == (0, 3, SPACE)
    expected = [decode_template(stored(direction(n)).template) for n in (1, 2, 3)]
    np.testing.assert_allclose(index.matrix, expected, atol=1e-6)
    assert index.valid_from_s.tolist() == [-math.inf] * 2
    other = build_index(store, OTHER_SPACE)
    assert (other.people, other.valid_from_s[0], other.valid_to_s[0]) == ((CAROL,), 10.0, 20.0)


def test_an_empty_gallery_gives_an_index_of_nobody(store: GalleryStore) -> None:
    index = build_index(store, SPACE)
    assert (index.people, index.matrix.shape) == ((), (0, 128))


def test_a_damaged_row_is_logged_by_id_and_left_out(
    store: GalleryStore, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, ALICE, 1)
    put(store, BOB, 2)
    store._connection().execute("UPDATE people SET body = x'00' WHERE person_id = ?", (BOB,))
    with caplog.at_level(logging.ERROR):
        assert build_index(store, SPACE).people == (ALICE,)
    assert BOB in caplog.text


def test_a_watch_sees_a_change_of_another_process_once(path: Path, store: GalleryStore) -> None:
    watch = GalleryWatch(store, SPACE)
    first = watch.poll()
    assert first is not None
    assert first.people == ()
    assert watch.poll() is None
    with GalleryStore(path, KEY) as other:
        put(other, ALICE, 1)
    second = watch.poll()
    assert second is not None
    assert (second.people, second.revision) == ((ALICE,), 1)
    assert first.people == ()
    assert watch.poll() is None


def test_a_watch_sees_a_change_made_through_its_own_store(store: GalleryStore) -> None:
    watch = GalleryWatch(store, SPACE)
    watch.poll()
    put(store, ALICE, 1)
    index = watch.poll()
    assert index is not None
    assert index.people == (ALICE,)
    assert watch.poll() is None


def test_a_checkpoint_alone_is_no_change(path: Path, store: GalleryStore) -> None:
    put(store, ALICE, 1)
    watch = GalleryWatch(store, SPACE)
    watch.poll()
    with GalleryStore(path, KEY) as other:
        other.scrub()
    assert watch.poll() is None


def test_a_watch_follows_a_file_that_was_replaced(path: Path, store: GalleryStore) -> None:
    put(store, ALICE, 1)
    watch = GalleryWatch(store, SPACE)
    watch.poll()
    set_aside(path)
    assert watch.poll() is None
    with GalleryStore(path, KEY) as fresh:
        put(fresh, BOB, 2)
        index = watch.poll()
        assert index is not None
        assert index.people == (BOB,)
        put(fresh, CAROL, 3)
        index = watch.poll()
        assert index is not None
        assert index.people == (BOB, CAROL)


def test_a_watch_that_cannot_read_tells_and_tries_again(path: Path, store: GalleryStore) -> None:
    put(store, ALICE, 1)
    watch = GalleryWatch(store, SPACE)
    watch.poll()
    aside = set_aside(path)
    path.write_bytes(b"no database" * 1000)
    for _ in range(2):
        with pytest.raises(GalleryError, match="damaged"):
            watch.poll()
    path.unlink()
    aside.rename(path)
    assert watch.poll() is None
    assert store.ids() == (ALICE,)
