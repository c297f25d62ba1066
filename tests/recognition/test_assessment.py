"""What evidence of an attack does to a track: by policy, once, and with its reason."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeface.base.errors import ModelError
from edgeface.recognition.assessment import Assessment, AssessmentRules, score_faces
from edgeface.recognition.decision import Decision, DecisionRules
from edgeface.recognition.judge import Judge
from edgeface.recognition.liveness import Policy, Source, fuse
from edgeface.recognition.pipeline import Pipeline
from edgeface.recognition.planarity import Planarity
from edgeface.recognition.values import Embedding, Image
from tests.support.doorstep import IMAGE, Scene, Scorer
from tests.support.people import crop, everybody, face, gallery, identity, moment, view
from tests.support.people import uniform_calibration as calibration

RNG = np.random.default_rng(4)
ANNA, STRANGER = (identity(RNG) for _ in range(2))
INDEX = gallery([ANNA], ["p_anna"])
THRESHOLD = Scorer.threshold
FRAME_S = 0.1


def track(policy: Policy, wait_s: float = 0.0) -> Judge:
    assessment = Assessment(AssessmentRules(policy, wait_s), THRESHOLD)
    return Judge(1, DecisionRules(), calibration(), moment(0.0), assessment)


def watch(
    judge: Judge, person: Embedding, scores: Sequence[float | None], start_s: float = 0.0
) -> list[Decision]:
    """A frame with each score; what was said."""
    rng, said = np.random.default_rng(5), []
    for number, score in enumerate(scores):
        now_s = start_s + number * FRAME_S
        judge.add(replace(crop(view(person, rng), now_s), liveness=score))
        decision = judge.look(INDEX, everybody(INDEX), now_s)
        said += [decision] if decision else []
    return said


def test_a_report_changes_no_decision_and_tells_the_evidence() -> None:
    (said,) = watch(track("report"), ANNA, [0.1, 0.2, 0.3])
    (plain,) = watch(Judge(1, DecisionRules(), calibration(), moment(0.0)), ANNA, [None] * 3)
    assert (said.outcome, said.liveness.live, said.liveness.score) == ("recognized", False, 0.2)
    assert replace(said, liveness=plain.liveness) == plain
    assert not plain.liveness.assessed


def test_who_would_be_recognized_is_refused_once_and_never_recognized_later() -> None:
    judge = track("refuse_recognized")
    (said,) = watch(judge, ANNA, [0.1] * 3 + [0.9] * 40)
    assert said.outcome == "rejected_pad"
    assert (said.person_id, said.display_name) == (None, None)
    assert said.why["pad"] == {
        "reason": "attack",
        "policy": "refuse_recognized",
        "refused_by": [{"name": "passive", "score": 0.1, "threshold": THRESHOLD}],
    }
    assert said.why["near"][0]["person_id"] == "p_anna"
    json.dumps(said.why)
    assert judge.withheld
    assert not judge.recognized
    assert judge.close(INDEX, everybody(INDEX), 9.0) is None


@pytest.mark.parametrize("scores", [[0.9] * 3, [0.9, None, 0.9, 0.9]], ids=["good", "a failure"])
def test_who_is_not_accused_is_recognized(scores: list[float | None]) -> None:
    (said,) = watch(track("refuse_recognized", 0.25 if None in scores else 0), ANNA, scores)
    assert (said.outcome, said.liveness.live) == ("recognized", None)


@pytest.mark.parametrize("scores", [[None] * 3, [0.9, None, 0.9]], ids=["none", "too few"])
def test_where_the_scorer_fails_nobody_is_recognized_whom_a_policy_may_refuse(
    scores: list[float | None],
) -> None:
    policies: tuple[Policy, ...] = ("refuse_recognized", "challenge")
    for policy in policies:
        (said,) = watch(track(policy), ANNA, scores)
        assert said.outcome == "rejected_pad"
        assert said.why["pad"]["reason"] == "not_assessed"
    (said,) = watch(track("report"), ANNA, scores)
    assert (said.outcome, said.liveness.live) == ("recognized", None)
    assert said.liveness.sources[0].detail["reason"] == "failed"


def test_a_challenge_lets_nobody_pass_without_evidence_of_a_live_person() -> None:
    (said,) = watch(track("challenge"), ANNA, [0.9] * 3)
    assert said.outcome == "rejected_pad"
    assert said.why["pad"] == {
        "reason": "not_live_enough",
        "policy": "challenge",
        "refused_by": [],
    }


def test_a_name_that_may_be_refused_waits_for_evidence_and_one_that_may_not_does_not() -> None:
    assert len(watch(track("report", 1.0), ANNA, [0.9] * 3)) == 1
    judge = track("refuse_recognized", 1.0)
    assert watch(judge, ANNA, [0.9] * 10) == []
    (said,) = watch(judge, ANNA, [0.9] * 2, 1.0)
    assert said.outcome == "recognized"


def test_who_leaves_during_the_wait_is_decided_about_at_the_end() -> None:
    judge = track("refuse_recognized", 1.0)
    assert watch(judge, ANNA, [0.1] * 5) == []
    said = judge.close(INDEX, everybody(INDEX), 0.6)
    assert said is not None
    assert said.outcome == "rejected_pad"


def test_a_stranger_is_unknown_with_the_evidence_under_any_policy() -> None:
    policies: tuple[Policy, ...] = ("report", "refuse_recognized", "challenge")
    for policy in policies:
        (said,) = watch(track(policy), STRANGER, [0.1] * 25)
        assert (said.outcome, said.liveness.live) == ("unknown", False)
        assert said.liveness.policy == policy
        assert "pad" not in said.why


def test_too_few_frames_accuse_nobody() -> None:
    judge = track("refuse_recognized")
    watch(judge, ANNA, [0.0, 0.0])
    said = judge.close(INDEX, everybody(INDEX), 1.0)
    assert said is not None
    assert (said.outcome, said.liveness.live, said.liveness.score) == ("inconclusive", None, 0.0)


def test_nobody_is_live_by_default() -> None:
    assert fuse([], "challenge").refusal == "not_assessed"
    assert fuse([], "refuse_recognized").refusal == "not_assessed"
    assert fuse([Source("motion", None, None)], "challenge").refusal == "not_live_enough"
    assert fuse([Source("motion", None, None)], "refuse_recognized").refusal is None


def test_nobody_is_live_where_a_source_is_missing_that_had_to_speak() -> None:
    sources = [Source("motion", 0.9, True), Source("passive", None, None, missing=True)]
    assert fuse(sources).live is None
    assert fuse([*sources, Source("challenge", 0.0, False)]).live is False


def test_the_pipeline_scores_what_it_embeds_with_its_surroundings() -> None:
    scorer = Scorer(0.25)
    scene = Scene(INDEX, scorer=scorer)
    scene.play(3, (500.0, ANNA))
    (said,) = scene.decisions
    assert said.liveness.sources[0].score == 0.25
    assert len(scorer.crops) == scene.stage.embedded == 3
    assert {crop.shape for crop in scorer.crops} == {(270, 270, 3)}
    np.testing.assert_array_equal(scorer.crops[0], IMAGE[115:385, 415:685])


def test_what_lies_outside_of_the_picture_repeats_its_edge() -> None:
    scorer = Scorer(0.5)
    score_faces(scorer, IMAGE, [face(0.0, 0.0)])
    (part,) = scorer.crops
    assert part.shape == (270, 270, 3)
    np.testing.assert_array_equal(part[85:, 85:], IMAGE[:185, :185])
    np.testing.assert_array_equal(part[:85, 100], np.broadcast_to(IMAGE[0, 15], (85, 3)))


def test_models_that_are_opened_anew_keep_the_tracks_evidence() -> None:
    scene = Scene(INDEX, scorer=Scorer(0.25))
    scene.play(2, (500.0, ANNA))
    scene.pipeline.use(scene.stage, scene.stage, Scorer(0.75))
    scene.play(1, (500.0, ANNA))
    (said,) = scene.decisions
    assert said.liveness.score == pytest.approx((0.25 + 0.25 + 0.75) / 3, abs=1e-4)


@pytest.mark.parametrize("policy", ["refuse_recognized", "challenge"])
def test_a_pipeline_that_refuses_cannot_be_without_a_scorer(policy: Policy) -> None:
    scene = Scene(INDEX)
    rules = replace(scene.rules, assessment=AssessmentRules(policy))
    with pytest.raises(ValueError, match=f"{policy}: nobody can be refused without a scorer"):
        Pipeline(scene.stage, scene.stage, calibration(), rules)
    pipeline = Pipeline(scene.stage, scene.stage, calibration(), rules, scorer=Scorer(0.9))
    with pytest.raises(ValueError, match="without a scorer"):
        pipeline.use(scene.stage, scene.stage)


def test_a_pipeline_without_a_scorer_assesses_nothing() -> None:
    scene = Scene(INDEX)
    scene.play(3, (500.0, ANNA))
    (said,) = scene.decisions
    assert not said.liveness.assessed


def test_the_motion_of_a_track_is_followed_also_after_a_name_was_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[float] = []
    monkeypatch.setattr(Planarity, "observe", lambda _self, _image, _face, at: seen.append(at))
    scene = Scene(INDEX, scorer=Scorer(0.9))
    scene.play(20, (500.0, ANNA))
    assert len(seen) == 20


def test_a_face_that_is_not_good_enough_to_be_compared_brings_no_motion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nobody knows whose it is: a live accomplice who turns away in the place of the picture that
    is held up afterwards would make that live."""
    seen: list[float] = []
    monkeypatch.setattr(Planarity, "observe", lambda _self, _image, _face, at: seen.append(at))
    scene = Scene(INDEX, scorer=Scorer(0.9))
    scene.stage.actors = [(replace(face(500.0), score=0.1), ANNA)]
    for _ in range(10):
        scene.step()
    assert seen == []
    scene.play(3, (500.0, ANNA))
    assert [decision.outcome for decision in scene.decisions] == ["recognized"]
    assert len(seen) == 3


