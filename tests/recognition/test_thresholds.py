"""The survival function of impostor scores and the thresholds that follow from it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeface.base.errors import ModelError
from edgeface.recognition.thresholds import MAX_THRESHOLD, Calibration

STEPS = Calibration(
    scores=(0.0, 0.1, 0.2, 0.3),
    survival=(0.5, 0.2, 0.05, 0.01),
    tail_start=0.35,
    tail_rate=0.008,
    tail_shape=0.25,
    tail_scale=0.02,
    smallest_fmr=1e-5,
)


@st.composite
def calibrations(draw: st.DrawFn) -> Calibration:
    scores = sorted(draw(st.sets(st.floats(-0.5, 0.4), max_size=12)))
    survival = sorted(
        (draw(st.floats(1e-4, 1.0)) for _ in scores),
        reverse=True,
    )
    return Calibration(
        scores=tuple(scores),
        survival=tuple(survival),
        tail_start=draw(st.floats(-0.2, 0.6)),
        tail_rate=draw(st.floats(1e-6, 0.2)),
        tail_shape=draw(st.one_of(st.just(0.0), st.floats(1e-9, 0.8))),
        tail_scale=draw(st.floats(1e-3, 0.3)),
        smallest_fmr=draw(st.floats(1e-8, 1e-2)),
    )


@pytest.mark.parametrize(
    ("score", "survival"),
    [
        pytest.param(-0.5, 1.0, id="below every step"),
        pytest.param(0.0, 0.5, id="on a step"),
        pytest.param(0.15, 0.2, id="between two the left one holds"),
        pytest.param(0.34, 0.01, id="the last step"),
        pytest.param(0.35, 0.008, id="the tail begins"),
        # 0.008 * (1 + 0.25 * 0.08 / 0.02) ** -4 = 0.008 / 16
        pytest.param(0.43, 0.0005, id="in the tail"),
    ],
)
def test_survival_by_hand(score: float, survival: float) -> None:
    assert STEPS.survival_at(score) == pytest.approx(survival, rel=1e-12)


@pytest.mark.parametrize(
    ("fmr", "threshold"),
    [
        pytest.param(1.0, -1.0, id="everybody may pass"),
        pytest.param(0.3, 0.1, id="the first step that keeps it"),
        pytest.param(0.05, 0.2, id="exactly a step"),
        pytest.param(0.009, 0.35, id="between the last step and the tail"),
        pytest.param(0.0005, 0.43, id="in the tail"),
    ],
)
def test_thresholds_by_hand(fmr: float, threshold: float) -> None:
    found = STEPS.threshold_for(fmr)
    assert found.value == pytest.approx(threshold)
    assert not found.extrapolated


def test_an_exponential_tail_by_hand() -> None:
    tail = Calibration((), (), 0.4, 0.01, 0.0, 0.05, 1e-6)
    assert tail.threshold_for(1e-4).value == pytest.approx(0.4 + 0.05 * math.log(100))
    assert tail.survival_at(0.45) == pytest.approx(0.01 / math.e)


def test_a_tail_that_starts_above_the_last_steps_wins() -> None:
    raised = Calibration((0.0, 0.1), (0.5, 0.001), 0.2, 0.01, 0.0, 0.1, 1e-6)
    assert raised.survival_at(0.15) == 0.01
    assert raised.threshold_for(0.002).value > 0.2


def test_the_identification_threshold_by_hand() -> None:
    # f = 0.003 / 3 = 0.001; one template: FMR 0.001 = 0.008 / 8.
    single = STEPS.identification_threshold(0.003, 3, 1)
    assert STEPS.survival_at(single.value) == pytest.approx(0.001)
    # 1 - 0.999 ** (1 / 100) = 1.00045e-5
    hundred = STEPS.identification_threshold(0.003, 3, 100)
    assert STEPS.survival_at(hundred.value) == pytest.approx(1 - 0.999**0.01, rel=1e-6)
    assert not hundred.extrapolated
    thousand = STEPS.identification_threshold(0.003, 3, 1000)
    assert thousand.extrapolated
    assert single.value < hundred.value < thousand.value


def test_beyond_the_data_a_threshold_is_extrapolated_and_never_above_the_cap() -> None:
    assert STEPS.threshold_for(1e-5).extrapolated is False
    assert STEPS.threshold_for(0.99e-5).extrapolated is True
    far = STEPS.threshold_for(1e-12)
    assert far == type(far)(MAX_THRESHOLD, True)
    heavy = Calibration((), (), 0.4, 0.01, 3.0, 0.2, 1e-300)
    assert heavy.threshold_for(1e-299) == type(far)(MAX_THRESHOLD, True)


def test_the_cap_is_told_even_where_the_data_would_support_the_rate() -> None:
    wide = Calibration((), (), 0.4, 0.01, 0.0, 0.5, 1e-9)
    assert wide.threshold_for(1e-3).extrapolated is True
    assert wide.threshold_for(1e-3).value == 0.99


@given(calibrations(), st.floats(1e-9, 1.0))
def test_a_threshold_keeps_its_rate_unless_it_says_otherwise(
    calibration: Calibration, fmr: float
) -> None:
    threshold = calibration.threshold_for(fmr)
    assert -1 <= threshold.value <= 0.99
    if not threshold.extrapolated:
        assert calibration.survival_at(threshold.value) <= fmr * (1 + 1e-9)
    if threshold.value < 0.99 and threshold.value > -1:
        # It is the least one: a little lower lets more pass.
        assert calibration.survival_at(threshold.value - 1e-6) > fmr * (1 - 1e-9)


@given(calibrations(), st.lists(st.floats(-1, 1), min_size=2, max_size=8))
def test_survival_never_rises(calibration: Calibration, scores: list[float]) -> None:
    survival = [calibration.survival_at(score) for score in sorted(scores)]
    assert survival == sorted(survival, reverse=True)
    assert all(0 <= value <= 1 for value in survival)


@given(
    calibrations(),
    st.floats(1e-6, 0.5),
    st.integers(1, 10),
    st.lists(st.integers(1, 100_000), min_size=2, max_size=5),
)
def test_the_bar_rises_with_the_gallery(
    calibration: Calibration, target: float, looks: int, sizes: list[int]
) -> None:
    bars = [
        calibration.identification_threshold(target, looks, size).value for size in sorted(sizes)
    ]
    assert bars == sorted(bars)
    more_looks = calibration.identification_threshold(target, looks + 1, sizes[0])
    assert more_looks.value >= calibration.identification_threshold(target, looks, sizes[0]).value


@pytest.mark.parametrize(
    ("target", "looks", "templates"), [(0.0, 3, 1), (1.0, 3, 1), (0.1, 0, 1), (0.1, 3, 0)]
)
def test_there_is_no_threshold_for_nothing(target: float, looks: int, templates: int) -> None:
    with pytest.raises(ValueError, match="no threshold"):
        STEPS.identification_threshold(target, looks, templates)


@pytest.mark.parametrize("fmr", [0.0, -0.1, 1.1, math.nan])
def test_a_rate_that_is_none_is_refused(fmr: float) -> None:
    with pytest.raises(ValueError, match="false match rate"):
        STEPS.threshold_for(fmr)


@given(calibrations())
def test_it_goes_through_json_unchanged(calibration: Calibration) -> None:
    text = json.dumps(calibration.to_mapping())
    assert Calibration.from_mapping(json.loads(text)) == calibration


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"scores": [0.0, 0.0, 0.2, 0.3]}, id="scores repeated"),
        pytest.param({"scores": [0.0]}, id="lengths differ"),
        pytest.param({"scores": [0.0, 0.1, 0.2, 3.0]}, id="no cosine"),
        pytest.param({"scores": "0.1"}, id="a text"),
        pytest.param({"survival": [0.5, 0.6, 0.05, 0.01]}, id="survival rises"),
        pytest.param({"survival": [0.5, 0.2, 0.05, 0.0]}, id="survival of zero"),
        pytest.param({"tail_shape": -0.1}, id="a bounded tail"),
        pytest.param({"tail_scale": 0.0}, id="no scale"),
        pytest.param({"tail_rate": 0.0}, id="no rate"),
        pytest.param({"tail_start": math.nan}, id="not a number"),
        pytest.param({"tail_start": "high"}, id="a word"),
        pytest.param({"tail_start": None}, id="nothing"),
        pytest.param({"smallest_fmr": 0.0}, id="data without end"),
        pytest.param({"shape": 1.0}, id="an unknown entry"),
    ],
)
def test_what_is_no_survival_function_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="calibration"):
        Calibration.from_mapping(STEPS.to_mapping() | change)
    with pytest.raises(ModelError, match="tail_rate"):
        Calibration.from_mapping({"scores": []})
