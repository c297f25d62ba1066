"""What is weak in a gallery: people taken for one another, thin enrollments, a high threshold."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgeface.gallery.likeness import agreeing, bar_for
from edgeface.gallery.store import GalleryStore
from edgeface.inference.named_shares import ExpectedNaming, NamedShares
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.thresholds import Calibration, Threshold

_BLOCK: Final = 512


@dataclass(frozen=True, slots=True)
class Confusable:
    """Two people and the highest cosine between their templates."""

    first: str
    second: str
    score: float


@dataclass(frozen=True, slots=True)
class Audit:
    """Findings about one space of a gallery; people are named by id."""

    people: int
    """Everybody in the gallery."""
    templates: int
    """In the space audited."""
    compared: int
    """So many a probe is compared with: templates of a person that agree count as one."""
    threshold: Threshold | None
    """What a gallery of this size demands for an identification; None when it is empty."""
    supported_templates: int
    """Up to so many templates the threshold is backed by the model's calibration data."""
    expected: ExpectedNaming | None
    """How many of the people are named at that threshold, if that was measured for the model."""
    closest: Confusable | None
    """The two people who look most alike."""
    confusable: tuple[Confusable, ...]
    """Pairs that reach the threshold, worst first: at a door either may come out `ambiguous`."""
    disagreeing: tuple[str, ...]
    """People whose templates do not hang together: two people under one id?"""
    one_template: tuple[str, ...]
    without_templates: tuple[str, ...]
    """Not enrolled for the model in use: never recognized."""
    expired: tuple[str, ...]
    damaged: tuple[str, ...]
    """Rows that do not open: not recognized until enrolled again."""


def audit(
    store: GalleryStore,
    space: str,
    calibration: Calibration,
    named: NamedShares | None = None,
    *,
    target_fpir: float,
    max_looks: int,
    now_s: float,
    max_pairs: int = 20,
) -> Audit:
    """Look at everyone; compares all templates with all, so it takes time for very large galleries.

    `named` is what was measured with the model; `target_fpir` and `max_looks` are the configured
    decision rules; `now_s` is UTC epoch seconds.
    """
    index, damaged = store.load(space)
    counts = np.bincount(index.owners, minlength=len(index.people))
    threshold = None
    bar = bar_for(calibration, target_fpir, max_looks)
    if len(index.matrix):
        threshold = calibration.identification_threshold(
            target_fpir, max_looks, len(index.compared)
        )
    pairs = nearest_pairs(index, threshold.value if threshold else math.inf)
    confusable = [pair for pair in pairs if threshold and pair.score >= threshold.value]
    present = {*index.people, *damaged}
    return Audit(
        people=store.count(),
        templates=len(index.matrix),
        compared=len(index.compared),
        threshold=threshold,
        supported_templates=supported_templates(target_fpir / max_looks, calibration.smallest_fmr),
        expected=named.at(threshold.value) if named and threshold else None,
        closest=pairs[0] if pairs else None,
        confusable=tuple(confusable[:max_pairs]),
        disagreeing=tuple(disagreeing_in(index, bar.same_person)),
        one_template=tuple(index.people[p] for p in np.flatnonzero(counts == 1)),
        without_templates=tuple(p for p in store.ids() if p not in present),
        expired=tuple(index.people[p] for p in np.flatnonzero(index.valid_to_s <= now_s)),
        damaged=damaged,
    )


def disagreeing_in(index: GalleryIndex, minimum: float) -> list[str]:
    """People whose templates do not hang together by cosines of at least `minimum`."""
    order = np.argsort(index.owners, kind="stable")
    counts = np.bincount(index.owners, minlength=len(index.people))
    starts = np.cumsum(counts) - counts
    return [
        index.people[p]
        for p in np.flatnonzero(counts > 1)
        if len(agreeing(index.matrix[order[starts[p] : starts[p] + counts[p]]], minimum)) > 1
    ]


def supported_templates(share: float, smallest_fmr: float) -> int:
    """The largest N for which 1 - (1 - share)^(1/N), the false match rate an identification needs,
    is not below the smallest one that the calibration data support."""
    if smallest_fmr >= 1.0:
        return 0
    return math.floor(math.log1p(-share) / math.log1p(-smallest_fmr))


def nearest_pairs(index: GalleryIndex, minimum: float) -> list[Confusable]:
    """The pairs of people whose best cosine is at least `minimum`, nearest first; the nearest pair
    of all when there is none."""
    found: dict[tuple[int, int], float] = {}
    nearest: tuple[float, tuple[int, int]] = (-math.inf, (0, 0))
    matrix = np.asarray(index.matrix)
    for start in range(0, len(matrix), _BLOCK):
        rows = slice(start, start + _BLOCK)
        # Only templates from `start` on: each pair is met once.
        scores = matrix[rows] @ matrix[start:].T
        scores[index.owners[rows, None] == index.owners[None, start:]] = -np.inf
        best = int(scores.argmax())
        row, column = divmod(best, scores.shape[1])
        if scores[row, column] > nearest[0]:
            nearest = (float(scores[row, column]), _pair(index, start + row, start + column))
        for row, column in np.argwhere(scores >= minimum):
            pair = _pair(index, start + int(row), start + int(column))
            found[pair] = max(found.get(pair, -math.inf), float(scores[row, column]))
    if not found and math.isfinite(nearest[0]):
        found[nearest[1]] = nearest[0]
    ranked = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    return [Confusable(index.people[a], index.people[b], score) for (a, b), score in ranked]


def _pair(index: GalleryIndex, row: int, other: int) -> tuple[int, int]:
    first, second = sorted((int(index.owners[row]), int(index.owners[other])))
    return first, second
