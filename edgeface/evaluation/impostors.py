"""Scores of pairs with the two people each belongs to, and the bootstrap over subjects.

What varies from sample to sample is the people, not the pairs. Pairs that share a person are
dependent, so resampling pairs makes intervals far too narrow (Bolle, Ratha and Pankanti, "Error
analysis of pattern recognition systems - the subsets bootstrap", CVIU 2004). Here people are drawn
with replacement; a pair of one person counts as often as the person was drawn, a pair of two people
as often as the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from edgeface.evaluation.rates import NOT_FOUND, Scores, TrueAccept, true_accept


def draw_weights(people: int, replicates: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """How often each person was drawn, float32 `(people,)` with sum `people`, `replicates` times.

    Raises ValueError if there are fewer than two people.
    """
    if people < 2:
        raise ValueError(f"a bootstrap needs at least two people, not {people}")
    generator = np.random.default_rng(seed)
    share = np.full(people, 1.0 / people)
    for _ in range(replicates):
        yield generator.multinomial(people, share).astype(np.float32)


def percentile_interval(
    values: Sequence[float] | NDArray[np.float64], level: float = 0.95
) -> tuple[float, float]:
    """The central `level` of the bootstrap values (percentile method); NaNs are left out."""
    outside = (1.0 - level) / 2 * 100
    low, high = np.nanpercentile(np.asarray(values, dtype=np.float64), [outside, 100 - outside])
    return float(low), float(high)


def share_interval(
    hits: NDArray[np.bool_], subjects: NDArray[np.int32], people: int, *, replicates: int = 200
) -> tuple[float, float] | None:
    """The 95 % interval of the share of `hits`, bool `(n,)`, by bootstrap over their `subjects`,
    int32 `(n,)`; None for fewer than two people."""
    if people < 2 or not len(hits):
        return None
    of_each = np.bincount(subjects, minlength=people).astype(np.float64)
    hit = np.bincount(subjects[hits], minlength=people).astype(np.float64)
    rates = []
    for drawn in draw_weights(people, replicates, 1):
        wide = drawn.astype(np.float64)
        total = float(wide @ of_each)
        rates.append(float(wide @ hit) / total if total else float("nan"))
    return percentile_interval(rates)


BLOCK_ROWS = 512
"""Rows of the similarity matrix computed at once, to bound memory."""


@dataclass(frozen=True, slots=True, eq=False)
class PairScores:
    """Scores of pairs of pictures, each with the people of its two pictures."""

    scores: Scores
    """float32 `(n,)`."""
    a: NDArray[np.int32]
    """int32 `(n,)`: the person in the first picture."""
    b: NDArray[np.int32]
    """int32 `(n,)`: the person in the second picture; equal to `a` in genuine pairs."""

    def __len__(self) -> int:
        return len(self.scores)

    def descending(self, count: int | None = None) -> PairScores:
        """The `count` highest (all by default), highest first."""
        if count is None or count >= len(self.scores):
            order = np.argsort(-self.scores, kind="stable")
        else:
            top = np.argpartition(-self.scores, count)[:count]
            order = top[np.argsort(-self.scores[top], kind="stable")]
        return PairScores(self.scores[order], self.a[order], self.b[order])

    def weights(self, drawn: NDArray[np.float32]) -> NDArray[np.float32]:
        """How often each pair counts when its people were drawn so often, float32 `(n,)`."""
        return np.where(self.a == self.b, drawn[self.a], drawn[self.a] * drawn[self.b])

    def counts(self, people: int) -> NDArray[np.float64]:
        """Pairs between each two people, float64 `(people, people)`."""
        cell = self.a.astype(np.int64) * people + self.b
        return (
            np.bincount(cell, minlength=people * people).reshape(people, people).astype(np.float64)
        )


def cross_person_scores(
    embeddings: NDArray[np.float32],
    subjects: NDArray[np.int32],
    found: NDArray[np.bool_] | None = None,
    sides: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = None,
) -> PairScores:
    """The cosine of every two pictures of different people, each pair once.

    `embeddings` float32 `(n, d)` unit rows, `subjects` int32 `(n,)`. Pairs with a picture where no
    face was `found` get `NOT_FOUND`. `sides`, two bool `(n,)`, keeps the pairs with one picture in
    the first and the other in the second set, as in a frontal-profile protocol.
    """
    n = len(embeddings)
    usable = np.ones(n, dtype=np.bool_) if found is None else found
    left, right = (np.ones(n, dtype=np.bool_),) * 2 if sides is None else sides
    scores: list[Scores] = []
    a: list[NDArray[np.int32]] = []
    b: list[NDArray[np.int32]] = []
    for start in range(0, n, BLOCK_ROWS):
        rows = slice(start, min(start + BLOCK_ROWS, n))
        index = np.arange(rows.start, rows.stop)[:, None]
        keep = (index < np.arange(n)) & (subjects[rows, None] != subjects)
        keep &= (left[rows, None] & right) | (right[rows, None] & left)
        block = embeddings[rows] @ embeddings.T
        block[~(usable[rows, None] & usable)] = NOT_FOUND
        row, column = np.nonzero(keep)
        scores.append(np.clip(block[row, column], NOT_FOUND, 1.0).astype(np.float32))
        a.append(subjects[rows][row])
        b.append(subjects[column])
    return PairScores(
        np.concatenate(scores or [np.zeros(0, np.float32)]),
        np.concatenate(a or [np.zeros(0, np.int32)]),
        np.concatenate(b or [np.zeros(0, np.int32)]),
    )


def true_accepts(
    genuine: PairScores,
    impostor: PairScores,
    fars: Sequence[float],
    people: int,
    *,
    replicates: int = 200,
    seed: int = 1,
) -> list[TrueAccept]:
    """TAR at each FAR with 95 % intervals by subject bootstrap.

    Every replicate finds its own thresholds, so the uncertainty of the threshold is in the
    interval. With many impostor pairs only the highest are looked at: three times the largest FAR.
    """
    points = [true_accept(genuine.scores, impostor.scores, far) for far in fars]
    measurable = [point.far for point in points if point.rate is not None]
    if not measurable or people < 2 or not len(genuine):
        return points
    top = impostor.descending(max(1000, int(3 * max(measurable) * len(impostor))))
    counts = impostor.counts(people)
    ordered = genuine.descending()
    rates: dict[float, list[float]] = {far: [] for far in measurable}
    for drawn in draw_weights(people, replicates, seed):
        wide = drawn.astype(np.float64)
        total = float(wide @ counts @ wide)
        share = ordered.weights(drawn)
        if total <= 0 or share.sum() <= 0:
            continue
        accepted = np.cumsum(top.weights(drawn), dtype=np.float64)
        genuine_total = float(share.sum())
        genuine_accepted = np.concatenate([[0.0], np.cumsum(share, dtype=np.float64)])
        for far in measurable:
            cut = int(np.searchsorted(accepted, far * total * (1 + 1e-9), side="right"))
            bar = top.scores[min(cut, len(top) - 1)]
            above = int(np.searchsorted(-ordered.scores, -bar, side="left"))
            rates[far].append(float(genuine_accepted[above]) / genuine_total)
    return [
        replace(point, interval_95=percentile_interval(rates[point.far]))
        if rates.get(point.far)
        else point
        for point in points
    ]
