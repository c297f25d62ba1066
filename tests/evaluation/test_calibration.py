from __future__ import annotations

import numpy as np
import pytest

from edgeface.base.errors import EvaluationError
from edgeface.evaluation.calibration import check_calibration, fit_calibration
from edgeface.evaluation.impostors import PairScores, cross_person_scores
from edgeface.evaluation.rates import NOT_FOUND
from edgeface.recognition.thresholds import Calibration


def _population(people: int, pictures: int, seed: int, dimensions: int = 24) -> PairScores:
    """Random people and their pictures on a sphere of few dimensions, so that some are alike."""
    generator = np.random.default_rng(seed)
    centers = generator.normal(size=(people, dimensions))
    rows = np.repeat(centers, pictures, axis=0)
    rows += 0.5 * generator.normal(size=rows.shape)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    subjects = np.repeat(np.arange(people, dtype=np.int32), pictures)
    return cross_person_scores(rows.astype(np.float32), subjects)


@pytest.fixture(scope="module")
def first_half() -> PairScores:
    return _population(150, 8, seed=1)


@pytest.fixture(scope="module")
def second_half() -> PairScores:
    return _population(150, 8, seed=2)


def test_thresholds_deliver_their_rate_on_other_people(
    first_half: PairScores, second_half: PairScores
) -> None:
    fit = fit_calibration(first_half, replicates=60)
    checks = check_calibration(fit.calibration, second_half, replicates=100)
    assert [check.fmr for check in checks] == [1e-3, 1e-4, 1e-5]
    for check in checks[:2]:
        low, high = check.interval_95
        assert low < check.delivered < high
        assert check.within_factor_two
        assert check.consistent
        assert not check.extrapolated
    # 0.00001 of 700,000 pairs are seven: beyond the data, said so, and on the safe side.
    assert checks[2].extrapolated
    assert checks[2].delivered < 2e-5


def test_the_empirical_part_is_the_share_of_scores(first_half: PairScores) -> None:
    calibration = fit_calibration(first_half, replicates=20).calibration
    for score, survival in zip(calibration.scores, calibration.survival, strict=True):
        share = float(np.mean(first_half.scores >= np.float32(score)))
        assert survival == pytest.approx(share, rel=1e-6)
    # The thresholds people ask for are steps of it: 0.001 costs no more than its rounding.
    threshold = calibration.threshold_for(1e-3)
    delivered = float(np.mean(first_half.scores >= np.float32(threshold.value)))
    assert 0.97e-3 < delivered <= 1e-3


def test_the_stored_tail_is_not_below_the_fitted_one(first_half: PairScores) -> None:
    fit = fit_calibration(first_half, replicates=60)
    calibration = fit.calibration
    for score in np.linspace(fit.fit_start, 0.98, 12):
        excess = np.array(score - fit.fit_start)
        fitted = fit.excesses / fit.impostors * np.exp(float(fit.tail.log_survival(excess)))
        if score > calibration.scores[-1]:
            assert calibration.survival_at(float(score)) >= fitted
    # No jump: the last step of the empirical part holds until the bound has fallen to it.
    assert calibration.tail_start > calibration.scores[-1]
    assert calibration.survival[-1] == calibration.tail_rate


def test_fewer_people_support_only_larger_rates() -> None:
    many = fit_calibration(_population(150, 8, seed=3), replicates=60).calibration
    few = fit_calibration(_population(20, 8, seed=3), replicates=60).calibration
    assert few.smallest_fmr > many.smallest_fmr
    assert few.threshold_for(few.smallest_fmr / 2).extrapolated
    assert not few.threshold_for(few.smallest_fmr).extrapolated


def test_lookalikes_raise_the_bar() -> None:
    plain = _population(60, 5, seed=4)
    alike = np.flatnonzero((plain.a == 0) & (plain.b == 1))
    scores = plain.scores.copy()
    scores[alike] = np.linspace(0.7, 0.9, len(alike))
    twins = PairScores(scores, plain.a, plain.b)
    thresholds = [
        fit_calibration(pairs, replicates=60).calibration.threshold_for(1e-5).value
        for pairs in (plain, twins)
    ]
    assert thresholds[1] > thresholds[0]


def test_it_survives_the_trip_to_a_file_and_ignores_pairs_without_a_face() -> None:
    pairs = _population(40, 5, seed=5)
    calibration = fit_calibration(pairs, replicates=20).calibration
    missing = PairScores(
        np.append(pairs.scores, np.full(500, NOT_FOUND, np.float32)),
        np.append(pairs.a, np.zeros(500, np.int32)),
        np.append(pairs.b, np.ones(500, np.int32)),
    )
    assert fit_calibration(missing, replicates=20).calibration == calibration
    assert Calibration.from_mapping(calibration.to_mapping()) == calibration
    assert len(calibration.scores) < 120


@pytest.mark.parametrize(
    "pairs",
    [
        pytest.param(_population(9, 10, seed=6), id="nine-people"),
        pytest.param(_population(12, 2, seed=6), id="few-scores"),
    ],
)
def test_too_little_data_is_refused(pairs: PairScores) -> None:
    with pytest.raises(EvaluationError, match="1,000 impostor scores of ten people"):
        fit_calibration(pairs)


def test_scores_that_are_all_the_same_are_refused() -> None:
    pairs = _population(40, 5, seed=7)
    flat = PairScores(np.full(len(pairs), 0.25, np.float32), pairs.a, pairs.b)
    with pytest.raises(EvaluationError, match="all the same"):
        fit_calibration(flat)
