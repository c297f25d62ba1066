"""From a tree of photographs to the master gallery, and what a gallery of a size risks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeface.base.errors import NamedFileError
from edgeface.fleet.admin.coverage import coverage, false_accepts_a_year, poor_people
from edgeface.fleet.admin.master import Master
from edgeface.gallery.enrollment import Wish
from edgeface.gallery.gate import Gate
from edgeface.gallery.likeness import Bar
from edgeface.gallery.person import Person
from edgeface.gallery.photo_enrollment import Examined, Terms, enroll_photos, enroll_tree
from edgeface.recognition.quality import QualityLimits
from tests.support.fleet_site import FleetSite, new_site, person_id
from tests.support.gallery import (
    CALIBRATION,
    OTHER_SPACE,
    SPACE,
    PaintedDetector,
    PaintedEmbedder,
    direction,
    portrait,
    stored,
    write_photo,
)

GATE = Gate(PaintedDetector(), PaintedEmbedder(), QualityLimits(min_sharpness=0.0))
BAR = Bar(same_person=0.3, lookalike=lambda _: 0.5)


@pytest.fixture
def site(memory: Path) -> FleetSite:
    return new_site(memory / "site", 1)


@pytest.fixture
def tree(memory: Path) -> Path:
    for name in ("Ann", "Bob"):
        folder = memory / "tree" / name
        folder.mkdir(parents=True)
        write_photo(folder / "1.png", portrait(len(name) if name == "Ann" else 5))
        (folder / "notes.txt").write_text("not a picture")
    (memory / "tree" / "readme.md").write_text("not a person")
    return memory / "tree"


def enrolled(master: Master, tree: Path) -> list[Examined]:
    return list(enroll_tree(master, GATE, tree, Terms(SPACE, BAR, 1.8e9)))


def test_each_folder_becomes_a_person_once(site: FleetSite, tree: Path) -> None:
    with Master(site.folder) as master:
        first = enrolled(master, tree)
        assert [(done.name, len(done.portraits), done.skipped) for done in first] == [
            ("Ann", 1, None),
            ("Bob", 1, None),
        ]
        again = enrolled(master, tree)
        assert all("is enrolled already as p_" in str(done.skipped) for done in again)
        assert len(master.draft().changes) == master.store.count() == 2


def test_somebody_known_without_templates_of_the_model_gets_them(
    site: FleetSite, tree: Path
) -> None:
    with Master(site.folder) as master:
        with master.touching([person_id(1)]) as store, store.change() as change:
            change.put_person(Person(person_id(1), "Ann"))
            change.put_templates(person_id(1), OTHER_SPACE, [stored(direction(1))])
        enrolled(master, tree)
        assert master.store.spaces(person_id(1)) == {OTHER_SPACE: 1, SPACE: 1}


def test_a_name_that_two_people_have_is_left_alone(site: FleetSite, tree: Path) -> None:
    with Master(site.folder) as master:
        for number in (1, 2):
            with master.touching([person_id(number)]) as store, store.change() as change:
                change.put_person(Person(person_id(number), "Ann"))
        ann, bob = enrolled(master, tree)
        assert ann.failed == "2 people have this name"
        assert bob.enrollment is not None


def test_one_who_cannot_be_stored_does_not_stop_the_others(site: FleetSite, tree: Path) -> None:
    write_photo(tree / "Ann" / "bob.png", portrait(5))
    with Master(site.folder) as master:
        ann, bob = enrolled(master, tree)
    assert "Several people" in str(ann.failed)
    assert bob.enrollment is not None


def test_one_person_in_two_folders_is_noticed_also_when_it_is_only_rehearsed(
    site: FleetSite, tree: Path
) -> None:
    (tree / "Robert").mkdir()
    write_photo(tree / "Robert" / "1.png", portrait(5))
    with Master(site.folder) as master:
        with master.rehearsal():
            *_, robert = enrolled(master, tree)
            assert "(Bob), score 1.00: the same person twice?" in str(robert.failed)
        assert (master.store.count(), master.ledger.touched()) == (0, ())
        *_, robert = enrolled(master, tree)
        assert "(Bob), score 1.00: the same person twice?" in str(robert.failed)
        assert master.store.count() == 2


@pytest.mark.parametrize("name", ["nowhere", "tree/Ann"])
def test_a_tree_without_people_is_an_error(site: FleetSite, tree: Path, name: str) -> None:
    with Master(site.folder) as master, pytest.raises(NamedFileError, match=Path(name).name):
        enrolled(master, tree.parent / name)


def test_who_is_missing_in_a_space_is_named(site: FleetSite) -> None:
    site.put({1: [1], 2: [2, 3]})
    site.put({2: [2]}, OTHER_SPACE)
    with Master(site.folder) as master:
        old, new = coverage(master.store, SPACE)[0], coverage(master.store, OTHER_SPACE)[0]
        assert (old.people, old.templates, old.missing) == (2, 3, ())
        assert (new.space, new.people, new.missing) == (OTHER_SPACE, 1, (person_id(1),))
        assert coverage(master.store, "7" * 64)[0].missing == (person_id(1), person_id(2))
        assert poor_people(master.store, SPACE, 0.8) == (person_id(1), person_id(2))
        assert poor_people(master.store, SPACE, 0.75) == ()


def test_photos_are_added_to_somebody_known(site: FleetSite, tree: Path) -> None:
    with Master(site.folder) as master:
        photos = [tree / "Ann" / "1.png"]
        first = enroll_photos(master, GATE, photos, Wish(None, "Ann"), Terms(SPACE, BAR, 1.8e9))
        assert first.enrollment is not None
        known = first.enrollment.person.person_id
        write_photo(photos[0], portrait(3, look=1))
        second = enroll_photos(master, GATE, photos, Wish(known), Terms(SPACE, BAR, 1.9e9))
        assert second.enrollment is not None
        assert (second.enrollment.is_new, second.enrollment.templates) == (False, 2)


def test_false_accepts_follow_from_the_calibration() -> None:
    threshold = CALIBRATION.identification_threshold(1e-3, 3, 500).value
    expected = false_accepts_a_year(
        CALIBRATION, threshold, templates=500, max_looks=3, strangers_a_day=100
    )
    np.testing.assert_allclose(expected, 100 * 365 * 1e-3, rtol=0.02)
    certain = false_accepts_a_year(CALIBRATION, -1.0, templates=5, max_looks=3, strangers_a_day=2)
    assert certain == 2 * 365
