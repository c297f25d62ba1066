"""One look: the gates, and the trace that tells about them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgeface.recognition.decision import DecisionRules, evaluate
from edgeface.recognition.matching import Ranking
from edgeface.recognition.thresholds import Calibration
from tests.support.people import gallery, identity

CALIBRATION = Calibration((0.0,), (0.5,), 0.3, 0.01, 0.0, 0.05, 1e-5)
RULES = DecisionRules()
PER_FRAME = CALIBRATION.identification_threshold(1e-3, 3, 1).value
NEEDED = CALIBRATION.identification_threshold(1e-3, 3, 10).value
RNG = np.random.default_rng(1)
INDEX = gallery([identity(RNG) for _ in range(10)])


def ranking(
    best: float, second: float | None, frames: list[tuple[int, float]], templates: int = 10
) -> Ranking:
    people = ((4, best),) if second is None else ((4, best), (7, second))
    return Ranking(
        people,
        np.array([person for person, _ in frames], dtype=np.int32),
        np.array([score for _, score in frames], dtype=np.float32),
        templates,
    )


GOOD = [(4, 0.7)] * 3
NEAR = NEEDED + 1e-6


@pytest.mark.parametrize(
    ("evidence", "outcome", "agreeing"),
    [
        pytest.param(ranking(0.7, 0.2, GOOD), "recognized", 3, id="all gates passed"),
        pytest.param(ranking(NEAR, 0.2, GOOD), "recognized", 3, id="just at the threshold"),
        pytest.param(ranking(NEEDED - 1e-6, 0.2, GOOD), "unknown", 3, id="just below"),
        pytest.param(ranking(0.7, None, GOOD), "recognized", 3, id="nobody else there"),
        pytest.param(ranking(0.7, 0.64, GOOD), "ambiguous", 3, id="lead too small"),
        pytest.param(ranking(0.7, 0.7, GOOD), "ambiguous", 3, id="a tie"),
        pytest.param(ranking(0.4, 0.4, GOOD), "unknown", 3, id="a tie below the threshold"),
        pytest.param(ranking(0.7, 0.2, GOOD[:2]), "unknown", 2, id="two frames"),
        pytest.param(
            ranking(0.7, 0.2, [*GOOD[:2], (7, 0.7)]), "unknown", 2, id="one names another"
        ),
        pytest.param(
            ranking(0.7, 0.2, [*GOOD[:2], (4, PER_FRAME - 1e-4)]),
            "unknown",
            2,
            id="one is too unlike to name anybody",
        ),
        pytest.param(
            ranking(0.7, 0.2, [*GOOD, (7, 0.7), (1, 0.1)]), "recognized", 3, id="three of five"
        ),
        pytest.param(
            ranking(0.7, 0.69, [(4, 0.7), (7, 0.7), (4, 0.7), (7, 0.7)]),
            "ambiguous",
            2,
            id="the frames name one and the other",
        ),
    ],
)
def test_the_gates_one_by_one(evidence: Ranking, outcome: str, agreeing: int) -> None:
    found = evaluate(evidence, INDEX, CALIBRATION, RULES)
    assert found.outcome == outcome
    assert found.agreeing == agreeing
    assert found.person_id == INDEX.people[4]
    assert found.threshold is not None
    assert found.threshold.value == NEEDED
    assert found.why["gates"] == {
        "agreeing": agreeing >= 3,
        "score": evidence.people[0][1] >= NEEDED,
        "margin": len(evidence.people) < 2
        or evidence.people[0][1] - evidence.people[1][1] >= RULES.min_margin,
    }


def test_the_same_score_may_do_in_a_small_gallery_and_not_in_a_large_one() -> None:
    small = evaluate(ranking(NEAR, 0.2, GOOD, 10), INDEX, CALIBRATION, RULES)
    large = evaluate(ranking(NEAR, 0.2, GOOD, 11), INDEX, CALIBRATION, RULES)
    assert (small.outcome, large.outcome) == ("recognized", "unknown")


def test_an_extrapolated_threshold_is_told() -> None:
    found = evaluate(ranking(0.98, 0.2, GOOD, 100_000), INDEX, CALIBRATION, RULES)
    assert found.threshold is not None
    assert found.threshold.extrapolated
    assert found.why["threshold_extrapolated"] is True


def test_the_trace_is_json_and_names_the_near_misses() -> None:
    found = evaluate(ranking(0.4, 0.38, [*GOOD[:2], (7, 0.1)]), INDEX, CALIBRATION, RULES)
    trace: dict[str, Any] = json.loads(json.dumps(found.why))
    assert trace["near"] == [
        {"person_id": INDEX.people[4], "score": 0.4},
        {"person_id": INDEX.people[7], "score": 0.38},
    ]
    assert trace["frame_scores"][2] == {
        "person_id": INDEX.people[7],
        "score": 0.1,
        "names": False,
    }
    assert trace["margin"] == 0.02
    assert trace["templates"] == 10
    assert trace["threshold"] == round(NEEDED, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"max_looks": 0},
        {"min_agreeing": 0},
        {"best_frames": 2},
        {"min_margin": -0.1},
        {"target_fpir": 0.0},
        {"target_fpir": 1.0},
        {"unknown_after_s": 0.0},
        {"same_track_min": 1.5},
        {"cool_down_s": -1.0},
    ],
    ids=str,
)
def test_rules_that_contradict_themselves_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="decision rules"):
        replace(RULES, **change)  # type: ignore[arg-type]
