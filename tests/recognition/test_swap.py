"""Somebody steps in front of somebody else: nobody inherits a name."""

from __future__ import annotations

import numpy as np
import pytest

from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.values import Embedding
from tests.support.people import Door, face, gallery, identity, uniform_calibration, view

RNG = np.random.default_rng(31)
ANNA, BERT, STRANGER = (identity(RNG) for _ in range(3))
WHO = {"p_anna": ANNA, "p_bert": BERT, "stranger": STRANGER}
INDEX = gallery([ANNA, BERT], ["p_anna", "p_bert"])
FRAME_S = 0.1


def look_of(name: str, rng: np.random.Generator) -> Embedding:
    return view(WHO[name], rng, 0.85)


def door() -> Door:
    return Door(INDEX, uniform_calibration())


def assert_every_name_is_the_true_one(scene: Door) -> None:
    """Who was named was there, and had been in that track for as many frames as it takes."""
    for said in scene.said:
        person = said.decision.person_id
        if person is not None:
            assert person == said.truth
            assert scene.seen[said.track_id].count(person) >= scene.rules.min_agreeing


@pytest.mark.parametrize("before", [1, 2, 3, 12], ids=lambda n: f"after {n} frames")
@pytest.mark.parametrize(
    ("first", "second"),
    [("p_anna", "p_bert"), ("p_anna", "stranger"), ("stranger", "p_anna")],
)
def test_a_face_that_takes_the_place_of_another_starts_a_new_track(
    first: str, second: str, before: int
) -> None:
    scene, rng = door(), np.random.default_rng(3)
    order = [first] * before + [second] * 12
    for number, name in enumerate(order):
        scene.frame([(name, face(400 + 2 * number), look_of(name, rng))], number * FRAME_S)
    scene.end(len(order) * FRAME_S)
    assert_every_name_is_the_true_one(scene)
    assert sorted(scene.seen) == [1, 2]
    assert scene.seen == {1: [first] * before, 2: [second] * 12}
    expected = [first] if before >= 3 and first in INDEX.people else []
    assert scene.names() == expected + ([second] if second in INDEX.people else [])


def test_two_people_who_change_places_between_two_frames_take_their_names_with_them() -> None:
    scene, rng = door(), np.random.default_rng(4)
    for number in range(24):
        left, right = ("p_anna", "p_bert") if number < 2 else ("p_bert", "p_anna")
        scene.frame(
            [
                (left, face(300), look_of(left, rng)),
                (right, face(450), look_of(right, rng)),
            ],
            number * FRAME_S,
        )
    scene.end(3.0)
    assert_every_name_is_the_true_one(scene)
    assert sorted(scene.names()) == ["p_anna", "p_bert"]


def test_a_stranger_who_hides_a_recognised_person_stays_unknown() -> None:
    scene, rng = door(), np.random.default_rng(5)
    order = ["p_anna"] * 8 + ["stranger"] * 30 + ["p_anna"] * 8
    for number, name in enumerate(order):
        scene.frame([(name, face(400), look_of(name, rng))], number * FRAME_S)
    scene.end(len(order) * FRAME_S)
    assert_every_name_is_the_true_one(scene)
    said = [(said.track_id, said.decision.outcome) for said in scene.said]
    assert said == [(1, "recognized"), (2, "unknown"), (3, "recognized")]


def test_a_person_back_at_once_after_a_short_interruption_is_not_announced_twice() -> None:
    scene, rng = door(), np.random.default_rng(6)
    order = ["p_anna"] * 4 + ["stranger"] + ["p_anna"] * 6
    for number, name in enumerate(order):
        scene.frame([(name, face(400), look_of(name, rng))], number * FRAME_S)
    scene.end(len(order) * FRAME_S)
    assert scene.names() == ["p_anna"]
    assert scene.cool_down.held_back == 1


def test_random_swaps_never_give_anybody_the_name_of_another() -> None:
    # A bar that one in a hundred crops of a stranger passes would leave the test to luck.
    strict = DecisionRules(same_track_min=0.4)
    rng = np.random.default_rng(7)
    for _ in range(40):
        scene = Door(INDEX, uniform_calibration(), strict)
        names = rng.choice(list(WHO), size=40, p=[0.4, 0.3, 0.3])
        stay = np.repeat(names, rng.integers(1, 9, size=40))[:60]
        for number, name in enumerate(stay.tolist()):
            scene.frame([(name, face(400), look_of(name, rng))], number * FRAME_S)
        scene.end(6.1)
        assert_every_name_is_the_true_one(scene)
