"""One track at the door: from which frame the validity of a decision counts."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from edgeface.recognition.decision import Decision, DecisionRules
from edgeface.recognition.values import Embedding
from edgeface.recognition.visit import Moment, Visit
from tests.support.doorstep import START
from tests.support.people import everybody, gallery, identity, quality, uniform_calibration, unit

RNG = np.random.default_rng(11)
ANNA, OTHER = identity(RNG), identity(RNG)
ACROSS = unit(OTHER - (OTHER @ ANNA) * ANNA)
INDEX = gallery([ANNA], ["p_annaannaaa"])


def seen(likeness: float) -> Embedding:
    """Somebody with this cosine to Anna."""
    return unit(likeness * ANNA + np.sqrt(1 - likeness**2) * ACROSS)


def moment(time_s: float) -> Moment:
    return Moment(START + timedelta(seconds=time_s), round(time_s * 1e9), 1)


class Track:
    """A visit that is shown one face after another."""

    def __init__(self) -> None:
        self.visit = Visit(1, DecisionRules(max_looks=2), uniform_calibration(), moment(0))

    def show(self, time_s: float, likeness: float, weight: float) -> Decision | None:
        now = moment(time_s)
        self.visit.last_seen = now
        assert self.visit.add(seen(likeness), quality(weight), now)
        return self.visit.judge.look(INDEX, everybody(INDEX), now.time_s)


def test_a_frame_that_was_not_used_does_not_prolong_a_name() -> None:
    track = Track()
    for time_s in (0.0, 0.1, 0.2):
        assert track.show(time_s, 0.25, 0.1) is None
    for time_s in np.arange(0.3, 1.05, 0.1).tolist():
        assert track.show(time_s, 0.8, 0.9) is None
    # Too poor to be kept, and alike enough to be no other track: it may be anybody.
    assert track.show(1.5, 0.25, 0.05) is None
    decision = track.show(2.1, 0.25, 0.05)
    assert decision is not None
    assert decision.outcome == "recognized"
    assert track.visit.basis(decision).time_s == pytest.approx(1.0)


def test_a_frame_that_names_nobody_does_not_prolong_a_name() -> None:
    track = Track()
    for time_s in (0.0, 0.1, 0.2):
        assert track.show(time_s, 0.25, 0.1) is None
    for time_s in (0.3, 0.4, 0.5, 0.6):
        assert track.show(time_s, 0.8, 0.9) is None
    decision = track.show(2.1, 0.25, 0.2)
    assert decision is not None
    assert decision.outcome == "recognized"
    assert decision.frames == 8
    assert decision.agreeing == 4
    assert track.visit.basis(decision).time_s == pytest.approx(0.6)


def test_what_names_nobody_counts_from_the_newest_frame_that_was_used() -> None:
    track = Track()
    said = [track.show(time_s, 0.25, 0.9) for time_s in (0.0, 1.0, 2.0)]
    decision = said[-1]
    assert decision is not None
    assert decision.outcome == "unknown"
    assert track.visit.basis(decision).time_s == pytest.approx(2.0)


def test_without_a_good_frame_it_counts_from_the_newest_face() -> None:
    visit = Visit(1, DecisionRules(), uniform_calibration(), moment(0))
    visit.judge.refuse("too_small")
    visit.last_seen = moment(0.3)
    decision = visit.judge.close(INDEX, everybody(INDEX), 1.0)
    assert decision is not None
    assert visit.basis(decision).time_s == pytest.approx(0.3)
