from __future__ import annotations

import numpy as np
import pytest

from edgeface.evaluation.impostors import (
    PairScores,
    cross_person_scores,
    draw_weights,
    percentile_interval,
    true_accepts,
)
from edgeface.evaluation.rates import NOT_FOUND


def _unit(rows: list[list[float]]) -> np.ndarray:
    matrix = np.array(rows, dtype=np.float32)
    return (matrix / np.linalg.norm(matrix, axis=1, keepdims=True)).astype(np.float32)


def test_cross_person_pairs_are_made_once_and_never_within_a_person() -> None:
    embeddings = _unit([[1, 0], [1, 1], [0, 1], [-1, 0]])
    subjects = np.array([0, 0, 1, 2], dtype=np.int32)
    pairs = cross_person_scores(embeddings, subjects)
    assert sorted(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True)) == [
        (0, 1),
        (0, 1),
        (0, 2),
        (0, 2),
        (1, 2),
    ]
    expected = {0.0, np.float32(0.5**0.5), -1.0, -np.float32(0.5**0.5)}
    assert np.allclose(sorted(set(pairs.scores.tolist())), sorted(expected), atol=1e-6)


def test_sides_keep_the_pairs_between_them() -> None:
    embeddings = _unit([[1, 0], [0, 1], [1, 1], [1, 2]])
    subjects = np.arange(4, dtype=np.int32)
    frontal = np.array([True, True, False, False])
    pairs = cross_person_scores(embeddings, subjects, sides=(frontal, ~frontal))
    assert sorted(zip(pairs.a.tolist(), pairs.b.tolist(), strict=True)) == [
        (0, 2),
        (0, 3),
        (1, 2),
        (1, 3),
    ]


def test_a_face_that_was_not_found_rejects_every_pair() -> None:
    embeddings = _unit([[1, 0], [1, 0], [1, 0.1]])
    found = np.array([True, False, True])
    pairs = cross_person_scores(embeddings, np.arange(3, dtype=np.int32), found)
    by_pair = {(a, b): s for a, b, s in zip(pairs.a, pairs.b, pairs.scores, strict=True)}
    assert by_pair[0, 1] == by_pair[1, 2] == NOT_FOUND
    assert by_pair[0, 2] > 0.9


def test_drawn_weights_count_a_pair_of_two_people_as_the_product() -> None:
    pairs = PairScores(
        np.zeros(2, np.float32), np.array([0, 1], np.int32), np.array([1, 1], np.int32)
    )
    assert pairs.weights(np.array([2, 3], np.float32)).tolist() == [6, 3]
    assert pairs.counts(2).tolist() == [[0, 1], [0, 1]]


def test_every_draw_has_as_many_people_as_there_are_and_a_seed_repeats_it() -> None:
    draws = list(draw_weights(7, 5, seed=3))
    assert [draw.sum() for draw in draws] == [7] * 5
    assert np.array_equal(draws, list(draw_weights(7, 5, seed=3)))
    with pytest.raises(ValueError, match="two people"):
        next(draw_weights(1, 1, 1))


def test_the_interval_is_that_of_the_percentiles() -> None:
    assert percentile_interval(np.arange(101.0)) == pytest.approx((2.5, 97.5))


def _people_with_their_own_rate(generator: np.random.Generator, people: int) -> PairScores:
    """Ten genuine pairs each that are all accepted or all rejected: only people carry news."""
    good = generator.random(people) < 0.8
    scores = np.repeat(np.where(good, 0.9, 0.1), 10).astype(np.float32)
    owner = np.repeat(np.arange(people, dtype=np.int32), 10)
    return PairScores(scores, owner, owner)


def test_intervals_are_as_wide_as_the_number_of_people_demands() -> None:
    generator = np.random.default_rng(5)
    people = 100
    genuine = _people_with_their_own_rate(generator, people)
    a = generator.integers(0, people, 4000).astype(np.int32)
    b = ((a + generator.integers(1, people, 4000)) % people).astype(np.int32)
    impostor = PairScores(generator.uniform(-0.5, 0.5, 4000).astype(np.float32), a, b)
    points = true_accepts(genuine, impostor, [0.1, 1e-4], people)
    assert points[1].rate is None
    point = points[0]
    assert point.rate is not None
    assert point.interval_95 is not None
    low, high = point.interval_95
    assert low < point.rate < high
    # Standard error of a rate of 0.8 over 100 people: 0.04; over 1,000 pairs it would be 0.013.
    assert 0.1 < high - low < 0.22


def test_looking_only_at_the_highest_scores_changes_nothing() -> None:
    generator = np.random.default_rng(6)
    people = 30
    genuine = PairScores(
        generator.normal(0.5, 0.2, 300).astype(np.float32),
        np.repeat(np.arange(people, dtype=np.int32), 10),
        np.repeat(np.arange(people, dtype=np.int32), 10),
    )
    a = generator.integers(0, people, 20_000).astype(np.int32)
    b = ((a + generator.integers(1, people, 20_000)) % people).astype(np.int32)
    impostor = PairScores(generator.normal(0, 0.15, 20_000).astype(np.float32), a, b)
    # FAR 0.5 makes it look at everything, 0.01 alone at the top 1,000.
    alone = true_accepts(genuine, impostor, [0.01], people)[0]
    among = true_accepts(genuine, impostor, [0.5, 0.01], people)[1]
    assert alone == among
