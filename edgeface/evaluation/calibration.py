"""The calibration of an embedder: from impostor scores to the survival function in `model.yaml`.

As docs/models.md has it: the empirical part, then a generalized Pareto tail with shape >= 0, read
at its upper 95 % bound. The bound comes from a bootstrap over subjects.

Excesses over a high threshold follow a generalized Pareto law (Pickands 1975; Balkema and de Haan
1974). A negative shape would promise that no score lies beyond some end point, and so a threshold
that can never be passed by mistake; it is not allowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import EvaluationError
from edgeface.evaluation.impostors import PairScores, draw_weights, percentile_interval
from edgeface.evaluation.rates import MIN_EXPECTED_ERRORS, NOT_FOUND
from edgeface.recognition.thresholds import Calibration

Numbers = NDArray[np.float64]

_THETA_STEPS = 60
_REFINEMENTS = 3


@dataclass(frozen=True, slots=True)
class Tail:
    """P(excess >= x) = (1 + shape * x / scale) ** (-1 / shape), exp(-x / scale) for shape 0."""

    shape: float
    scale: float

    def log_survival(self, excess: Numbers) -> Numbers:
        """Natural logarithm of the survival function at excesses >= 0."""
        ratio = np.asarray(excess, dtype=np.float64) / self.scale
        if self.shape < 1e-9:
            return -ratio
        return -np.log1p(self.shape * ratio) / self.shape


def fit_tail(excess: Numbers, weights: Numbers | None = None) -> Tail:
    """Maximum likelihood with shape >= 0.

    `excess` `(n,)`, >= 0, and the `weights` of its values. With theta = shape / scale the best
    shape for a theta is the mean of log(1 + theta * x), so the likelihood has one free variable
    (Grimshaw 1993). Raises ValueError if all excesses are 0 or there are none.
    """
    x = np.asarray(excess, dtype=np.float64)
    share = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=np.float64)
    kept = share > 0
    x, share = x[kept], share[kept]
    if not len(x) or x.max() <= 0:
        raise ValueError("a tail needs excesses above 0")
    share = share / share.sum()
    mean = float(share @ x)
    # theta = 0 is the exponential law, whose mean log-likelihood is -log(mean) - 1.
    best, best_value = 0.0, -np.log(mean) - 1.0
    low, high = 1e-3 / mean, 1e3 / mean
    for _ in range(_REFINEMENTS):
        thetas = np.geomspace(low, high, _THETA_STEPS)
        shapes = np.log1p(thetas[:, None] * x) @ share
        values = -np.log(shapes / thetas) - shapes - 1.0
        top = int(np.argmax(values))
        if values[top] <= best_value and best == 0.0:
            return Tail(0.0, mean)
        best, best_value = float(thetas[top]), float(values[top])
        low, high = thetas[max(top - 1, 0)], thetas[min(top + 1, _THETA_STEPS - 1)]
    shape = float(np.log1p(best * x) @ share)
    return Tail(shape, shape / best)


def tail_through(near: tuple[float, float], far: tuple[float, float]) -> Tail:
    """The tail that passes through two points `(excess, log survival)`, or lies above them.

    Between 0 and the points it is one generalized Pareto law; where only a negative shape would
    pass through both, the exponential that is on or above them is taken. Excesses are > 0 and
    ascending, logarithms < 0 and descending; ValueError otherwise.
    """
    (x1, log1), (x2, log2) = near, far
    if not (0 < x1 < x2 and 0 > log1 > log2):
        raise ValueError(f"no tail passes through {near} and {far}")
    wanted = log1 / log2
    if wanted <= x1 / x2 * (1 + 1e-6):
        return Tail(0.0, max(x1 / -log1, x2 / -log2))
    low, high = 1e-9 / x2, 1e12 / x1
    for _ in range(200):
        middle = float(np.sqrt(low * high))
        if np.log1p(middle * x1) / np.log1p(middle * x2) < wanted:
            low = middle
        else:
            high = middle
    theta = float(np.sqrt(low * high))
    shape = float(np.log1p(theta * x2) / -log2)
    return Tail(shape, shape / theta)


TAIL_RATE = 1e-4
"""The law of the tail is fitted to this share of the impostor scores, the highest ones..."""
TAIL_MIN_EXCESSES = 500
"""... and to no fewer of them than this..."""
TAIL_MAX_RATE = 0.05
"""... but never to more than this share."""
EMPIRICAL_MIN_ERRORS = 50
"""The empirical part ends with so many scores above; the tail starts where its bound is there."""
BOUND_LEVEL = 0.95
DEEP_RATE = 1e-8
"""The second point at which the stored tail is on the bound; the first is a tenth of its start."""
STEPS_PER_DECADE = 20
"""The empirical part is read in steps, so one step of 12 % is what its resolution costs."""
SCORE_STEP = 1e-5
"""Stored scores are rounded up to multiples of this."""
FACTOR = 2.0


@dataclass(frozen=True, slots=True)
class CalibrationFit:
    """A calibration and how it came about."""

    calibration: Calibration
    tail: Tail
    """Maximum likelihood over `fit_start`; the calibration holds the upper bound instead."""
    fit_start: float
    excesses: int
    """Scores above `fit_start`."""
    impostors: int
    people: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a threshold for one FMR delivers on people who were not calibrated on."""

    fmr: float
    threshold: float
    extrapolated: bool
    delivered: float
    interval_95: tuple[float, float]
    """By subject bootstrap."""
    errors: int
    """Impostor pairs accepted."""

    @property
    def within_factor_two(self) -> bool:
        """The delivered rate itself lies between half and twice the FMR."""
        return self.fmr / FACTOR <= self.delivered <= self.fmr * FACTOR

    @property
    def consistent(self) -> bool:
        """The interval reaches into the range from half to twice the FMR."""
        low, high = self.interval_95
        return low <= self.fmr * FACTOR and high >= self.fmr / FACTOR


