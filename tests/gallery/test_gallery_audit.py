from __future__ import annotations

import math

import numpy as np
import pytest

from edgeface.gallery.audit import audit, nearest_pairs, supported_templates
from edgeface.gallery.opening import build_index
from edgeface.gallery.person import Person
from edgeface.gallery.store import GalleryStore
from edgeface.inference.named_shares import NamedShares
from tests.support.gallery import (
    ALICE,
    BOB,
    CALIBRATION,
    CAROL,
    OTHER_SPACE,
    SPACE,
    direction,
    near,
    put,
    stored,
)

NAMED = NamedShares.model_validate(
    {
        "people": 250,
        "photographs": 3,
        "sizes": [
            {"people": 1, "threshold": 0.1, "still": 1.0, "track": 1.0},
            {"people": 1000, "threshold": 0.8, "still": 0.3, "track": 0.9},
        ],
    }
)
DAVE, ERIN = "p_dave000000", "p_er1n000000"


def test_an_audit_names_what_is_weak(store: GalleryStore) -> None:
    put(store, ALICE, 1, 2)
    with store.change() as change:
        change.put_person(Person(BOB, "Bob", valid_to_s=100.0))
        change.put_templates(BOB, SPACE, [stored(near(direction(2), 0.9))])
        change.put_person(Person(CAROL, "Carol"))
        change.put_templates(CAROL, OTHER_SPACE, [stored(direction(4))])
    put(store, DAVE, 5, 6)
    put(store, ERIN, 7, 8)
    store._connection().execute("UPDATE people SET body = x'00' WHERE person_id = ?", (ERIN,))
    report = audit(store, SPACE, CALIBRATION, target_fpir=1e-3, max_looks=3, now_s=100.0)
    assert (report.people, report.templates) == (5, 5)
    assert report.threshold == CALIBRATION.identification_threshold(1e-3, 3, 5)
    assert [(p.first, p.second) for p in report.confusable] == [(ALICE, BOB)]
    assert report.closest is not None
    assert report.closest.score == pytest.approx(0.9, abs=0.01)
    assert report.one_template == (BOB,)
    assert report.without_templates == (CAROL,)
    assert report.expired == (BOB,)
    assert report.damaged == (ERIN,)


def test_the_audit_of_an_empty_gallery_has_no_threshold(store: GalleryStore) -> None:
    report = audit(store, SPACE, CALIBRATION, NAMED, target_fpir=1e-3, max_looks=3, now_s=0.0)
    assert (report.people, report.threshold, report.closest) == (0, None, None)
    assert report.expected is None


def test_what_is_expected_follows_from_the_threshold_for_this_size(store: GalleryStore) -> None:
    expected = []
    for number in range(1, 4):
        put(store, f"p_{number:010d}", number)
        for target in (1e-3, 1e-12):
            report = audit(
                store, SPACE, CALIBRATION, NAMED, target_fpir=target, max_looks=3, now_s=0.0
            )
            assert report.threshold is not None
            assert report.expected == NAMED.at(report.threshold.value)
            expected.append((report.expected.still, report.expected.extrapolated))
    ordinary, strict = expected[::2], expected[1::2]
    assert ordinary == sorted(ordinary, reverse=True)
    assert not ordinary[0][1]
    assert all(far for _, far in strict)
    bare = audit(store, SPACE, CALIBRATION, target_fpir=1e-3, max_looks=3, now_s=0.0)
    assert bare.expected is None


def test_the_nearest_pair_is_told_even_when_none_is_confusable(store: GalleryStore) -> None:
    put(store, ALICE, 1, 2)
    put(store, BOB, 3)
    pairs = nearest_pairs(build_index(store, SPACE), 0.99)
    assert [(pair.first, pair.second) for pair in pairs] == [(ALICE, BOB)]
    assert pairs[0].score < 0.5
    assert nearest_pairs(build_index(store, OTHER_SPACE), 0.99) == []


def test_pairs_are_those_of_a_plain_comparison_of_all_with_all(store: GalleryStore) -> None:
    numbers = iter(range(10_000))
    with store.change() as change:
        for person in range(300):
            person_id = f"p_{person:010d}"
            change.put_person(Person(person_id))
            change.put_templates(
                person_id, SPACE, [stored(direction(next(numbers) % 1000)) for _ in range(4)]
            )
    index = build_index(store, SPACE)
    scores = index.matrix.cosines(np.asarray(index.matrix))
    expected: dict[tuple[str, str], float] = {}
    for a, b in np.argwhere(scores >= 0.25):
        one, other = sorted((index.people[index.owners[a]], index.people[index.owners[b]]))
        if one != other:
            expected[one, other] = max(expected.get((one, other), -1.0), float(scores[a, b]))
    found = nearest_pairs(index, 0.25)
    assert {(p.first, p.second): pytest.approx(p.score, abs=1e-5) for p in found} == expected
    assert [p.score for p in found] == sorted((p.score for p in found), reverse=True)
    assert len(found) > 100


@pytest.mark.parametrize("smallest", [1e-7, 1e-5, 1e-3, 0.5])
def test_the_supported_size_is_where_extrapolation_begins(smallest: float) -> None:
    share = 1e-3 / 3
    most = supported_templates(share, smallest)
    demanded = [-math.expm1(math.log1p(-share) / n) if n else 1.0 for n in (most, most + 1)]
    assert demanded[0] >= smallest * (1 - 1e-9)
    assert demanded[1] < smallest
    assert supported_templates(share, 1.0) == 0
