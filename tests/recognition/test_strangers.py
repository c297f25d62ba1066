"""Thousands of strangers walk by: the false positives per track keep the target."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.judge import Judge
from edgeface.recognition.thresholds import Calibration
from edgeface.recognition.values import Embedding
from tests.support.people import (
    crop,
    everybody,
    gallery,
    identity,
    moment,
    uniform_calibration,
    unit,
    view,
)

TARGET = 0.06
"""False positives per track: large, so that a few thousand tracks measure it."""

RULES = DecisionRules(target_fpir=TARGET, min_margin=0.0, same_track_min=-1.0)
"""Without margin and split, which both only take false positives away: the threshold alone."""

FRAME_S = 0.2


def false_positives(
    tracks: int,
    index: GalleryIndex,
    calibration: Calibration,
    stranger: Callable[[np.random.Generator], Embedding],
    likeness: float,
    seed: int,
    frames: int = 12,
    rules: DecisionRules = RULES,
) -> int:
    """How many of so many strangers' tracks end up with a name."""
    rng = np.random.default_rng(seed)
    mask = everybody(index)
    named = 0
    for _ in range(tracks):
        face = stranger(rng)
        track = Judge(1, rules, calibration, moment(0.0))
        # Some stand still, some walk up: the looks fall on different frames.
        weights = np.sort(rng.uniform(0.1, 1.0, frames))
        if rng.random() < 0.5:
            weights = np.full(frames, 0.7)
        for number, weight in enumerate(weights):
            seen = face if likeness == 1 else view(face, rng, likeness)
            track.add(crop(seen, number * FRAME_S, float(weight)))
            track.look(index, mask, number * FRAME_S)
        track.close(index, mask, len(weights) * FRAME_S)
        named += track.recognized
    return named


@pytest.fixture(scope="module")
def random_gallery() -> GalleryIndex:
    """25 people with two unrelated templates each: 50 chances for a stranger."""
    rng = np.random.default_rng(1)
    return gallery([np.stack([identity(rng), identity(rng)]) for _ in range(25)])


@pytest.mark.parametrize(
    ("likeness", "tracks", "frames"),
    [
        pytest.param(1.0, 2500, 6, id="still"),
        pytest.param(0.9, 700, 12, id="lively"),
        pytest.param(0.6, 700, 12, id="noisy"),
    ],
)
def test_strangers_are_named_no_more_often_than_the_target(
    likeness: float, tracks: int, frames: int, random_gallery: GalleryIndex
) -> None:
    exact = uniform_calibration()
    named = false_positives(
        tracks, random_gallery, exact, identity, likeness, int(10 * likeness), frames
    )
    allowed = tracks * TARGET
    assert named <= allowed + 3 * math.sqrt(allowed)
    if likeness == 1.0:
        # Every look says the same, so one in `max_looks` of the target has to be used up: the bar
        # is where it belongs, and not merely high.
        once = allowed / RULES.max_looks
        assert abs(named - once) <= 4 * math.sqrt(once)


HEAVY = Calibration(
    scores=(-0.1, 0.0, 0.1, 0.2),
    survival=(0.9, 0.5, 0.2, 0.04),
    tail_start=0.25,
    tail_rate=0.02,
    tail_shape=0.1,
    tail_scale=0.05,
    smallest_fmr=1e-5,
)
"""Impostors with a tail far above that of random directions, as lookalikes make it."""


def drawn(rng: np.random.Generator, count: int) -> np.ndarray:
    """Scores of which exactly the share `HEAVY.survival_at(s)` is at or above any tail score s."""
    uniform = rng.random(count)
    tail = HEAVY.tail_start + HEAVY.tail_scale / HEAVY.tail_shape * (
        (uniform / HEAVY.tail_rate) ** -HEAVY.tail_shape - 1
    )
    return np.where(uniform < HEAVY.tail_rate, tail, rng.uniform(-0.1, 0.2, count))


def test_strangers_with_a_heavy_tail_of_scores_keep_the_target_too() -> None:
    people, tracks = 20, 2000
    # Orthogonal templates: a stranger's score to each can be drawn by itself.
    index = gallery(list(np.eye(people, 128, dtype=np.float32)))

    def stranger(rng: np.random.Generator) -> Embedding:
        while True:
            scores = drawn(rng, people)
            rest = 1 - float(scores @ scores)
            if rest > 0:
                break
        beyond = rng.normal(size=128 - people)
        beyond *= math.sqrt(rest) / np.linalg.norm(beyond)
        return unit(np.concatenate([scores, beyond]))

    named = false_positives(tracks, index, HEAVY, stranger, 1.0, seed=4, frames=6)
    once = tracks * TARGET / RULES.max_looks
    assert abs(named - once) <= 4 * math.sqrt(once)


def test_a_bar_for_one_template_would_not_keep_it(random_gallery: GalleryIndex) -> None:
    """The measurement is sharp enough to see a threshold that ignores the gallery's size."""

    class ForOne(Calibration):
        def identification_threshold(  # type: ignore[no-untyped-def]
            self, target_per_track, max_looks, templates
        ):
            return super().identification_threshold(target_per_track, max_looks, 1)

    exact = uniform_calibration()
    naive = ForOne(**{name: getattr(exact, name) for name in exact.to_mapping()})
    tracks = 300
    assert (
        false_positives(tracks, random_gallery, naive, identity, 1.0, seed=3, frames=6)
        > 3 * tracks * TARGET
    )


def test_with_the_rules_as_they_ship_no_stranger_of_a_thousand_is_named(
    random_gallery: GalleryIndex,
) -> None:
    rules = replace(DecisionRules(), target_fpir=1e-4)
    assert (
        false_positives(
            1000, random_gallery, uniform_calibration(), identity, 0.9, 9, frames=6, rules=rules
        )
        == 0
    )
