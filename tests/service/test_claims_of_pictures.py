"""Card and face, and who is there, where evidence says that it is a picture."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgeface.recognition.assessment import AssessmentRules
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.liveness import Source, fuse
from edgeface.recognition.pipeline import Pipeline
from edgeface.recognition.planarity import Planarity
from edgeface.recognition.values import Embedding
from edgeface.service.commanding.verifying import Identifying, Verifying
from tests.support.doorstep import Scorer
from tests.support.examined import Examined, request
from tests.support.people import face, gallery, identity, uniform_calibration

ANNA = "p_annaannaaa"
RULES = DecisionRules()


@pytest.fixture
def scene(anna: Embedding) -> Examined:
    found = Examined(gallery([anna], [ANNA]))
    found.scorer = Scorer(0.1)
    return found


def claim(scene: Examined, timeout_s: float = 3.0) -> None:
    scene.ended.clear()
    scene.shown = 0
    scene.begin(Verifying(request("verify", scene.time_s, person_id=ANNA), RULES), timeout_s)


@pytest.mark.parametrize(
    ("policy", "verified", "identified"),
    [
        ("report", "match", "recognized"),
        ("refuse_recognized", "rejected_pad", "rejected_pad"),
        ("challenge", "rejected_pad", "rejected_pad"),
    ],
)
def test_evidence_of_an_attack_is_told_and_refused_by_the_policy(
    scene: Examined, anna: Embedding, policy: Any, verified: str, identified: str
) -> None:
    scene.pad = AssessmentRules(policy, wait_s=0.0)
    claim(scene)
    scene.act(10, (500, anna))
    assert scene.data().outcome == verified
    assert (scene.data().seen.pad.live, scene.data().seen.pad.policy) == (False, policy)
    scene.ended.clear()
    scene.begin(Identifying(request("identify", scene.time_s), RULES))
    scene.act(10, (500, anna))
    assert scene.data().outcome == identified
    assert (scene.data().match is None) == (identified != "recognized")
    assert scene.data().seen.pad.live is False


def test_a_claim_that_may_be_refused_waits_for_evidence_but_not_beyond_its_time(
    scene: Examined, anna: Embedding
) -> None:
    scene.pad = AssessmentRules("refuse_recognized", wait_s=1.0)
    claim(scene)
    scene.act(30, (500, anna))
    assert (scene.data().outcome, scene.shown) == ("rejected_pad", 11)
    claim(scene, timeout_s=1.0)
    scene.act(30, (500, anna))
    assert scene.data().outcome == "rejected_pad"
    assert scene.shown < 11


def test_somebody_else_in_the_same_place_brings_evidence_of_their_own(
    scene: Examined, anna: Embedding, boris: Embedding
) -> None:
    scene.pad = AssessmentRules("refuse_recognized", wait_s=1.0)
    claim(scene)
    scene.act(5, (500, boris))
    scene.scorer = Scorer(0.9)
    scene.act(30, (500, anna))
    pad = scene.data().seen.pad
    assert scene.data().outcome == "match"
    assert (pad.live, pad.score, scene.shown) == (None, 0.9, 16)


@pytest.mark.parametrize("verb", ["verify", "identify"])
def test_a_face_that_is_not_good_enough_to_be_compared_brings_no_motion(
    scene: Examined, anna: Embedding, verb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    monkeypatch.setattr(Planarity, "observe", lambda _self, _image, _face, at: seen.append(at))
    scene.pad = AssessmentRules("refuse_recognized", wait_s=1.0)
    if verb == "verify":
        claim(scene)
    else:
        scene.begin(Identifying(request(verb, scene.time_s), RULES))
    scene.act(2, (500, anna))
    marks = face(500).landmarks
    lying = marks.mean(axis=0) + (marks - marks.mean(axis=0))[:, ::-1] * (1, -1)
    scene.watch(5, (replace(face(500), landmarks=lying.astype(np.float32)), anna))
    assert not scene.ended
    assert len(seen) == 2


def test_a_face_that_recognition_has_not_embedded_is_scored_as_well(
    scene: Examined, anna: Embedding
) -> None:
    assert isinstance(scene.scorer, Scorer)
    scene.act(20, (500, anna))  # decided long ago
    claim(scene)
    scene.act(10, (500, anna))
    assert len(scene.scorer.crops) == scene.shown == 3


def test_an_unknown_person_is_no_match_whatever_the_evidence(scene: Examined) -> None:
    scene.pad = AssessmentRules("refuse_recognized", wait_s=0.0)
    claim(scene)

    scene.act(40, (500, identity(np.random.default_rng(8))))
    assert scene.data().outcome == "no_match"


def ask(scene: Examined, verb: Any) -> Examined:
    """Ask who it is, or whether it is Anna."""
    scene.ended.clear()
    examination = (
        Verifying(request(verb, scene.time_s, person_id=ANNA), RULES)
        if verb == "verify"
        else Identifying(request(verb, scene.time_s), RULES)
    )
    scene.begin(examination, 3.0)
    return scene


def nobody(scene: Examined, frames: int) -> None:
    """So many frames before nobody, after an answer."""
    scene.ended.clear()
    scene.act(frames)


def with_recognition(scene: Examined, policy: Any) -> Scorer:
    """Recognition looks for attacks as well, under a policy of its own."""
    scorer = Scorer(0.1)
    scene.scorer = scorer
    rules = replace(scene.rules, assessment=AssessmentRules(policy, wait_s=0.0))
    scene.pipeline = Pipeline(scene.stage, scene.stage, uniform_calibration(), rules, scorer=scorer)
    return scorer


@pytest.mark.parametrize("verb", ["verify", "identify"])
@pytest.mark.parametrize(("policy", "refused"), [("report", False), ("refuse_recognized", True)])
def test_a_track_that_recognition_has_found_an_attack_is_one_for_a_claim_as_well(
    scene: Examined, anna: Embedding, verb: Any, policy: Any, refused: bool
) -> None:
    """The claim's own frames show nothing: there are few of them on a busy machine."""
    scorer = with_recognition(scene, "report")
    scene.act(10, (500, anna))
    scorer.given = 0.9
    scene.pad = AssessmentRules(policy, wait_s=0.0)
    ask(scene, verb).act(10, (500, anna))
    assert (scene.data().outcome == "rejected_pad") == refused
    pad = scene.data().seen.pad
    assert (pad.live, pad.sources[0].live) == (False, False), "it is told under any policy"


