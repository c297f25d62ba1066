"""Card, face and a challenge: on scripted faces, and with the models before what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
import pytest

import edgeface.demo
from edgeface.capture import scene as drawing
from edgeface.capture.head import Head
from edgeface.capture.held import Held
from edgeface.capture.presenting import Drawable
from edgeface.contract.answers import VerifyData, VerifyProgress
from edgeface.inference.models import open_models
from edgeface.recognition.alignment import align
from edgeface.recognition.assessment import AssessmentRules
from edgeface.recognition.challenge import Prompt, Step
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.frame import Frame
from edgeface.recognition.liveness import Source
from edgeface.recognition.pipeline import Gallery, Pipeline, PipelineRules
from edgeface.recognition.planarity import Planarity
from edgeface.recognition.quality import MEAN_HEAD
from edgeface.recognition.second_look import look, look_again
from edgeface.recognition.values import Box, Embedding, Face, Image
from edgeface.service.commanding.challenging import Challenging
from edgeface.service.commanding.peephole import Glance
from edgeface.service.commanding.verifying import Verifying
from edgeface.service.sightings import Circumstances
from edgeface.settings.models import ModelsSettings
from tests.support.doorstep import FPS, Scorer
from tests.support.examined import USED, Examined, request
from tests.support.people import START, everybody, gallery, identity

ANNA = "p_annaannaaa"
RULES = DecisionRules()
STEPS: tuple[Step, ...] = ("look_left", "come_closer", "look_right")
LATE_FRAMES = 4
"""After a prompt, until somebody does what it says."""
POSES: dict[Prompt, tuple[float, float]] = {
    "look_into_camera": (0, 1),
    "look_left": (27, 1),
    "look_right": (-27, 1),
    "come_closer": (0, 1.3),
    "move_back": (0, 0.75),
}


def turned(yaw_deg: float, size: float) -> Face:
    """A mean head, turned."""
    turn = np.radians(yaw_deg)
    spin = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
    marks = (MEAN_HEAD @ spin.T)[:, :2] * 1.2 * size + (600, 350)
    (x, y), half = marks.mean(axis=0), 45 * size
    return Face(Box(x - half, y - half, x + half, y + half), marks.astype(np.float32), 0.9)


class Challenged:
    """A claim with a challenge, and what the person was told."""

    def __init__(self, scene: Examined, steps: Sequence[Step] = STEPS, timeout_s: float = 20):
        self.scene = scene
        self.told: list[VerifyProgress] = []
        challenging = Challenging(self.told.append, 0.3, lambda _: tuple(steps))
        asked = request("verify", scene.time_s, person_id=ANNA, challenge=True)
        scene.begin(Verifying(asked, RULES, challenging), timeout_s)
        self._heard: list[Prompt] = ["look_into_camera"] * LATE_FRAMES

    @property
    def heard(self) -> Prompt:
        """The prompt of a moment ago; once a frame."""
        now = self.told[-1].prompt if self.told else "look_into_camera"
        self._heard = [*self._heard[1:], now]
        return self._heard[0]

    def play(self, person: Embedding, frames: int = 300, pose: Any = None) -> Challenged:
        for _ in range(frames):
            if self.scene.ended:
                break
            heard = self.heard
            self.scene.watch(1, (turned(*(pose or POSES[heard])), person))
        return self

    @property
    def verdict(self) -> tuple[str, bool | None, str]:
        data = self.scene.data()
        source = next(each for each in data.seen.pad.sources if each.name == "challenge")
        assert data.seen.pad.policy == "challenge"
        return data.outcome, source.live, source.detail["reason"]


@pytest.fixture
def scene(anna: Embedding) -> Examined:
    return Examined(gallery([anna], [ANNA]))


def test_who_does_what_is_asked_is_a_match_and_is_told_each_step(
    scene: Examined, anna: Embedding
) -> None:
    challenged = Challenged(scene).play(anna)
    assert challenged.verdict == ("match", True, "passed")
    assert [(each.done, each.wanted, each.prompt) for each in challenged.told] == [
        (0, 3, "look_into_camera"),
        (0, 3, "look_left"),
        (1, 3, "look_into_camera"),
        (1, 3, "come_closer"),
        (2, 3, "look_into_camera"),
        (2, 3, "look_right"),
    ]
    assert len({each.message for each in challenged.told}) == 5
    seen = scene.data().seen
    assert (seen.pad.live, seen.pad.score) == (True, 1)
    assert seen.latency_ms < 12_000
    assert seen.captured_at == scene.newest.captured_at


def test_who_does_nothing_is_no_match_and_no_attack(scene: Examined, anna: Embedding) -> None:
    challenged = Challenged(scene).play(anna, pose=(0, 1))
    assert challenged.verdict == ("rejected_pad", None, "no_response")
    assert scene.data().seen.pad.live is None


def test_the_wrong_step_is_an_attack(scene: Examined, anna: Embedding) -> None:
    challenged = Challenged(scene).play(anna, frames=11)
    assert challenged.told[-1].prompt == "look_left"
    challenged.play(anna, pose=POSES["look_right"])
    assert challenged.verdict == ("rejected_pad", False, "wrong_step")


def test_the_time_of_the_answer_is_kept_in_the_middle_of_a_challenge(
    scene: Examined, anna: Embedding
) -> None:
    challenged = Challenged(scene, timeout_s=3).play(anna)
    assert challenged.verdict == ("rejected_pad", None, "not_finished")
    assert scene.data().seen.latency_ms <= 3000


def test_nobody_is_challenged_who_is_no_match_or_an_attack_already(
    scene: Examined, anna: Embedding, boris: Embedding
) -> None:
    challenged = Challenged(scene).play(boris)
    assert challenged.verdict == ("no_match", None, "not_begun")
    scene.ended.clear()
    scene.scorer, scene.pad = Scorer(0.1), AssessmentRules(wait_s=0)
    again = Challenged(scene).play(anna)
    assert again.verdict == ("rejected_pad", None, "not_begun")
    assert [each.prompt for each in (*challenged.told, *again.told)] == ["look_into_camera"] * 2


def test_somebody_who_takes_their_place_inherits_nothing(
    scene: Examined, anna: Embedding, rng: np.random.Generator
) -> None:
    challenged = Challenged(scene).play(anna, frames=24)
    assert challenged.told[-1].done == 1
    challenged.play(identity(rng))
    outcome, live, reason = challenged.verdict
    assert (outcome, live) == ("rejected_pad", False)
    assert reason in ("another_person", "another_track")


def test_two_people_end_a_challenge(scene: Examined, anna: Embedding, boris: Embedding) -> None:
    Challenged(scene).play(anna, frames=20)
    scene.watch(1, (turned(0, 1), anna), (turned(0, 0.5), boris))
    assert scene.code() == "multiple_faces"


def test_a_match_in_the_last_frame_without_a_face_is_put_no_challenge_and_refused(
    scene: Examined, anna: Embedding, boris: Embedding
) -> None:
    scene.index, known = gallery([boris], [ANNA]), scene.index
    challenged = Challenged(scene, timeout_s=1.2).play(anna, frames=5)
    scene.index = known
    scene.watch(10)
    assert challenged.verdict == ("rejected_pad", None, "not_begun")


def test_who_does_not_answer_is_not_live_whatever_the_other_evidence(
    scene: Examined, anna: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`live` would contradict the outcome."""
    live = Source("motion", 0.9, True)
    monkeypatch.setattr(Planarity, "verdict", lambda _: live)
    scene.scorer = Scorer(0.9)
    challenged = Challenged(scene).play(anna, pose=(0, 1))
    assert challenged.verdict == ("rejected_pad", None, "no_response")
    assert scene.data().seen.pad.live is None
    assert scene.data().seen.pad.sources[1].live is True


