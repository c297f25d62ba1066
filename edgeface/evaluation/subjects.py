"""Bootstrap over subjects: what varies from sample to sample is the people, not the pairs.

Pairs that share a person are dependent, so resampling pairs makes intervals far too narrow
(Bolle, Ratha and Pankanti, "Error analysis of pattern recognition systems - the subsets
bootstrap", CVIU 2004). Here people are drawn with replacement; a pair of one person counts as
often as the person was drawn, a pair of two people as often as the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray


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
