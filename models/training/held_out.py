"""What fine-tuning does for people whom it has not seen: verification of a share held out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from edgeface.evaluation.operating_points import OperatingPoint
from edgeface.evaluation.rates import (
    EqualError,
    FoldAccuracy,
    Scores,
    TrueAccept,
    equal_error,
    fold_accuracy,
    true_accept,
)
from models.training.embedder import Embedder
from models.training.views import normalise, random_view

LEAST_PEOPLE = 4
"""Held out: two folds of two people each, so that each has pairs of both kinds."""
FOLDS = 5
FARS = (0.1, 0.01, 0.001)
_BATCH = 32

Crops = NDArray[np.uint8]
People = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class PairScoresOfPeople:
    """The cosines of all pairs of the pictures of some people."""

    genuine: Scores
    impostor: Scores
    accuracy: FoldAccuracy | None
    """Of as many impostor pairs as genuine ones, by folds of people; the threshold of each is
    picked on the others."""

    @property
    def equal_error(self) -> EqualError:
        """EER over all pairs."""
        return equal_error(self.genuine, self.impostor)

    def true_accept(self, far: float) -> TrueAccept:
        """TAR over all pairs."""
        return true_accept(self.genuine, self.impostor, far)

    def accepted(self, threshold: float) -> tuple[float, float]:
        """The shares of genuine and of impostor pairs that reach the threshold."""
        return float((self.genuine >= threshold).mean()), float((self.impostor >= threshold).mean())


def split(labels: People, share: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Bool `(n,)`: the pictures of the people held out, `share` of them, at least `LEAST_PEOPLE`;
    none where that would leave fewer than as many to train on."""
    people = np.unique(labels)
    count = max(LEAST_PEOPLE, round(share * len(people))) if share > 0 else 0
    if len(people) - count < LEAST_PEOPLE:
        count = 0
    return np.isin(labels, rng.permutation(people)[:count])


@torch.no_grad()
def measure(model: Embedder, crops: Crops, labels: People) -> PairScoresOfPeople:
    """Scores of the plain views of `crops`, uint8 BGR `(n, s, s, 3)`, whose people are `labels`."""
    training = model.training
    model.eval()
    rng = np.random.default_rng(0)  # draws nothing: the views are plain
    rows = []
    for start in range(0, len(crops), _BATCH):
        views = [random_view(rng, crop, 0.0, 0.0) for crop in crops[start : start + _BATCH]]
        rows.append(torch.nn.functional.normalize(model(normalise(np.stack(views)))).numpy())
    model.train(training)
    embeddings = np.concatenate(rows)
    a, b = np.triu_indices(len(labels), 1)
    scores = np.einsum("ij,ij->i", embeddings[a], embeddings[b]).astype(np.float32)
    same = labels[a] == labels[b]
    return PairScoresOfPeople(scores[same], scores[~same], _accuracy(scores, same, labels, a, b))


def _accuracy(
    scores: Scores,
    same: NDArray[np.bool_],
    labels: People,
    a: NDArray[np.int64],
    b: NDArray[np.int64],
) -> FoldAccuracy | None:
    """The protocol of LFW's view 2: pairs within a fold, of both kinds equally many."""
    people = np.unique(labels)
    folds = min(FOLDS, len(people) // 2)
    if folds < 2:
        return None
    fold_of = np.searchsorted(people, labels) % folds
    rng = np.random.default_rng(0)
    chosen, numbers = [], []
    for fold in range(folds):
        inside = (fold_of[a] == fold) & (fold_of[b] == fold)
        kinds = [np.flatnonzero(inside & same), np.flatnonzero(inside & ~same)]
        count = min(len(kind) for kind in kinds)
        chosen += [rng.choice(kind, count, replace=False) for kind in kinds]
        numbers.append(np.full(2 * count, fold, np.int32))
    rows = np.concatenate(chosen)
    return fold_accuracy(scores[rows], same[rows], np.concatenate(numbers))


def table(
    before: PairScoresOfPeople, after: PairScoresOfPeople, points: Sequence[OperatingPoint]
) -> str:
    """Both, line by line; `points` are thresholds of the model before."""
    rows = [("", "before", "after")]
    rows.append(("accuracy", *(_mean(one.accuracy) for one in (before, after))))
    rows.append(("EER", *(f"{one.equal_error.rate:.2%}" for one in (before, after))))
    for far in FARS:
        rates = [one.true_accept(far).rate for one in (before, after)]
        if None not in rates:
            rows.append((f"TAR at FAR {far:g}", *(f"{rate:.1%}" for rate in rates)))
    for point in points:
        shares = [one.accepted(point.threshold) for one in (before, after)]
        name = f"{point.name}, from {point.threshold:.3f}"
        rows.append((name, *(f"TAR {tar:.1%}, FAR {far:.2e}" for tar, far in shares)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def _mean(accuracy: FoldAccuracy | None) -> str:
    if accuracy is None:
        return "not measurable"
    return f"{accuracy.mean:.2%} +- {accuracy.deviation:.2%}"
