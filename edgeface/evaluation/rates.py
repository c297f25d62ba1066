"""Error rates of verification from similarity scores. A score >= the threshold is accepted.

A picture without a face gives the score `NOT_FOUND`: a rejection, whatever the threshold (ISO/IEC
19795-1: the failure counts as a miss for a genuine pair). No threshold here is ever that low.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Scores: TypeAlias = NDArray[np.float32]

NOT_FOUND = -1.0
"""Score of a pair with a picture in which no face was found; also the lowest cosine there is."""

MIN_EXPECTED_ERRORS = 10
"""A false accept rate is measurable if at least this many impostor pairs are expected above."""


@dataclass(frozen=True, slots=True)
class FoldAccuracy:
    """Accuracy with the threshold of each fold picked on the other folds."""

    mean: float
    """Over the folds, 0 to 1."""
    deviation: float
    """Standard deviation over the folds (n - 1)."""
    threshold: float
    """Mean of the thresholds."""
    by_fold: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class EqualError:
    """Where as many impostors are accepted as genuine pairs are rejected."""

    rate: float
    threshold: float


@dataclass(frozen=True, slots=True)
class TrueAccept:
    """The true accept rate at one false accept rate."""

    far: float
    expected_errors: float
    """Impostor pairs times `far`."""
    rate: float | None
    """0 to 1; None: not measurable, fewer than `MIN_EXPECTED_ERRORS` expected errors."""
    threshold: float | None
    interval_95: tuple[float, float] | None = None
    """By subject bootstrap."""


def best_threshold(scores: Scores, same: NDArray[np.bool_]) -> float:
    """The threshold with the most correct answers; the median one if several are as good.

    It lies halfway between two neighboring scores. `scores` and `same` are `(n,)`, n > 0.
    """
    order = np.argsort(scores, kind="stable")
    ascending = scores[order].astype(np.float64)
    genuine = same[order].astype(np.int64)
    rejected_impostors = np.concatenate([[0], np.cumsum(1 - genuine)])
    accepted_genuine = genuine.sum() - np.concatenate([[0], np.cumsum(genuine)])
    below = np.concatenate([[-np.inf], ascending])
    above = np.concatenate([ascending, [np.inf]])
    possible = (below < above) & (above > NOT_FOUND)
    correct = np.where(possible, rejected_impostors + accepted_genuine, -1)
    best = np.flatnonzero(correct == correct.max())
    cut = int(best[(len(best) - 1) // 2])
    if cut == 0:
        return float(ascending[0])
    if cut == len(ascending):
        return float(np.nextafter(ascending[-1], np.inf))
    return float((ascending[cut - 1] + ascending[cut]) / 2)


def fold_accuracy(
    scores: Scores, same: NDArray[np.bool_], folds: NDArray[np.int32]
) -> FoldAccuracy | None:
    """Accuracy of each fold at the threshold that is best on all others, `(n,)` each.

    The protocol of Labeled Faces in the Wild's view 2 (Huang et al., 2007). None if there is only
    one fold, because then no threshold can be picked without looking.
    """
    numbers = np.unique(folds)
    if len(numbers) < 2:
        return None
    accuracies: list[float] = []
    thresholds: list[float] = []
    for number in numbers:
        held_out = folds == number
        threshold = best_threshold(scores[~held_out], same[~held_out])
        answers = scores[held_out].astype(np.float64) >= threshold
        accuracies.append(float(np.mean(answers == same[held_out])))
        thresholds.append(threshold)
    return FoldAccuracy(
        float(np.mean(accuracies)),
        float(np.std(accuracies, ddof=1)),
        float(np.mean(thresholds)),
        tuple(accuracies),
    )


def equal_error(genuine: Scores, impostor: Scores) -> EqualError:
    """EER of two samples of scores (ISO/IEC 19795-1), linear between the two nearest thresholds.

    Raises ValueError if one of them is empty.
    """
    if not len(genuine) or not len(impostor):
        raise ValueError("an equal error rate needs genuine and impostor scores")
    genuine, impostor = np.sort(genuine), np.sort(impostor)
    thresholds = np.unique(np.concatenate([genuine, impostor]))
    # One step above the highest score everything is rejected.
    thresholds = np.append(thresholds, np.nextafter(thresholds[-1], np.float32(np.inf)))
    thresholds = thresholds[thresholds > NOT_FOUND]
    rejected = np.searchsorted(genuine, thresholds, side="left") / len(genuine)
    accepted = 1.0 - np.searchsorted(impostor, thresholds, side="left") / len(impostor)
    crossing = int(np.argmax(rejected >= accepted))
    before = max(crossing - 1, 0)
    gap_before = accepted[before] - rejected[before]
    gap_after = rejected[crossing] - accepted[crossing]
    share = 0.0 if gap_before + gap_after <= 0 else gap_before / (gap_before + gap_after)
    share = float(np.clip(share, 0.0, 1.0))
    mean = (rejected + accepted) / 2
    return EqualError(
        float(mean[before] + share * (mean[crossing] - mean[before])),
        float(thresholds[before] + share * (thresholds[crossing] - thresholds[before])),
    )


def threshold_at(impostor: Scores, far: float) -> float:
    """The lowest threshold at which at most the share `far` of the `(n,)` scores is accepted."""
    allowed = int(np.floor(far * len(impostor) + 1e-9))
    if allowed >= len(impostor):
        return float(np.nextafter(np.float32(NOT_FOUND), np.float32(np.inf)))
    place = len(impostor) - 1 - allowed
    highest_rejected = np.partition(impostor, place)[place]
    return float(np.nextafter(highest_rejected, np.float32(np.inf)))


def true_accept(genuine: Scores, impostor: Scores, far: float) -> TrueAccept:
    """TAR at FAR `far`, without an interval."""
    expected = far * len(impostor)
    # Half a thousandth of slack: 0.001 * 10_000 must count as ten.
    if expected < MIN_EXPECTED_ERRORS * (1 - 5e-4):
        return TrueAccept(far, expected, None, None)
    threshold = threshold_at(impostor, far)
    rate = float(np.mean(genuine >= np.float32(threshold))) if len(genuine) else 0.0
    return TrueAccept(far, expected, rate, threshold)
