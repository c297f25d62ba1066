"""Templates of an embedder whose embeddings have not 128 numbers."""

from __future__ import annotations

import numpy as np
import pytest

from edgeface.base.errors import GalleryError
from edgeface.gallery.person import Person
from edgeface.gallery.store import GalleryStore
from tests.support.gallery import ALICE, BOB, CAROL, SPACE, direction, put, stored


def test_templates_of_512_numbers_come_back(store: GalleryStore) -> None:
    templates = [stored(direction(n, 512)) for n in (1, 2)]
    with store.change() as change:
        change.put_person(Person(ALICE))
        change.put_templates(ALICE, SPACE, templates)
    found = store.templates(ALICE, SPACE)
    assert [item.template for item in found] == [item.template for item in templates]
    index, damaged = store.load(SPACE)
    assert (index.matrix.shape, damaged) == ((2, 512), ())
    best = index.matrix.cosines(direction(2, 512)[np.newaxis])[0]
    assert best.argmax() == 1


def test_who_has_another_length_than_the_embedder_is_left_out(
    store: GalleryStore,
) -> None:
    """As by an import of templates that another model has made, under this one's space."""
    put(store, ALICE, 1)
    with store.change() as change:
        for person_id in (BOB, CAROL):
            change.put_person(Person(person_id))
            change.put_templates(person_id, SPACE, [stored(direction(2, 512))])
    index, damaged = store.load(SPACE, 128)
    assert (index.people, index.matrix.shape, damaged) == ((ALICE,), (1, 128), (BOB, CAROL))
    index, damaged = store.load(SPACE, 256)
    assert (len(index.people), damaged) == (0, (ALICE, BOB, CAROL))
    assert store.load(SPACE)[0].people == (BOB, CAROL)


def test_templates_of_two_lengths_are_not_stored(store: GalleryStore) -> None:
    put(store, ALICE, 1)
    both = [stored(direction(1)), stored(direction(1, 512))]
    with pytest.raises(GalleryError, match=r"\[128, 512\]"), store.change() as change:
        change.put_templates(ALICE, SPACE, both)
