"""The generalised Pareto tail of impostor scores, shape >= 0.

Excesses over a high threshold follow a generalised Pareto law (Pickands 1975; Balkema and de Haan
1974). A negative shape would promise that no score lies beyond some end point, and so a threshold
that can never be passed by mistake; it is not allowed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_THETA_STEPS = 60
_REFINEMENTS = 3


@dataclass(frozen=True, slots=True)
class Tail:
    """P(excess >= x) = (1 + shape * x / scale) ** (-1 / shape), exp(-x / scale) for shape 0."""

    shape: float
    scale: float

    def log_survival(self, excess: Numbers) -> Numbers:
        """Natural logarithm of the survival function at excesses >= 0."""
        ratio = np.asarray(excess, dtype=np.float64) / self.scale
        if self.shape < 1e-9:
            return -ratio
        return -np.log1p(self.shape * ratio) / self.shape


def fit_tail(excess: Numbers, weights: Numbers | None = None) -> Tail:
    """Maximum likelihood with shape >= 0.

    `excess` `(n,)`, >= 0, and the `weights` of its values. With theta = shape / scale the best
    shape for a theta is the mean of log(1 + theta * x), so the likelihood has one free variable
    (Grimshaw 1993). Raises ValueError if all excesses are 0 or there are none.
    """
    x = np.asarray(excess, dtype=np.float64)
    share = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=np.float64)
    kept = share > 0
    x, share = x[kept], share[kept]
    if not len(x) or x.max() <= 0:
        raise ValueError("a tail needs excesses above 0")
    share = share / share.sum()
    mean = float(share @ x)
    # theta = 0 is the exponential law, whose mean log-likelihood is -log(mean) - 1.
    best, best_value = 0.0, -np.log(mean) - 1.0
    low, high = 1e-3 / mean, 1e3 / mean
    for _ in range(_REFINEMENTS):
        thetas = np.geomspace(low, high, _THETA_STEPS)
        shapes = np.log1p(thetas[:, None] * x) @ share
        values = -np.log(shapes / thetas) - shapes - 1.0
        top = int(np.argmax(values))
        if values[top] <= best_value and best == 0.0:
            return Tail(0.0, mean)
        best, best_value = float(thetas[top]), float(values[top])
        low, high = thetas[max(top - 1, 0)], thetas[min(top + 1, _THETA_STEPS - 1)]
    shape = float(np.log1p(best * x) @ share)
    return Tail(shape, shape / best)


def tail_through(near: tuple[float, float], far: tuple[float, float]) -> Tail:
    """The tail that passes through two points `(excess, log survival)`, or lies above them.

    Between 0 and the points it is one generalised Pareto law; where only a negative shape would
    pass through both, the exponential that is on or above them is taken. Excesses are > 0 and
    ascending, logarithms < 0 and descending; ValueError otherwise.
    """
    (x1, log1), (x2, log2) = near, far
    if not (0 < x1 < x2 and 0 > log1 > log2):
        raise ValueError(f"no tail passes through {near} and {far}")
    wanted = log1 / log2
    if wanted <= x1 / x2 * (1 + 1e-6):
        return Tail(0.0, max(x1 / -log1, x2 / -log2))
    low, high = 1e-9 / x2, 1e12 / x1
    for _ in range(200):
        middle = float(np.sqrt(low * high))
        if np.log1p(middle * x1) / np.log1p(middle * x2) < wanted:
            low = middle
        else:
            high = middle
    theta = float(np.sqrt(low * high))
    shape = float(np.log1p(theta * x2) / -log2)
    return Tail(shape, shape / theta)
