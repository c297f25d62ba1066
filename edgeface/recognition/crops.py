"""The best crops of one face: what is compared, and whether another crop shows the same person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import compress
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.frame import Moment
from edgeface.recognition.quality import Quality
from edgeface.recognition.values import Embedding

IMPROVES: Final = 1.05
"""A crop counts as better than a kept one from this ratio of weights on: a person who stands still
gives crops that differ by noise alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """One good crop, as far as it is kept: no picture."""

    embedding: Embedding
    quality: Quality
    at: Moment
    """The frame that it was cut from."""
    liveness: float | None = None
    """A `LivenessScorer`'s score of it, where there is one."""


class BestCrops:
    """Holds the `most` crops of the highest weight; of two equal ones the earlier stays."""

    def __init__(self, most: int, same_min: float) -> None:
        """`same_min`: the least cosine of a crop of the same person to those that are held."""
        self.kept: list[Crop] = []
        """In the order in which they came."""
        self.taken = 0
        """How many crops came, whether or not they are still held."""
        self._most = most
        self._same_min = same_min
        self._reference: Embedding | None = None

    @property
    def best(self) -> Quality | None:
        """Of the best crop; None where there is none."""
        kept = (crop.quality for crop in self.kept)
        return max(kept, key=lambda quality: quality.weight, default=None)

    @property
    def clear(self) -> int:
        """How many of those held show enough for a stranger to be called one."""
        return sum(crop.quality.clear for crop in self.kept)

    def shows(self, embedding: Embedding) -> bool:
        """Whether a crop shows the person whose crops are held, by its cosine to the direction of
        their weighted mean; anybody will do for the first one."""
        return self._reference is None or float(self._reference @ embedding) >= self._same_min

    def improved_by(self, quality: Quality) -> bool:
        """Whether a crop of this quality is worth its embedding."""
        if len(self.kept) < self._most:
            return True
        return quality.weight > IMPROVES * min(crop.quality.weight for crop in self.kept)

    def add(self, crop: Crop) -> None:
        """Take a crop, and hold it if it is among the best."""
        self.taken += 1
        if len(self.kept) >= self._most:
            worst = min(reversed(self.kept), key=lambda kept: kept.quality.weight)
            if crop.quality.weight <= worst.quality.weight:
                return
            self.kept.remove(worst)
        self.kept.append(crop)
        mean = self.weights() @ self.embeddings()
        length = float(np.linalg.norm(mean))
        if length > 0:
            self._reference = np.asarray(mean / length, dtype=np.float32)

    def forget(self) -> None:
        """Begin anew: somebody else is there."""
        self.kept, self.taken, self._reference = [], 0, None

    def embeddings(self) -> NDArray[np.float32]:
        """float32 `(k, d)`."""
        rows = [crop.embedding for crop in self.kept]
        return np.stack(rows) if rows else np.zeros((0, 0), dtype=np.float32)

    def weights(self) -> NDArray[np.float32]:
        """float32 `(k,)`, not all zero."""
        weights = np.array([crop.quality.weight for crop in self.kept], dtype=np.float32)
        return weights if weights.any() else np.ones_like(weights)

    def newest(self, among: Iterable[bool] | None = None) -> Moment | None:
        """The newest frame of the crops held, or of those of them that `among` says; None where
        there is none."""
        moments = (crop.at for crop in self.kept)
        chosen = moments if among is None else compress(moments, among)
        return max(chosen, key=lambda moment: moment.boottime_ns, default=None)
