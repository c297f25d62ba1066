"""1:1: the claimed person alone counts, with a bar of its own."""

from __future__ import annotations

import json

import numpy as np
import pytest

from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.verification import Verification, verify
from tests.support.people import everybody, gallery, identity, uniform_calibration, view

RNG = np.random.default_rng(21)
ANNA, BERT, STRANGER = (identity(RNG) for _ in range(3))
INDEX = gallery([np.stack([ANNA, view(ANNA, RNG)]), BERT], ["p_anna", "p_bert"])
CALIBRATION = uniform_calibration()
RULES = DecisionRules()
FMR = 1e-4


def claim(
    person: np.ndarray,
    person_id: str,
    frames: int = 4,
    allowed: np.ndarray | None = None,
    clear: int = 4,
) -> Verification:
    rng = np.random.default_rng(2)
    embeddings = np.array([view(person, rng) for _ in range(frames)], dtype=np.float32)
    return verify(
        embeddings.reshape(frames, 128),
        np.full(frames, 0.8, dtype=np.float32),
        clear,
        person_id,
        INDEX,
        everybody(INDEX) if allowed is None else allowed,
        CALIBRATION,
        FMR,
        RULES,
    )


def test_the_right_person_matches_by_the_bar_for_their_templates() -> None:
    answer = claim(ANNA, "p_anna")
    assert answer.outcome == "match"
    assert answer.threshold == CALIBRATION.identification_threshold(FMR, 3, 1).value
    assert answer.agreeing == 4
    assert json.loads(json.dumps(answer.why))["templates"] == 1
    assert claim(BERT, "p_bert").outcome == "match"


def test_each_look_of_a_person_that_stands_for_itself_raises_the_bar() -> None:
    index = gallery([np.stack([ANNA, BERT])], ["p_two"])
    answer = verify(
        np.stack([ANNA] * 3),
        np.ones(3, np.float32),
        3,
        "p_two",
        index,
        everybody(index),
        CALIBRATION,
        FMR,
        RULES,
    )
    assert answer.threshold == CALIBRATION.identification_threshold(FMR, 3, 2).value


@pytest.mark.parametrize("person", [BERT, STRANGER], ids=["another one", "a stranger"])
def test_anybody_else_does_not_match(person: np.ndarray) -> None:
    answer = claim(person, "p_anna")
    assert answer.outcome == "no_match"
    assert answer.score is not None


def test_what_could_not_be_seen_clearly_is_no_reason_for_a_no() -> None:
    assert claim(STRANGER, "p_anna", clear=2).outcome == "inconclusive"
    assert claim(STRANGER, "p_anna", clear=3).outcome == "no_match"
    assert claim(ANNA, "p_anna", clear=0).outcome == "match"


def test_too_few_frames_are_inconclusive() -> None:
    for frames in (0, 2):
        answer = claim(ANNA, "p_anna", frames)
        assert answer.outcome == "inconclusive"
        assert answer.score is None


def test_who_is_not_enrolled_or_not_allowed_is_not_compared() -> None:
    assert claim(ANNA, "p_nobody").outcome == "not_enrolled"
    assert claim(ANNA, "p_anna", allowed=np.array([False, True])).outcome == "not_enrolled"


def test_the_false_match_rate_per_claim_is_kept() -> None:
    rng = np.random.default_rng(7)
    claims, target = 4000, 0.02
    rules = DecisionRules(max_looks=1)
    passed = 0
    for _ in range(claims):
        stranger = identity(rng)
        # A photograph held still: every frame is alike, the worst case for the mean.
        passed += (
            verify(
                np.stack([stranger] * 3),
                np.ones(3, dtype=np.float32),
                3,
                "p_anna",
                INDEX,
                everybody(INDEX),
                CALIBRATION,
                target,
                rules,
            ).outcome
            == "match"
        )
    deviation = (claims * target) ** 0.5
    assert claims * target * 0.5 < passed < claims * target + 3 * deviation