def test_who_was_refused_is_put_no_challenge_for_a_while(scene: Examined, anna: Embedding) -> None:
    Challenged(scene).play(anna, frames=11).play(anna, pose=POSES["look_right"])
    assert scene.data().outcome == "rejected_pad"
    scene.ended.clear()
    again = Challenged(scene).play(anna)
    assert (again.verdict[0], again.verdict[1]) == ("rejected_pad", False)
    assert [each.prompt for each in again.told] == ["look_into_camera"]


# With the models that ship, before what the simulated camera draws.

SIZE = (640, 360)
WALL = drawing.hallway(SIZE, seed=1)
NOISE = drawing.noise_bank(SIZE, seed=1)
Models: TypeAlias = tuple[Any, Any]
PICTURE = Path(edgeface.demo.__file__).parent / "pictures" / "grace-hopper.jpg"


Acts = Callable[[Prompt, int], tuple[float, float]]
"""Yaw in degrees and size by the prompt that was heard and the number of the frame."""


@pytest.fixture(scope="module")
def models() -> Models:
    detector, embedder, *_ = open_models(ModelsSettings(accelerator="cpu"))
    return detector, embedder


@pytest.fixture(scope="module")
def portrait(models: Models) -> tuple[Image, Face, Embedding]:
    detector, embedder = models
    picture = np.asarray(cv2.imread(str(PICTURE)), np.uint8)
    found = max(look(detector, picture), key=lambda each: each.box.area)
    found = look_again(detector, picture, found)
    crop = align(picture, found.landmarks, embedder.alignment)
    return picture, found, embedder.embed([crop])[0]