def test_a_new_track_inherits_nothing_of_what_was_not_refused(
    scene: Examined, anna: Embedding
) -> None:
    scorer = with_recognition(scene, "report")
    scene.pad = AssessmentRules("refuse_recognized", wait_s=0.0)
    scene.play(10, (500, anna))
    scene.play(10)
    scorer.given = 0.9
    claim(scene)
    scene.act(10, (500, anna))
    assert (scene.data().outcome, scene.data().seen.pad.live) == ("match", None)


@pytest.mark.parametrize("verb", ["verify", "identify"])
def test_who_was_refused_is_so_again_for_a_while_whatever_the_evidence(
    scene: Examined, anna: Embedding, verb: Any
) -> None:
    scene.pad = AssessmentRules("refuse_recognized", wait_s=0.0)
    claim(scene)
    scene.act(10, (500, anna))
    scene.scorer = Scorer(0.9)
    for outcome in ("rejected_pad", {"verify": "match", "identify": "recognized"}[verb]):
        nobody(scene, 10)
        ask(scene, verb).act(30, (500, anna))
        assert scene.data().outcome == outcome
        nobody(scene, 100)


def test_who_was_refused_at_a_claim_is_not_recognized_for_a_while(
    scene: Examined, anna: Embedding
) -> None:
    with_recognition(scene, "refuse_recognized").given = 0.9
    scene.scorer, scene.pad = Scorer(0.1), AssessmentRules("refuse_recognized", wait_s=0.0)
    scene.pipeline.backoff.judge(
        fuse([Source("motion", 0.0, False)], "challenge"), ANNA, scene.time_s
    )
    scene.play(10, (500, anna))
    scene.play(100)
    scene.play(20, (500, anna))
    assert scene.outcomes() == [(1, "rejected_pad"), (2, "recognized")]


def test_whom_recognition_has_refused_is_no_match_for_a_while(
    scene: Examined, anna: Embedding
) -> None:
    scorer = with_recognition(scene, "refuse_recognized")
    scene.pad = AssessmentRules("refuse_recognized", wait_s=0.0)
    scene.play(10, (500, anna))
    scene.play(10)
    scorer.given = 0.9
    claim(scene)
    scene.act(10, (500, anna))
    assert scene.data().outcome == "rejected_pad"
    assert scene.data().seen.pad.sources[0].detail["again_in_s"] < 9
    nobody(scene, 90)
    claim(scene)
    scene.act(30, (500, anna))
    assert scene.data().outcome == "match"


@pytest.mark.parametrize(
    ("policy", "outcome"), [("report", "match"), ("refuse_recognized", "rejected_pad")]
)
def test_a_scorer_that_fails_ends_no_claim_and_lets_nobody_pass_who_may_be_refused(
    scene: Examined, anna: Embedding, policy: Any, outcome: str
) -> None:
    scene.scorer, scene.pad = Scorer(math.nan), AssessmentRules(policy, wait_s=0.0)
    claim(scene)
    scene.act(10, (500, anna))
    pad = scene.data().seen.pad
    assert (scene.data().outcome, pad.live) == (outcome, None)
    assert pad.sources[0].detail == {"frames": 0, "reason": "failed"}


def test_a_device_that_refuses_and_has_no_scorer_answers_no_claim(
    scene: Examined, anna: Embedding
) -> None:
    scene.scorer, scene.pad = None, AssessmentRules("refuse_recognized", wait_s=0.0)
    claim(scene)
    scene.act(10, (500, anna))
    assert scene.code() == "internal"
