"""The challenge on synthetic looks: what answers it, what refuses, and what is no answer."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from edgeface.recognition.challenge import (
    FRAMES,
    SEQUENCES,
    STEP_S,
    TURN_DEG,
    Challenge,
    Prompt,
    Step,
)
from edgeface.recognition.pipeline import Sight
from edgeface.recognition.values import Embedding
from tests.support.people import face, identity, quality, view

FPS = 10
STEPS: tuple[Step, ...] = ("look_left", "come_closer", "look_right")
POSES: dict[Prompt, tuple[float, float]] = {
    "look_into_camera": (0, 1),
    "look_left": (26, 1),
    "look_right": (-26, 1),
    "come_closer": (0, 1.3),
    "move_back": (0, 0.75),
}
"""Yaw in degrees and size, as somebody shows them."""


@dataclass
class Actor:
    """Who does what they are told `late_s` after it, a movement taking `takes_s`."""

    late_s: float = 0.5
    takes_s: float = 0.3
    yaw_deg: float = 0.0
    size: float = 1.0
    goal: tuple[float, float] = (0.0, 1.0)
    due_s: float = 0.0
    heard: Prompt | None = None

    def act(self, prompt: Prompt, time_s: float) -> tuple[float, float]:
        if prompt != self.heard:
            self.heard, self.due_s = prompt, time_s + self.late_s
        if time_s >= self.due_s:
            self.goal = POSES[prompt]
        share = min(1.0, 1 / FPS / self.takes_s)
        self.yaw_deg += share * (self.goal[0] - self.yaw_deg)
        self.size += share * (self.goal[1] - self.size)
        return self.yaw_deg, self.size


Acts = Callable[[Prompt, float], tuple[float, float]]


class Door:
    """Plays somebody's acts to a challenge."""

    def __init__(self, anna: Embedding, steps: Sequence[Step] = STEPS) -> None:
        self.challenge = Challenge(steps, anna, 1, 0.3)
        self.person, self.track_id, self.time_s = anna, 1, 100.0
        self.prompts: list[Prompt] = []
        self._rng = np.random.default_rng(4)

    def sight(self, yaw_deg: float, size: float) -> Sight:
        yaw_deg += float(self._rng.normal(0, 2))
        size *= float(self._rng.normal(1, 0.01))
        good = abs(yaw_deg) < 40
        return Sight(
            self.track_id,
            face(500, size=120 * size),
            replace(quality(), yaw_deg=yaw_deg),
            None if good else "turned_away",
            view(self.person, self._rng, 0.6) if good else None,
        )

    def play(self, acts: Acts, seconds: float = 30, fps: float = FPS) -> Door:
        for _ in range(round(seconds * fps)):
            if self.challenge.over:
                break
            prompt = self.challenge.prompt
            if self.prompts[-1:] != [prompt]:
                self.prompts.append(prompt)
            self.challenge.observe(
                self.sight(*acts(prompt, self.time_s)), self.time_s, self.time_s + 0.05
            )
            self.time_s += 1 / fps
        return self

    @property
    def verdict(self) -> tuple[bool | None, str, int]:
        source = self.challenge.source
        return source.live, source.detail["reason"], source.detail["done"]


@pytest.fixture
def door(anna: Embedding) -> Door:
    return Door(anna)


def recorded(*poses: Prompt, begin_s: float = 1.5, each_s: float = 2.0) -> Acts:
    """A film: ahead, then each of these with a look ahead after it, whatever is asked."""

    def acts(_: Prompt, time_s: float) -> tuple[float, float]:
        number, into_s = divmod(time_s - 100 - begin_s, each_s)
        moved = 0 <= number < len(poses) and into_s < each_s / 2
        return POSES[poses[int(number)] if moved else "look_into_camera"]

    return acts


def test_there_are_34_sequences_and_each_has_a_turn() -> None:
    assert len(SEQUENCES) == len(set(SEQUENCES)) == 34
    for steps in SEQUENCES:
        assert all(one != other for one, other in itertools.pairwise(steps))
        assert {"look_left", "look_right"} & set(steps)


@pytest.mark.parametrize("steps", SEQUENCES)
def test_who_does_what_is_asked_passes_in_time(anna: Embedding, steps: tuple[Step, ...]) -> None:
    door = Door(anna, steps).play(Actor().act)
    assert door.verdict == (True, "passed", 3)
    assert door.prompts == [each for step in steps for each in ("look_into_camera", step)]
    assert door.time_s - 100 < 10
    source = door.challenge.source
    assert source.score == 1
    assert all(0.2 <= waited < STEP_S for waited in source.detail["reaction_s"])
    assert source.detail["likeness"] > 0.3


