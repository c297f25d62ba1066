from __future__ import annotations

import numpy as np
import pytest

from edgeface.evaluation.calibration import Tail, fit_tail, tail_through


def _sample(shape: float, scale: float, n: int) -> np.ndarray:
    uniform = np.random.default_rng(1).random(n)
    if shape == 0:
        return -scale * np.log(uniform)
    return scale / shape * (uniform**-shape - 1)


@pytest.mark.parametrize("shape", [0.0, 0.1, 0.3, 0.8])
def test_the_fit_finds_the_law_that_made_the_sample(shape: float) -> None:
    tail = fit_tail(_sample(shape, 0.05, 20_000))
    # Asymptotic standard errors: (1 + shape) / sqrt(n), below 0.013.
    assert tail.shape == pytest.approx(shape, abs=0.04)
    assert tail.scale == pytest.approx(0.05, rel=0.05)


def test_a_tail_lighter_than_exponential_is_read_as_exponential() -> None:
    # Uniform excesses have shape -1; shape 0 with the mean is the best that is allowed.
    excess = np.linspace(0, 0.1, 1001)
    tail = fit_tail(excess)
    assert tail.shape == 0
    assert tail.scale == pytest.approx(0.05)


def test_weights_count_as_repetitions() -> None:
    excess = _sample(0.4, 0.1, 500)
    weights = np.random.default_rng(2).integers(0, 4, 500)
    weighted = fit_tail(excess, weights.astype(float))
    repeated = fit_tail(np.repeat(excess, weights))
    assert weighted.shape == pytest.approx(repeated.shape, abs=1e-9)
    assert weighted.scale == pytest.approx(repeated.scale, abs=1e-9)


def test_the_survival_function_by_hand() -> None:
    # (1 + 0.5 * 2 / 1) ** -2 = 1/4, and exp(-2).
    assert float(Tail(0.5, 1.0).log_survival(np.array(2.0))) == pytest.approx(np.log(0.25))
    assert float(Tail(0.0, 1.0).log_survival(np.array(2.0))) == pytest.approx(-2.0)


def test_a_tail_passes_through_the_two_points_given() -> None:
    law = Tail(0.3, 0.04)
    points = [(x, float(law.log_survival(np.array(x)))) for x in (0.1, 0.5)]
    found = tail_through(points[0], points[1])
    assert found.shape == pytest.approx(0.3, rel=1e-6)
    assert found.scale == pytest.approx(0.04, rel=1e-6)


def test_through_points_of_a_lighter_tail_goes_the_exponential_above_them() -> None:
    found = tail_through((0.1, -1.0), (0.2, -4.0))
    assert found.shape == 0
    assert float(found.log_survival(np.array(0.1))) == pytest.approx(-1.0)
    assert float(found.log_survival(np.array(0.2))) > -4.0


@pytest.mark.parametrize(
    ("near", "far"),
    [
        pytest.param((0.2, -1.0), (0.1, -2.0), id="descending"),
        pytest.param((0.1, -2.0), (0.2, -1.0), id="rising"),
        pytest.param((0.0, 0.0), (0.2, -1.0), id="start"),
    ],
)
def test_impossible_points_are_refused(near: tuple[float, float], far: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="no tail"):
        tail_through(near, far)


@pytest.mark.parametrize("excess", [np.zeros(0), np.zeros(5)], ids=["none", "all-zero"])
def test_nothing_to_fit_is_refused(excess: np.ndarray) -> None:
    with pytest.raises(ValueError, match="excesses"):
        fit_tail(excess)
