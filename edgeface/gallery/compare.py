"""Second thoughts about an enrolment: somebody else's photo, somebody who is there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.index import GalleryIndex


@dataclass(frozen=True, slots=True)
class Stray:
    """A picture that does not look like the others of the same person."""

    number: int
    """Its place among the pictures."""
    score: float
    """Its best cosine to any of the others."""


@dataclass(frozen=True, slots=True)
class Lookalike:
    """Somebody in the gallery who looks like the person to be enrolled."""

    person_id: str
    display_name: str | None
    score: float
    """The best cosine of any picture to any template."""


def find_strays(
    embeddings: NDArray[np.float32], known: NDArray[np.float32], minimum: float
) -> tuple[Stray, ...]:
    """Pictures whose cosine to every other one, and to what is known of the person, is below
    `minimum`.

    `embeddings` `(k, 128)` and `known` `(m, 128)` have unit rows. Of two pictures alone that do not
    agree both are named, as nobody can tell which is the wrong one.
    """
    everything = np.concatenate([embeddings, known])
    if len(everything) < 2:
        return ()
    scores = embeddings @ everything.T
    scores[np.arange(len(embeddings)), np.arange(len(embeddings))] = -np.inf
    best = scores.max(axis=1)
    return tuple(Stray(int(k), float(best[k])) for k in np.flatnonzero(best < minimum))


def find_lookalikes(
    embeddings: NDArray[np.float32],
    index: GalleryIndex,
    minimum: float,
    except_for: Sequence[str] = (),
) -> tuple[Lookalike, ...]:
    """People of the index with a template whose cosine to one of `embeddings` `(k, 128)` reaches
    `minimum`, nearest first."""
    if not len(index.matrix) or not len(embeddings):
        return ()
    per_template = index.matrix.cosines(embeddings).max(axis=0)
    per_person = np.full(len(index.people), -np.inf, dtype=np.float32)
    np.maximum.at(per_person, index.owners, per_template)
    order = np.argsort(-per_person, kind="stable")
    return tuple(
        Lookalike(index.people[p], index.display_names[p], float(per_person[p]))
        for p in order[per_person[order] >= minimum]
        if index.people[p] not in except_for
    )
