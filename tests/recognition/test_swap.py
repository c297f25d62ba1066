"""Somebody steps in front of somebody else: nobody inherits a name."""

from __future__ import annotations

import numpy as np
import pytest

from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.values import Face
from tests.support.doorstep import Scene
from tests.support.people import face, gallery, identity

RNG = np.random.default_rng(31)
ANNA, BERT, STRANGER = (identity(RNG) for _ in range(3))
WHO = {"p_anna": ANNA, "p_bert": BERT, "stranger": STRANGER}
INDEX = gallery([ANNA, BERT], ["p_anna", "p_bert"])


class Doorway(Scene):
    """A scene that remembers who really was in front of the camera."""

    def __init__(self, rules: DecisionRules | None = None) -> None:
        super().__init__(INDEX, rules)
        self.seen: dict[int, list[tuple[float, str]]] = {}
        """Track id -> time and true name of every crop that was embedded for it."""

    def show(self, *people: tuple[str, Face]) -> None:
        """One frame with these."""
        names = {id(found): name for name, found in people}
        self.stage.actors = [(found, WHO[name]) for name, found in people]
        for sight in self.step().sights:
            if sight.embedded:
                seen = self.time_s, names[id(sight.face)]
                self.seen.setdefault(sight.track_id, []).append(seen)

    def one_by_one(self, names: list[str], step_px: float = 0.0) -> None:
        """Each in the place of the one before; then everybody has gone."""
        for number, name in enumerate(names):
            self.show((name, face(400 + step_px * number)))
        self.end()

    def end(self) -> None:
        self.decisions += self.pipeline.flush(self.time_s, self.gallery)

    def names(self) -> list[str]:
        """The people recognized, in order."""
        return [decision.person_id for decision in self.decisions if decision.person_id]


def assert_every_name_is_the_true_one(scene: Doorway) -> None:
    """Who was named was there in the frame that the name stands on, and had been in that track for
    as many frames as it takes."""
    for decision in scene.decisions:
        person = decision.person_id
        if person is not None:
            seen = scene.seen[decision.track_id]
            assert dict(seen)[decision.basis.time_s] == person
            assert [name for _, name in seen].count(person) >= scene.rules.decision.min_agreeing


@pytest.mark.parametrize("before", [1, 2, 3, 12], ids=lambda n: f"after {n} frames")
@pytest.mark.parametrize(
    ("first", "second"),
    [("p_anna", "p_bert"), ("p_anna", "stranger"), ("stranger", "p_anna")],
)
def test_a_face_that_takes_the_place_of_another_starts_a_new_track(
    first: str, second: str, before: int
) -> None:
    scene = Doorway()
    scene.one_by_one([first] * before + [second] * 12, step_px=2)
    assert_every_name_is_the_true_one(scene)
    assert sorted(scene.seen) == [1, 2]
    assert {name for _, name in scene.seen[1]} == {first}
    assert {name for _, name in scene.seen[2]} == {second}
    expected = [first] if before >= 3 and first in INDEX.people else []
    assert scene.names() == expected + ([second] if second in INDEX.people else [])


def test_two_people_who_change_places_between_two_frames_take_their_names_with_them() -> None:
    scene = Doorway()
    for number in range(24):
        left, right = ("p_anna", "p_bert") if number < 2 else ("p_bert", "p_anna")
        scene.show((left, face(300)), (right, face(450)))
    scene.end()
    assert_every_name_is_the_true_one(scene)
    assert sorted(scene.names()) == ["p_anna", "p_bert"]


def test_a_stranger_who_hides_a_recognized_person_stays_unknown() -> None:
    scene = Doorway()
    scene.one_by_one(["p_anna"] * 8 + ["stranger"] * 30 + ["p_anna"] * 8)
    assert_every_name_is_the_true_one(scene)
    assert scene.outcomes() == [(1, "recognized"), (2, "unknown"), (3, "recognized")]


def test_a_person_back_at_once_after_a_short_interruption_is_not_announced_twice() -> None:
    scene = Doorway()
    # Half a second: a recognized face is looked at again twice a second.
    scene.one_by_one(["p_anna"] * 4 + ["stranger"] * 5 + ["p_anna"] * 6)
    assert sorted(scene.seen) == [1, 2, 3]
    assert scene.names() == ["p_anna"]
    assert scene.pipeline.held_back == 1


def test_random_swaps_never_give_anybody_the_name_of_another() -> None:
    # A bar that one in a hundred crops of a stranger passes would leave the test to luck.
    strict = DecisionRules(same_track_min=0.4)
    rng = np.random.default_rng(7)
    named = 0
    for _ in range(40):
        scene = Doorway(strict)
        names = rng.choice(list(WHO), size=40, p=[0.4, 0.3, 0.3])
        scene.one_by_one(np.repeat(names, rng.integers(1, 9, size=40))[:60].tolist())
        assert_every_name_is_the_true_one(scene)
        named += len(scene.names())
    assert named > 40
