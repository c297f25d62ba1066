"""Who was refused as an attack is not tried again at once, and not for long."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgeface.recognition.liveness import NOT_ASSESSED, Liveness, Policy, Source, against, fuse
from edgeface.recognition.pad_backoff import FIRST_S, FORGET_S, PadBackoff

MOST_S = 30.0


def seen(motion: bool | None, policy: Policy = "refuse_recognized") -> Liveness:
    sources = [Source("passive", 0.9, None, {"frames": 3}, 0.5), Source("motion", None, motion)]
    return fuse(sources, policy)


@pytest.fixture
def backoff() -> PadBackoff:
    return PadBackoff(MOST_S)


def test_nobody_passes_as_the_same_person_until_the_time_is_over(backoff: PadBackoff) -> None:
    assert backoff.judge(seen(False), "p_a", 100.0) == seen(False)
    later = backoff.judge(seen(True), "p_a", 103.0)
    assert (later.refusal, later.live, later.assessed) == ("attack", False, True)
    assert [source.name for source in later.sources] == ["passive", "motion"]
    assert later.refusing[0].detail["again_in_s"] == 7.0
    assert backoff.judge(seen(None), "p_a", 100.0 + FIRST_S).refusal is None


def test_another_person_is_not_held_back(backoff: PadBackoff) -> None:
    backoff.judge(seen(False), "p_a", 100.0)
    assert backoff.judge(seen(None), "p_b", 100.1).refusal is None


def test_the_time_doubles_with_every_refusal_in_a_row_and_is_bounded(backoff: PadBackoff) -> None:
    now_s, waits = 100.0, []
    for _ in range(5):
        backoff.judge(seen(False), "p_a", now_s)
        wait_s = backoff.against(seen(None), "p_a", now_s).refusing[0].detail["again_in_s"]
        waits.append(wait_s)
        now_s += wait_s
    assert waits == [10, 20, MOST_S, MOST_S, MOST_S]


def test_trying_meanwhile_makes_it_no_longer(backoff: PadBackoff) -> None:
    backoff.judge(seen(False), "p_a", 100.0)
    for at_s in np.arange(100.1, 109.9, 0.1):
        assert backoff.judge(seen(False), "p_a", float(at_s)).refusal == "attack"
    assert backoff.judge(seen(None), "p_a", 110.0).refusal is None


@pytest.mark.parametrize("ends", ["passes", "time"])
def test_who_passes_or_stays_away_counts_from_one_again(backoff: PadBackoff, ends: str) -> None:
    backoff.judge(seen(False), "p_a", 100.0)
    if ends == "passes":
        backoff.judge(seen(None), "p_a", 115.0)
    at_s = 120.0 if ends == "passes" else 100.0 + FORGET_S
    backoff.judge(seen(False), "p_a", at_s)
    assert backoff.against(seen(None), "p_a", at_s).refusing[0].detail["again_in_s"] == FIRST_S


@pytest.mark.parametrize(
    "silent",
    [
        pytest.param(seen(None, "challenge"), id="not live enough"),
        pytest.param(
            fuse([Source("passive", None, None, {}, 0.5, missing=True)], "challenge"), id="failed"
        ),
        pytest.param(seen(False, "report"), id="report"),
    ],
)
def test_what_is_no_evidence_of_an_attack_or_refuses_nobody_is_not_remembered(
    backoff: PadBackoff, silent: Liveness
) -> None:
    assert backoff.judge(silent, "p_a", 100.0) is silent
    assert backoff.judge(seen(None), "p_a", 100.1).refusal is None


def challenged(passed: bool | None, motion: bool | None = None) -> Liveness:
    said = Source("challenge", None, passed, missing=passed is None)
    return fuse([Source("motion", None, motion), said], "challenge")


def test_a_challenge_that_a_person_knew_nothing_of_shuts_them_out_of_challenges_alone(
    backoff: PadBackoff,
) -> None:
    backoff.judge(challenged(False), "p_a", 100.0)
    assert backoff.judge(seen(None), "p_a", 100.1).refusal is None
    assert backoff.judge(challenged(True), "p_a", 100.2).refusal == "attack"


def test_who_passes_without_a_challenge_has_not_answered_one(backoff: PadBackoff) -> None:
    waits, now_s = [], 100.0
    for _ in range(3):
        backoff.judge(challenged(False), "p_a", now_s)
        (accusing,) = backoff.against(challenged(None), "p_a", now_s).refusing
        waits.append(accusing.detail["again_in_s"])
        now_s += waits[-1]
        assert backoff.judge(seen(None), "p_a", now_s).refusal is None
    assert waits == [FIRST_S * 2**number for number in range(2)] + [min(4 * FIRST_S, MOST_S)]
    assert backoff.judge(challenged(True), "p_a", now_s).refusal is None
    backoff.judge(challenged(False), "p_a", now_s)
    assert backoff.against(challenged(None), "p_a", now_s).refusing[0].detail == {
        "again_in_s": FIRST_S
    }


def test_a_picture_that_is_refused_in_a_challenge_is_so_without_one(backoff: PadBackoff) -> None:
    backoff.judge(challenged(False, motion=False), "p_a", 100.0)
    (accusing,) = backoff.judge(seen(None), "p_a", 100.1).refusing
    assert accusing.name == "motion"


def test_a_report_tells_nothing_of_before(backoff: PadBackoff) -> None:
    backoff.judge(seen(False), "p_a", 100.0)
    assert backoff.judge(seen(True, "report"), "p_a", 100.1) == seen(True, "report")


def test_it_can_be_switched_off() -> None:
    off = PadBackoff(0.0)
    off.judge(seen(False), "p_a", 100.0)
    assert off.judge(seen(None), "p_a", 100.1).refusal is None


def test_a_month_costs_no_memory(backoff: PadBackoff) -> None:
    for number in range(10_000):
        backoff.judge(seen(False), f"p_{number}", 60.0 * number)
    held: dict[str, Any] = backoff._refused
    assert len(held) <= FORGET_S / 60


def test_of_each_kind_of_evidence_the_one_that_accuses_counts() -> None:
    own = fuse([Source("passive", 0.1, False), Source("motion", 0.9, True)])
    told = [Source("passive", 0.2, False), Source("challenge", 0.0, False)]
    found = against(own, told)
    assert [(source.name, source.score) for source in found.sources] == [
        ("passive", 0.1),
        ("motion", 0.9),
        ("challenge", 0.0),
    ]
    assert found.live is False
    assert against(NOT_ASSESSED, told).assessed
    assert against(own, ()) is own
