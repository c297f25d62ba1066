"""Which person of the gallery a track looks most like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.index import GalleryIndex

NOBODY: Final = -1
"""The person number where there is nobody."""

NEAREST: Final = 3
"""How many people a ranking names at most."""

LEAST_LENGTH: Final = 0.7
"""The mean of the embeddings of independent photographs of one person is about 0.8 long, and that
of the frames of one walk longer."""

FEW: Final = 4
"""Fewer than one in so many of the templates are picked out before they are compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Fused scores of the best people, and what each frame says by itself."""

    people: tuple[tuple[int, float], ...]
    """(person number, fused score) of up to `NEAREST` people, best first; of two equal ones the
    person of the earlier template."""
    frame_people: NDArray[np.int32]
    """int32 `(k,)`: each frame's top person, `NOBODY` when nobody can match."""
    frame_scores: NDArray[np.float32]
    """float32 `(k,)`: the cosine to that person's nearest template, -1 when nobody can match."""
    templates: int
    """How many rows of `GalleryIndex.compared` could match."""

    @property
    def best(self) -> int:
        """Number of the best person, `NOBODY` when nobody can match."""
        return self.people[0][0] if self.people else NOBODY

    @property
    def best_score(self) -> float | None:
        """Fused score of the best person, in [-1, 1]."""
        return self.people[0][1] if self.people else None

    @property
    def second_score(self) -> float | None:
        """Fused score of the second-best person."""
        return self.people[1][1] if len(self.people) > 1 else None


def match(
    embeddings: NDArray[np.float32],
    weights: NDArray[np.float32],
    index: GalleryIndex,
    allowed: NDArray[np.bool_],
) -> Ranking:
    """Rank the people of the gallery for the frames of one track.

    `embeddings` float32 `(k, d)` of unit rows, `weights` `(k,)` not negative, `allowed` bool
    `(p,)`. A person's score is the best over their rows in `index.compared`; see
    `mean_direction`. Raises ValueError when the shapes do not fit or there is no frame.
    """
    frames = len(embeddings)
    if (
        frames == 0
        or weights.shape != (frames,)
        or (len(index.compared) and embeddings.shape[1:] != index.compared.shape[1:])
    ):
        raise ValueError(f"cannot match embeddings {embeddings.shape} by weights {weights.shape}")
    if allowed.shape != (len(index.people),):
        raise ValueError(f"mask {allowed.shape} does not fit {len(index.people)} people")
    open_rows = allowed[index.compared_owners]
    count = int(np.count_nonzero(open_rows))
    if count == 0:
        nobody = np.full(frames, NOBODY, dtype=np.int32)
        return Ranking((), nobody, np.full(frames, -1.0, dtype=np.float32), 0)
    owners, pieces = index.compared_owners, index.compared.spans(embeddings)
    if count < len(open_rows) // FEW:  # else to compare with all costs less than to copy so many
        rows = np.flatnonzero(open_rows)
        owners, open_rows = owners[rows], open_rows[rows]
        pieces = iter([(slice(0, count), embeddings @ index.compared[rows].T)])
    shares = mean_direction(embeddings, weights)
    fused = np.empty(len(owners), dtype=np.float32)
    top = np.zeros(frames, dtype=np.int64)
    best = np.full(frames, -np.inf, dtype=np.float32)
    places = np.arange(frames)
    for rows_of, cosines in pieces:
        np.clip(cosines, -1.0, 1.0, out=cosines)
        np.dot(shares, cosines, out=fused[rows_of])
        if count < len(owners):
            cosines[:, ~open_rows[rows_of]] = -np.inf
        first = np.argmax(cosines, axis=1)
        scores = cosines[places, first]
        top = np.where(scores > best, rows_of.start + first, top)
        best = np.maximum(scores, best)
    np.minimum(fused, 1.0, out=fused)
    if count < len(owners):
        fused[~open_rows] = -np.inf
    return Ranking(_nearest(fused, owners), owners[top].astype(np.int32), best, count)


def mean_direction(
    embeddings: NDArray[np.float32], weights: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The factors, float32 `(k,)`, whose products with the cosines of the frames `(k, d)` to a
    template add up to the cosine of the frames' mean direction to it.

    The mean is weighted by `(k,)`; all zero counts as equal. Frames so unlike that it is shorter
    than `LEAST_LENGTH` get what a mean of that length would.
    """
    shares = np.asarray(weights, dtype=np.float64)
    total = float(shares.sum())
    shares = shares / total if total > 0 else np.full(len(shares), 1.0 / len(shares))
    length = max(float(np.linalg.norm(shares @ embeddings)), LEAST_LENGTH)
    return np.asarray(shares / length, dtype=np.float32)


def _nearest(
    scores: NDArray[np.float32], owners: NDArray[np.int32]
) -> tuple[tuple[int, float], ...]:
    """The best people by the best of their rows; what is -inf does not count. Uses `scores` up."""
    people: list[tuple[int, float]] = []
    for _ in range(NEAREST):
        row = int(np.argmax(scores))
        if np.isneginf(scores[row]):
            break
        people.append((int(owners[row]), float(scores[row])))
        scores[owners == owners[row]] = -np.inf
    return tuple(people)