@pytest.mark.parametrize("fps", [4, 8, 30])
def test_the_rate_of_the_frames_is_no_matter(door: Door, fps: float) -> None:
    assert door.play(Actor(takes_s=0.2).act, fps=fps).verdict == (True, "passed", 3)


def test_nobody_answers(door: Door) -> None:
    door.play(lambda prompt, time_s: (0, 1))
    assert door.verdict == (None, "no_response", 0)
    assert door.prompts == ["look_into_camera", "look_left"]
    assert door.challenge.source.score is None


def test_who_never_looks_ahead_or_is_never_still_is_asked_nothing(anna: Embedding) -> None:
    for acts in (lambda *_: (25.0, 1.0), lambda _, time_s: (0.0, 1 + 0.3 * np.sin(7 * time_s))):
        door = Door(anna).play(acts)
        assert door.verdict == (None, "no_response", 0)
        assert door.prompts == ["look_into_camera"]


def test_a_film_of_the_wrong_order_is_refused_and_of_the_right_one_is_not(anna: Embedding) -> None:
    for steps in SEQUENCES:
        door = Door(anna, steps).play(recorded(*STEPS))
        if steps == STEPS:
            assert door.verdict == (True, "passed", 3)
        else:
            first_wrong = next(n for n in range(3) if steps[n] != STEPS[n])
            assert door.verdict == (False, "wrong_step", first_wrong)


def test_what_is_shown_before_a_person_can_have_reacted_is_no_answer(anna: Embedding) -> None:
    door = Door(anna).play(Actor(late_s=0.0, takes_s=0.01).act, fps=20)
    assert door.verdict == (None, "no_response", 0)
    assert Door(anna).play(Actor(late_s=0.3, takes_s=0.01).act, fps=20).verdict[0] is True


def test_a_flicker_is_no_movement(door: Door) -> None:
    frames = itertools.count()
    door.play(lambda *_: (-30.0 if next(frames) % 9 > 9 - FRAMES else 0.0, 1))
    assert door.verdict == (None, "no_response", 0)


def test_less_than_a_turn_is_none(door: Door) -> None:
    door.play(lambda prompt, _: ((TURN_DEG - 8) * (prompt == "look_left"), 1))
    assert door.verdict == (None, "no_response", 0)


def test_who_turns_so_far_that_they_cannot_be_told_has_to_turn_back_a_little(door: Door) -> None:
    far = Actor()

    def acts(prompt: Prompt, time_s: float) -> tuple[float, float]:
        yaw_deg, size = far.act(prompt, time_s)
        return (yaw_deg * 2.2 if time_s < 103 else yaw_deg), size

    assert door.play(acts).verdict == (True, "passed", 3)


def test_another_track_refuses(door: Door) -> None:
    door.play(Actor().act, seconds=1.5)
    door.track_id = 2
    assert door.play(Actor().act).verdict == (False, "another_track", 0)


@pytest.mark.parametrize("after_s", [0.0, 1.2, 2.0, 3.0])
def test_somebody_else_on_the_same_track_refuses(
    door: Door, rng: np.random.Generator, after_s: float
) -> None:
    actor = Actor()
    door.play(actor.act, seconds=after_s)
    door.person = identity(rng)
    live, reason, _ = door.play(actor.act).verdict
    assert (live, reason) == (False, "another_person")


def test_a_face_that_is_away_for_a_moment_is_waited_for(door: Door) -> None:
    door.play(Actor().act, seconds=1.2)
    for _ in range(4):
        door.challenge.observe(None, door.time_s, door.time_s)
        door.time_s += 0.1
    assert door.play(Actor().act).verdict[0] is True
    gone = Challenge(STEPS, door.person, 1, 0.3)
    for number in range(60):
        gone.observe(None, number / 10, number / 10)
    assert gone.source.detail["reason"] == "no_response"


def test_nothing_changes_a_verdict(door: Door) -> None:
    door.play(Actor().act)
    door.track_id = 2
    door.challenge.observe(door.sight(0, 1), door.time_s, door.time_s)
    assert door.verdict[0] is True


def test_a_challenge_that_was_cut_short_says_nothing(door: Door) -> None:
    door.play(Actor().act, seconds=2)
    assert door.verdict[:2] == (None, "not_finished")