def fit_calibration(
    impostors: PairScores, *, replicates: int = 200, seed: int = 1
) -> CalibrationFit:
    """Fit the survival function of impostor scores.

    Pairs without a face (`NOT_FOUND`) are left out: nothing was compared. The law of the tail is
    fitted over a threshold high enough to be one, yet with hundreds of excesses; the empirical part
    is used further down, as far as there are `EMPIRICAL_MIN_ERRORS`. Raises EvaluationError if
    there are fewer than 1,000 impostor scores or fewer than ten people.
    """
    pairs, people = _compared(impostors)
    n = len(pairs)
    if n < 1000 or people < 10:
        raise EvaluationError(
            f"a calibration needs 1,000 impostor scores of ten people, not {n} of {people}"
        )
    fit_rate = min(max(TAIL_RATE, TAIL_MIN_EXCESSES / n), TAIL_MAX_RATE)
    top = pairs.descending(int(np.ceil(0.1 * n)))
    fit_start = float(top.scores[int(np.ceil(fit_rate * n)) - 1])
    above = int(np.searchsorted(-top.scores, -np.float32(fit_start), side="right"))
    excess = top.scores[:above].astype(np.float64) - fit_start
    last = _round_up(float(top.scores[min(EMPIRICAL_MIN_ERRORS, above) - 1]))
    rate = float(np.mean(pairs.scores >= np.float32(last)))
    if rate <= 0 or last <= fit_start:
        raise EvaluationError("the highest impostor scores are all the same: no tail can be fitted")
    tail = fit_tail(excess)

    levels = _levels(n)
    places = [round(level * n) for level in levels]
    counts = pairs.counts(people)
    rates: list[Numbers] = []
    tails: list[tuple[float, Tail]] = []
    for drawn in draw_weights(people, replicates, seed):
        wide = drawn.astype(np.float64)
        total = float(wide @ counts @ wide)
        share = top.weights(drawn).astype(np.float64)
        if total <= 0 or not np.any(excess[share[:above] > 0]):
            continue
        accepted = np.cumsum(share)
        rates.append(np.array([accepted[place - 1] for place in places]) / total)
        tails.append((float(np.log(share[:above].sum() / total)), fit_tail(excess, share[:above])))
    offset, bound = _upper_bound(last - fit_start, rate, tail, tails)
    scores, survival = _grid(pairs, last, rate)
    calibration = Calibration(
        scores=scores,
        survival=survival,
        tail_start=min(fit_start + offset, 1.0),
        tail_rate=rate,
        tail_shape=bound.shape,
        tail_scale=bound.scale,
        smallest_fmr=_smallest_fmr(top, levels, places, np.array(rates)),
    )
    return CalibrationFit(calibration, tail, fit_start, above, n, people)


def check_calibration(
    calibration: Calibration,
    impostors: PairScores,
    fmrs: Sequence[float] = (1e-3, 1e-4, 1e-5),
    *,
    replicates: int = 400,
    seed: int = 2,
) -> list[Delivered]:
    """What the thresholds for `fmrs` deliver on other people's scores."""
    pairs, people = _compared(impostors)
    everyone = pairs.counts(people)
    thresholds = [calibration.threshold_for(fmr) for fmr in fmrs]
    accepted: list[Numbers] = []
    for threshold in thresholds:
        hit = pairs.scores >= np.float32(threshold.value)
        accepted.append(PairScores(pairs.scores[hit], pairs.a[hit], pairs.b[hit]).counts(people))
    rates: list[list[float]] = [[] for _ in fmrs]
    for drawn in draw_weights(people, replicates, seed):
        wide = drawn.astype(np.float64)
        total = float(wide @ everyone @ wide)
        for found, hits in zip(rates, accepted, strict=True):
            found.append(float(wide @ hits @ wide) / total if total > 0 else float("nan"))
    return [
        Delivered(
            fmr,
            threshold.value,
            threshold.extrapolated,
            float(hits.sum()) / len(pairs),
            percentile_interval(found),
            int(hits.sum()),
        )
        for fmr, threshold, hits, found in zip(fmrs, thresholds, accepted, rates, strict=True)
    ]


