"""How like each face of a set is to every other, and which stands out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Metric: TypeAlias = Literal["cosine", "euclidean"]


@dataclass(frozen=True, slots=True, eq=False)
class SimilarityMatrix:
    """All pairs of `n` faces, n at least 2."""

    cosines: NDArray[np.float32]
    """float32 `(n, n)`, symmetric."""
    metric: Metric

    @property
    def values(self) -> NDArray[np.float32]:
        """float32 `(n, n)` in the metric."""
        return in_metric(self.cosines, self.metric)

    @property
    def means(self) -> NDArray[np.float64]:
        """float64 `(n,)`: of each face's values with the others."""
        values = self.values.astype(np.float64)
        return np.asarray((values.sum(1) - np.diagonal(values)) / (len(values) - 1))

    @property
    def stands_out(self) -> NDArray[np.float64]:
        """float64 `(n,)`: by how many standard deviations of `means` a face is less like the others
        than the faces are on average; negative when it is more like them."""
        means = self.means
        spread = means.std()
        away = means - means.mean() if self.metric == "euclidean" else means.mean() - means
        return np.asarray(away / spread if spread > 1e-6 else np.zeros_like(means))

    @property
    def nearest(self) -> NDArray[np.intp]:
        """int `(n,)`: which other face each is most like."""
        others = self.cosines.copy()
        np.fill_diagonal(others, -np.inf)
        return np.asarray(others.argmax(1))


def in_metric(cosines: NDArray[np.float32], metric: Metric) -> NDArray[np.float32]:
    """The cosines, or the Euclidean distances sqrt(2 - 2 cosine) of unit vectors."""
    if metric == "cosine":
        return cosines
    return np.sqrt(np.maximum(2 - 2 * cosines, 0)).astype(np.float32)


def clustered(cosines: NDArray[np.float32]) -> list[int]:
    """An order in which like faces are neighbors: the leaves of `grouped` over the cosines float32
    `(n, n)`, n at least 1."""
    return grouped(cosines, -np.inf)[0]


def grouped(cosines: NDArray[np.float32], least: float) -> list[list[int]]:
    """The faces of cosines float32 `(n, n)` in groups by average linkage (UPGMA, Sokal and
    Michener 1958): the two groups whose mean cosine is the highest become one while it is at least
    `least`. The largest first; in each like faces are neighbors."""
    links = cosines.astype(np.float64)
    np.fill_diagonal(links, -np.inf)
    groups = [[index] for index in range(len(links))]
    for _ in range(len(links) - 1):
        a, b = sorted(divmod(int(links.argmax()), len(links)))
        if links[a, b] < least:
            break
        sizes = len(groups[a]), len(groups[b])
        joined = (sizes[0] * links[a] + sizes[1] * links[b]) / sum(sizes)
        joined[[a, b]] = -np.inf
        links[a], links[:, a] = joined, joined
        links[b], links[:, b] = -np.inf, -np.inf
        groups[a] = [*groups[a], *groups[b]]
        groups[b] = []
    return sorted(filter(None, groups), key=len, reverse=True)