class Broken(Scorer):
    """Raises, or gives what is no score for each face."""

    def __init__(self, gives: Any) -> None:
        super().__init__(0.9)
        self.gives = gives

    def score(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        if isinstance(self.gives, Exception):
            raise self.gives
        return np.asarray(self.gives, np.float32)


@pytest.mark.parametrize(
    ("gives", "why"),
    [
        (ModelError("it is gone"), "it is gone"),
        (RuntimeError("tensor 3"), "tensor 3"),
        ([math.nan], "not nan"),
        ([1.5], "not 1.5"),
        ([], "not nothing"),
        ([0.9, 0.9], "scores of 1 faces"),
    ],
)
def test_a_scorer_that_fails_ends_no_recognition(gives: Any, why: str) -> None:
    scene = Scene(INDEX, scorer=Broken(gives))
    scene.play(3, (500.0, ANNA))
    (said,) = scene.decisions
    assert said.outcome == "recognized"
    assert said.liveness.sources[0].detail == {"frames": 0, "reason": "failed"}
    assert why in str(scene.pipeline.scorer_trouble)
    scene.pipeline.use(scene.stage, scene.stage, Scorer(0.9))
    scene.play(10, (500.0, ANNA))
    assert scene.pipeline.scorer_trouble is None


def refusing(scorer: Scorer, **rules: Any) -> Scene:
    scene = Scene(INDEX)
    told = replace(scene.rules, assessment=AssessmentRules("refuse_recognized", 0.0, **rules))
    scene.pipeline = Pipeline(scene.stage, scene.stage, calibration(), told, scorer=scorer)
    return scene


@pytest.mark.parametrize(("back_off_s", "second"), [(30.0, "rejected_pad"), (0.0, "recognized")])
def test_who_was_refused_is_refused_again_on_a_new_track_for_a_while(
    back_off_s: float, second: str
) -> None:
    scorer = Scorer(0.1)
    scene = refusing(scorer, back_off_s=back_off_s)
    scene.play(5, (500.0, ANNA))
    scorer.given = 0.9
    scene.play(10)
    scene.play(5, (500.0, ANNA))
    scene.play(100)
    scene.play(20, (500.0, ANNA))
    assert scene.outcomes() == [(1, "rejected_pad"), (2, second), (3, "recognized")]
    (by,) = scene.decisions[1].liveness.refusing or (None,)
    assert (by is None) == (second == "recognized")
    assert by is None or by.detail["again_in_s"] == 8.5


def test_a_frame_tells_what_accuses_a_track() -> None:
    scorer = Scorer(0.1)
    scene = refusing(scorer)
    told = []
    scene.stage.actors = [(face(500.0), ANNA)]
    for number in range(30):
        scorer.given = 0.1 if number < 5 else 0.9
        (sight,) = scene.step().sights
        told.append([source.name for source in sight.accusing])
    assert told[:3] == [[], [], ["passive"]]
    assert told[-1] == ["passive"], "a track that was refused stays so"
