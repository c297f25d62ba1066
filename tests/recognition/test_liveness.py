"""Evidence of liveness: what several sources together say."""

from __future__ import annotations

import itertools
import math

import pytest

from edgeface.recognition.liveness import Liveness, Source, fuse, passive


def motion(live: bool | None, score: float | None = None) -> Source:
    return Source("motion", score, live)


@pytest.mark.parametrize(
    ("said", "live"),
    [
        ((True, True), True),
        ((True, None), True),
        ((None, None), None),
        ((True, False), False),
        ((None, False), False),
        ((False, False), False),
    ],
)
def test_one_source_that_calls_it_an_attack_outweighs_all_others(
    said: tuple[bool | None, ...], live: bool | None
) -> None:
    for order in itertools.permutations(said):
        assert fuse([motion(each) for each in order]).live is live


def test_nothing_that_was_asked_is_no_assessment() -> None:
    assert fuse([]) == Liveness(assessed=False, live=None, score=None, sources=())
    assert fuse([motion(None)]).assessed


def test_the_fused_score_is_the_lowest_and_names_who_refuses() -> None:
    sources = [Source("passive", 0.9, True), motion(False, 0.2), Source("challenge", None, None)]
    fused = fuse(sources)
    assert fused.score == 0.2
    assert fused.refusing == (sources[1],)
    assert fused.sources == tuple(sources)


def test_the_mean_of_the_crops_decides_once_there_are_enough() -> None:
    assert passive([0.9, 0.9, 0.3], 0.7, 3).live is None, "many attacks reach as much"
    assert passive([0.9, 0.8, 0.3], 0.7, 3).live is False
    too_few = passive([0.0, 0.0], 0.7, 3)
    assert (too_few.live, too_few.score, too_few.threshold) == (None, 0.0, 0.7)
    assert too_few.detail == {"frames": 2}
    assert passive([], 0.7, 3) == Source("passive", None, None, {"frames": 0}, 0.7)


@pytest.mark.parametrize("score", [-0.01, 1.01, math.nan])
def test_a_score_that_is_none_is_refused(score: float) -> None:
    with pytest.raises(ValueError, match="no score"):
        Source("passive", score, None)
