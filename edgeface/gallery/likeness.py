"""Who looks like whom: pictures of one person that disagree or repeat one another, and people who
look like somebody else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.thresholds import Calibration

SAME_PERSON_FMR: Final = 1e-2
"""Photos of one person should reach the score that one in a hundred pairs of strangers reaches: a
stranger's photo is then noticed 99 times in 100, and a good one is rarely suspected."""
ALIKE: Final = 0.985
"""Two pictures whose cosine is above it show the same: the same file, or somebody standing still.
The second says nothing of the person that the first does not."""


@dataclass(frozen=True, slots=True)
class Bar:
    """The cosines at which an enrollment looks odd."""

    same_person: float
    """Photos of one person are expected to reach it."""
    lookalike: Callable[[int], float]
    """Somebody else is not expected to reach what a door demands of an identification, in a gallery
    that compares a probe with so many templates (at least 1)."""


def bar_for(calibration: Calibration, target_fpir: float, max_looks: int) -> Bar:
    """The bar by the model's calibration and the decision rules."""
    return Bar(
        calibration.threshold_for(SAME_PERSON_FMR).value,
        lambda compared: (
            calibration.identification_threshold(target_fpir, max_looks, compared).value
        ),
    )


def agreeing(embeddings: NDArray[np.float32], minimum: float) -> list[NDArray[np.int64]]:
    """The groups of rows of `embeddings` `(k, d)`, unit rows, that hang together by cosines of at
    least `minimum`, the largest first: one group where all show the same person."""
    linked = embeddings @ embeddings.T >= minimum
    left = np.ones(len(embeddings), dtype=np.bool_)
    groups = []
    while left.any():
        group = np.zeros(len(embeddings), dtype=np.bool_)
        group[np.argmax(left)] = True
        while (grown := group | linked[group].any(axis=0)).sum() > group.sum():
            group = grown
        groups.append(np.flatnonzero(group))
        left &= ~group
    return sorted(groups, key=len, reverse=True)


@dataclass(frozen=True, slots=True)
class Stray:
    """A picture that does not look like the others of the same person."""

    number: int
    """Its place among the pictures."""
    score: float
    """Its best cosine to any that it does not agree with."""


def find_strays(
    embeddings: NDArray[np.float32], known: NDArray[np.float32], minimum: float
) -> tuple[Stray, ...]:
    """Pictures that do not agree (cosines of at least `minimum`) with what is known of the person,
    or, of somebody new, with most of the pictures.

    `embeddings` `(k, d)` and `known` `(m, d)` have unit rows. Where no group is larger than
    every other, as with two pictures that do not agree, all are named: nobody can tell which are
    the wrong ones.
    """
    everything = np.concatenate([known, embeddings])
    groups = agreeing(everything, minimum)
    if len(known):
        own = [group for group in groups if group[0] < len(known)]
    else:
        own = groups[:1] if len(groups) == 1 or len(groups[0]) > len(groups[1]) else []
    main = {int(row) for group in own for row in group}
    strays = []
    for group in groups:
        others = np.setdiff1d(np.arange(len(everything)), group)
        if main.isdisjoint(group.tolist()) and len(others):
            best = (everything[group] @ everything[others].T).max(axis=1)
            strays += [
                Stray(int(row) - len(known), float(score))
                for row, score in zip(group, best, strict=True)
            ]
    return tuple(sorted(strays, key=lambda stray: stray.number))


@dataclass(frozen=True, slots=True)
class Lookalike:
    """Somebody in the gallery who looks like the person to be enrolled."""

    person_id: str
    display_name: str | None
    score: float
    """The best cosine of any picture to any template."""


def find_lookalikes(
    embeddings: NDArray[np.float32],
    index: GalleryIndex,
    minimum: float,
    except_for: Sequence[str] = (),
) -> tuple[Lookalike, ...]:
    """People of the index whom a door could take for one of `embeddings` `(k, d)`: those whose
    cosine to it reaches `minimum`, nearest first."""
    if not len(index.compared) or not len(embeddings):
        return ()
    per_template = index.compared.cosines(embeddings).max(axis=0)
    per_person = np.full(len(index.people), -np.inf, dtype=np.float32)
    np.maximum.at(per_person, index.compared_owners, per_template)
    order = np.argsort(-per_person, kind="stable")
    return tuple(
        Lookalike(index.people[p], index.display_names[p], float(per_person[p]))
        for p in order[per_person[order] >= minimum]
        if index.people[p] not in except_for
    )


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of somebody's pictures are kept."""

    kept: tuple[int, ...]
    """Rows, ascending."""
    alike: tuple[int, ...]
    """Rows that show what a row before them shows."""
    surplus: tuple[int, ...]
    """Rows beyond what a person may have: those nearest to others."""


def most_different(embeddings: NDArray[np.float32], known: int, most: int) -> Choice:
    """Choose at most `most` of `embeddings` `(k, d)`, unit rows; the first `known` are those of
    earlier enrollments, which are not left out for being alike."""
    cosines = embeddings @ embeddings.T
    kept: list[int] = []
    alike = []
    for row in range(len(embeddings)):
        if row >= known and kept and cosines[row, kept].max() > ALIKE:
            alike.append(row)
        else:
            kept.append(row)
    surplus = []
    while len(kept) > most:
        among = cosines[np.ix_(kept, kept)]
        np.fill_diagonal(among, -np.inf)
        # Of the nearest pair the one that is nearer to a third goes.
        pair = np.unravel_index(int(among.argmax()), among.shape)
        nearness = [np.sort(among[place])[-2] for place in pair]
        surplus.append(kept.pop(int(pair[int(np.argmax(nearness))])))
    return Choice(tuple(kept), tuple(alike), tuple(sorted(surplus)))