def _compared(impostors: PairScores) -> tuple[PairScores, int]:
    """The pairs in which two faces were compared, people numbered without gaps; how many people."""
    kept = impostors.scores > NOT_FOUND
    a, b = impostors.a[kept], impostors.b[kept]
    present, numbers = np.unique(np.concatenate([a, b]), return_inverse=True)
    person: NDArray[np.int32] = numbers.astype(np.int32)
    return PairScores(impostors.scores[kept], person[: len(a)], person[len(a) :]), len(present)


def _levels(n: int) -> Numbers:
    """Candidates for the smallest FMR, 0.1 down to ten errors, in steps of 1, 2, 5."""
    series = [digit * 10.0**power for power in range(-1, -13, -1) for digit in (5, 2, 1)]
    return np.array(
        [value for value in series if value <= 0.1 and value * n >= MIN_EXPECTED_ERRORS]
    )


def _smallest_fmr(top: PairScores, levels: Numbers, places: list[int], rates: Numbers) -> float:
    """Down to which FMR the data carry an empirical statement.

    At least ten errors are expected, they come from at least ten different pairs of people, and
    the upper end of the 95 % interval is at most twice the rate.
    """
    supported = float(levels[0])
    for column, (level, place) in enumerate(zip(levels, places, strict=True)):
        low = np.minimum(top.a[:place], top.b[:place]).astype(np.int64)
        high = np.maximum(top.a[:place], top.b[:place])
        distinct = len(np.unique(low * (int(top.b.max()) + int(top.a.max()) + 1) + high))
        upper = percentile_interval(rates[:, column])[1]
        if distinct < MIN_EXPECTED_ERRORS or upper > FACTOR * level:
            break
        supported = float(level)
    return supported


def _upper_bound(
    lowest: float, rate: float, tail: Tail, tails: Sequence[tuple[float, Tail]]
) -> tuple[float, Tail]:
    """Where the pointwise upper bound of the fitted tails falls to `rate`, and its law from there.

    `tails` holds the logarithm of the rate and the law of each replicate. The start is an excess
    over the threshold of the fit, at least `lowest`. The law is on the bound at its start and at
    two depths, a tenth of `rate` and `DEEP_RATE` of the fitted tail.
    """

    def log_bound(excess: float) -> float:
        place = np.array(excess)
        logs = [log_rate + float(law.log_survival(place)) for log_rate, law in tails]
        return float(np.percentile(logs, BOUND_LEVEL * 100) - np.log(rate))

    start, beyond = lowest, lowest
    if log_bound(lowest) > 0:
        step = tail.scale
        while log_bound(beyond := start + step) > 0:
            step *= 2
        for _ in range(60):
            middle = (start + beyond) / 2
            start, beyond = (middle, beyond) if log_bound(middle) > 0 else (start, middle)
    # The excesses over a higher threshold have the same shape and a linearly larger scale.
    shifted = Tail(tail.shape, tail.scale + tail.shape * beyond)
    points: list[tuple[float, float]] = []
    for depth in (0.1, min(DEEP_RATE / rate, 0.01)):
        excess = _excess_at(shifted, float(np.log(depth)))
        # Falling from the start on, whatever rounding says.
        ceiling = points[-1][1] * 1.001 if points else -1e-3
        points.append((excess, min(log_bound(beyond + excess), ceiling)))
    return beyond, tail_through(points[0], points[1])


def _excess_at(tail: Tail, log_survival: float) -> float:
    if tail.shape < 1e-9:
        return -log_survival * tail.scale
    return float(np.expm1(-log_survival * tail.shape)) * tail.scale / tail.shape


def _grid(
    pairs: PairScores, start: float, rate: float
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Ascending scores and their survival: the body in tenths, then even steps per decade."""
    ascending = np.sort(pairs.scores)
    n = len(ascending)
    steps = 10.0 ** (-np.arange(STEPS_PER_DECADE, 12 * STEPS_PER_DECADE) / STEPS_PER_DECADE)
    wanted = np.concatenate([[0.999, 0.99, 0.95], np.arange(0.9, 0.15, -0.1), steps])
    wanted = wanted[(wanted > rate) & (wanted * n >= 1)]
    # The first score above which no more than the share wanted lies.
    ranks = n - np.floor(wanted * n * (1 + 1e-9)).astype(np.int64)
    scores = np.unique([_round_up(float(score)) for score in ascending[ranks]])
    scores = np.append(scores[scores < start], start)
    places = np.searchsorted(ascending, scores.astype(np.float32), side="left")
    survival = np.append((n - places[:-1]) / n, rate)
    return tuple(scores.tolist()), tuple(survival.tolist())


def _round_up(score: float) -> float:
    return float(np.round(np.ceil(score / SCORE_STEP - 1e-4) * SCORE_STEP, 5))