def claimed(
    models: Models, template: Embedding, drawn: Drawable, acts: Acts
) -> tuple[VerifyData, list[VerifyProgress]]:
    """What a claim comes to before whom the acts place in the picture."""
    detector, embedder = models
    calibration, rules, told = embedder.package.calibration, PipelineRules(), []
    pipeline = Pipeline(detector, embedder, calibration, rules)
    index = gallery([template], [ANNA])
    known = Gallery(index, everybody(index))
    asked = request("verify", 1000.0, person_id=ANNA, challenge=True)
    verifying = Verifying(asked, RULES, Challenging(told.append, 0.3, lambda _: STEPS))
    yaw_deg, size = 0.0, 1.0
    heard: list[Prompt] = ["look_into_camera"] * LATE_FRAMES
    for number in range(1, 25 * FPS):
        heard.append(told[-1].prompt if told else "look_into_camera")
        to_deg, to_size = acts(heard[-LATE_FRAMES], number)
        yaw_deg, size = yaw_deg + (to_deg - yaw_deg) / 2, size + (to_size - size) / 2
        image = WALL.copy()
        drawn.draw(image, drawing.Pose(250 * size, 320, 170, 0, 1, 0, 0, yaw_deg=yaw_deg))
        image = drawing.expose(image, NOISE, (number % 60, 7), 1.0, 2.5)
        time_ns = (1_000 * FPS + number) * 10**9 // FPS
        frame = Frame(image, "drawn", number, START + timedelta(seconds=number / FPS), time_ns)
        now = Circumstances(USED, "cpu", 5.0, time_ns, time_ns, clock_synced=True)
        result = pipeline.process(frame, known)
        glance = Glance(
            frame,
            result,
            embedder,
            rules,
            None,
            known,
            calibration,
            now,
            1e-4,
            AssessmentRules(),
            pipeline.backoff,
        )
        outcome = verifying.see(glance, last=False)
        if outcome is not None:
            data = outcome()
            assert isinstance(data, VerifyData)
            return data, told
    raise AssertionError("no answer")


def film(*poses: Prompt) -> Acts:
    """Recorded before: these, whatever is asked, each for a second with a second ahead before."""

    def acts(_: Prompt, number: int) -> tuple[float, float]:
        step, into = divmod(number, 2 * FPS)
        return POSES[poses[min(step, len(poses) - 1)] if into > FPS else "look_into_camera"]

    return acts


def test_a_head_that_does_what_is_asked_is_let_in(
    models: Models, portrait: tuple[Image, Face, Embedding]
) -> None:
    picture, found, template = portrait
    head = Head(picture, found.landmarks)
    data, told = claimed(models, template, head, lambda heard, _: POSES[heard])
    assert data.outcome == "match", data.seen.pad
    assert data.seen.pad.challenged
    assert len(told) == 6


@pytest.mark.parametrize(
    ("shown", "outcome"),
    [
        (("look_right", "look_left", "come_closer"), "rejected_pad"),
        (("look_left", "come_closer", "look_left"), "rejected_pad"),
        (STEPS, "match"),
    ],
    ids=["wrong order", "wrong end", "right order"],
)
def test_a_film_that_was_made_before_cannot_know_the_order(
    models: Models,
    portrait: tuple[Image, Face, Embedding],
    shown: tuple[Step, ...],
    outcome: str,
) -> None:
    """Shown as if no screen were to be seen around it: the evidence is the challenge alone."""
    picture, found, template = portrait
    data, _ = claimed(models, template, Head(picture, found.landmarks), film(*shown))
    assert data.outcome == outcome, data.seen.pad
    assert data.seen.pad.live is (outcome == "match")


@pytest.mark.parametrize("species", ["print", "tablet"])
def test_a_photograph_that_is_turned_and_brought_closer_in_the_hand_cannot_do_it(
    models: Models, portrait: tuple[Image, Face, Embedding], species: str
) -> None:
    picture, _, template = portrait

    def acts(heard: Prompt, _: int) -> tuple[float, float]:
        yaw_deg, size = POSES[heard]
        return 1.5 * yaw_deg, size

    data, told = claimed(models, template, Held(species, picture), acts)
    assert data.outcome == "rejected_pad", data.seen.pad
    assert {each.prompt for each in told} == {"look_into_camera", "look_left"}
