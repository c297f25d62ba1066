"""Against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeface.evaluation.rates import (
    NOT_FOUND,
    best_threshold,
    equal_error,
    fold_accuracy,
    threshold_at,
    true_accept,
)


def _f32(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def test_the_best_threshold_lies_between_the_two_kinds() -> None:
    scores = _f32(0.1, 0.2, 0.8, 0.9)
    assert best_threshold(scores, np.array([False, False, True, True])) == pytest.approx(0.5)


def test_of_equally_good_thresholds_the_middle_one_counts() -> None:
    # Four of six are right at 0.25, 0.45 and 0.65, three anywhere else.
    scores = _f32(0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    same = np.array([False, True, False, True, False, True])
    assert best_threshold(scores, same) == pytest.approx(0.45)


def test_no_threshold_accepts_a_face_that_was_not_found() -> None:
    scores, same = _f32(NOT_FOUND, NOT_FOUND, 0.5), np.array([True, True, True])
    assert best_threshold(scores, same) > NOT_FOUND


def test_each_fold_is_judged_with_the_threshold_of_the_others() -> None:
    # Fold 1 is perfectly split at 0.5, fold 2 at 0.15: each is half right by the other's threshold.
    scores = _f32(0.4, 0.6, 0.1, 0.2)
    same = np.array([False, True, False, True])
    folds = np.array([1, 1, 2, 2], dtype=np.int32)
    result = fold_accuracy(scores, same, folds)
    assert result is not None
    assert result.by_fold == (0.5, 0.5)
    assert result.mean == 0.5
    assert result.deviation == 0.0
    assert result.threshold == pytest.approx((0.15 + 0.5) / 2)


def test_the_deviation_is_that_of_a_sample() -> None:
    # Folds with 4, 4 and 2 of 4 right: mean 5/6, variance ((1/6)^2 * 2 + (1/3)^2) / 2 = 1/12.
    scores = _f32(0.1, 0.2, 0.8, 0.9, 0.1, 0.2, 0.8, 0.9, 0.8, 0.2, 0.1, 0.9)
    same = np.array([False, False, True, True] * 3)
    folds = np.repeat(np.array([1, 2, 3], dtype=np.int32), 4)
    result = fold_accuracy(scores, same, folds)
    assert result is not None
    assert result.mean == pytest.approx(5 / 6)
    assert result.deviation == pytest.approx((1 / 12) ** 0.5)


def test_a_single_fold_has_no_honest_accuracy() -> None:
    assert fold_accuracy(_f32(0, 1), np.array([False, True]), np.ones(2, np.int32)) is None


def test_the_equal_error_rate_of_one_error_of_each_kind_in_four() -> None:
    genuine, impostor = _f32(0.4, 0.7, 0.8, 0.9), _f32(0.1, 0.2, 0.3, 0.6)
    result = equal_error(genuine, impostor)
    assert result.rate == pytest.approx(0.25)
    assert 0.4 < result.threshold <= 0.7


def test_the_equal_error_rate_is_linear_between_unequal_steps() -> None:
    # At 0.5: 1/2 of the genuine rejected below, none of three impostors; just before 1/3 accepted.
    genuine, impostor = _f32(0.3, 0.9), _f32(0.1, 0.2, 0.4)
    # thresholds 0.3: FRR 0, FAR 1/3; 0.4: FRR 1/2, FAR 1/3. They cross 2/3 of the way: 1/3.
    assert equal_error(genuine, impostor).rate == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("genuine", "impostor", "rate"),
    [
        pytest.param(_f32(0.8, 0.9), _f32(0.1, 0.2), 0.0, id="separated"),
        pytest.param(_f32(0.1, 0.2), _f32(0.8, 0.9), 1.0, id="inverted"),
        pytest.param(_f32(0.5, 0.5), _f32(0.5, 0.5), 0.5, id="all-equal"),
    ],
)
def test_extreme_equal_error_rates(genuine: np.ndarray, impostor: np.ndarray, rate: float) -> None:
    assert equal_error(genuine, impostor).rate == pytest.approx(rate)


def test_the_threshold_at_a_far_accepts_exactly_that_many() -> None:
    impostor = np.linspace(0, 0.99, 100, dtype=np.float32)
    threshold = threshold_at(impostor, 0.1)
    assert int(np.sum(impostor >= np.float32(threshold))) == 10
    assert 0.89 < threshold < 0.9


def test_ties_at_the_threshold_never_exceed_the_far() -> None:
    impostor = np.full(100, 0.5, dtype=np.float32)
    assert int(np.sum(impostor >= np.float32(threshold_at(impostor, 0.1)))) == 0


def test_a_true_accept_rate_by_hand() -> None:
    impostor = np.linspace(0, 0.99, 100, dtype=np.float32)
    point = true_accept(_f32(0.5, 0.95, 0.97, 0.98), impostor, 0.1)
    assert point.rate == 0.75
    assert point.expected_errors == pytest.approx(10)


def test_fewer_than_ten_expected_errors_are_not_measurable() -> None:
    impostor = np.zeros(9_999, dtype=np.float32)
    assert true_accept(_f32(1), impostor, 1e-4).rate is None
    assert true_accept(_f32(1), impostor, 1e-2).rate == 1.0


def test_ten_expected_errors_are_measurable() -> None:
    assert true_accept(_f32(1), np.zeros(100_000, np.float32), 1e-4).rate == 1.0


unit = st.floats(-1, 1, width=32)


@given(st.lists(unit, min_size=1, max_size=40), st.sampled_from([0.01, 0.1, 0.5]))
def test_no_far_is_ever_exceeded(impostor: list[float], far: float) -> None:
    scores = _f32(*impostor)
    assert np.mean(scores >= np.float32(threshold_at(scores, far))) <= far + 1e-12


@given(st.lists(st.tuples(unit, st.booleans()), min_size=1, max_size=30))
def test_no_other_threshold_is_better(pairs: list[tuple[float, bool]]) -> None:
    scores, same = _f32(*(score for score, _ in pairs)), np.array([s for _, s in pairs])
    correct = np.mean((scores.astype(float) >= best_threshold(scores, same)) == same)
    for candidate in [*scores.tolist(), 2.0]:
        if candidate > NOT_FOUND:
            assert correct >= np.mean((scores.astype(float) >= candidate) == same) - 1e-12


@given(st.lists(unit, min_size=1, max_size=30), st.lists(unit, min_size=1, max_size=30))
def test_an_equal_error_rate_is_a_rate(genuine: list[float], impostor: list[float]) -> None:
    assert 0.0 <= equal_error(_f32(*genuine), _f32(*impostor)).rate <= 1.0
