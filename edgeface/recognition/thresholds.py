"""From what strangers' scores look like to the score that a name needs."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Final, Self

from edgeface.base.errors import ModelError

MAX_THRESHOLD: Final = 0.99
"""No threshold is above it: a face of the same person must be able to reach it."""

COMPARISON_FMR: Final = 1e-4
"""What two photographs are compared at, where nothing else is asked for."""

DOUBT_FMR: Final = 0.05
"""What fewer strangers than this reach is not said to be two people: many a pair of one person, in
other light or years apart, lies there."""

MIN_SCORE: Final = -1.0
"""The least cosine there is."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """A cosine, and whether the calibration's data reach that far."""

    value: float
    """A score of at least this much passes."""
    extrapolated: bool
    """True beyond what the data support, and where the cap keeps the rate from being met."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The survival function of impostor cosines of one embedder: FMR(s) = P(score >= s).

    Below `tail_start` the empirical steps hold, from there on a generalized Pareto tail

        survival(s) = tail_rate * (1 + tail_shape * excess / tail_scale) ** (-1 / tail_shape)

    with excess = s - tail_start (exponential for shape 0; Pickands 1975, Coles 2001, section 4.2).
    The tail's parameters are those of its upper 95 % bound. Raises ModelError when the numbers are
    not such a function.
    """

    scores: tuple[float, ...]
    """Cosines in [-1, 1], ascending; may be empty when the tail says it all."""
    survival: tuple[float, ...]
    """The share of impostor scores at or above each of `scores`, in (0, 1], not ascending."""
    tail_start: float
    """The cosine from which the tail is used."""
    tail_rate: float
    """Survival at `tail_start`, in (0, 1]."""
    tail_shape: float
    """At least 0: the tail is never taken as bounded."""
    tail_scale: float
    """Cosine, positive."""
    smallest_fmr: float
    """The least false match rate that the data support; below it a threshold is extrapolated."""

    def __post_init__(self) -> None:
        for name in ("scores", "survival"):
            object.__setattr__(self, name, tuple(float(value) for value in getattr(self, name)))
        numbers = (
            *self.scores,
            *self.survival,
            self.tail_start,
            self.tail_rate,
            self.tail_shape,
            self.tail_scale,
            self.smallest_fmr,
        )
        faults = {
            "a value is not finite": not all(map(math.isfinite, numbers)),
            "scores and survival differ in length": len(self.scores) != len(self.survival),
            "scores do not ascend": any(a >= b for a, b in pairwise(self.scores)),
            "survival ascends": any(a < b for a, b in pairwise(self.survival)),
            "survival leaves (0, 1]": not all(0 < value <= 1 for value in self.survival),
            "scores leave [-1, 1]": not all(-1 <= value <= 1 for value in self.scores),
            "tail_start leaves [-1, 1]": not -1 <= self.tail_start <= 1,
            "tail_rate leaves (0, 1]": not 0 < self.tail_rate <= 1,
            "tail_shape is negative": self.tail_shape < 0,
            "tail_scale is not positive": self.tail_scale <= 0,
            "smallest_fmr leaves (0, 1]": not 0 < self.smallest_fmr <= 1,
        }
        for fault, found in faults.items():
            if found:
                raise ModelError(f"calibration: {fault}")

    def survival_at(self, score: float) -> float:
        """FMR at a threshold of `score`, in [0, 1]; never below the truth of the stored steps.

        Between two steps the left one holds, and nothing before the tail is below its rate.
        """
        if score >= self.tail_start:
            return self.tail_rate * math.exp(-self._decay(score - self.tail_start))
        place = bisect_right(self.scores, score) - 1
        return max(self.survival[place], self.tail_rate) if place >= 0 else 1.0

    def threshold_for(self, fmr: float) -> Threshold:
        """The least score, at most 0.99, at which no more than `fmr` of impostors pass.

        Raises ValueError unless 0 < fmr <= 1.
        """
        if not 0 < fmr <= 1:
            raise ValueError(f"false match rate {fmr} is not in (0, 1]")
        value = self._score_for(fmr)
        capped = value > MAX_THRESHOLD
        return Threshold(min(value, MAX_THRESHOLD), capped or fmr < self.smallest_fmr)

    def doubt_below(self, threshold: Threshold) -> float:
        """The least score, at most that of `threshold`, that is not yet said to be two people."""
        return min(self.threshold_for(DOUBT_FMR).value, threshold.value)

    def identification_threshold(
        self, target_per_track: float, max_looks: int, templates: int
    ) -> Threshold:
        """The score a name needs among `templates` that can match.

        FMR <= 1 - (1 - f) ** (1 / templates) with f = target_per_track / max_looks. Raises
        ValueError for fewer than one template (nobody can be recognized), fewer than one look, or
        a target outside (0, 1).
        """
        if templates < 1 or max_looks < 1 or not 0 < target_per_track < 1:
            raise ValueError(
                f"no threshold for {templates} templates, {max_looks} looks "
                f"and a target of {target_per_track}"
            )
        per_look = target_per_track / max_looks
        return self.threshold_for(-math.expm1(math.log1p(-per_look) / templates))

    def to_mapping(self) -> dict[str, Any]:
        """Plain lists and numbers for `model.yaml`."""
        return {
            entry.name: list(value) if isinstance(value, tuple) else value
            for entry in fields(self)
            for value in (getattr(self, entry.name),)
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Self:
        """What `to_mapping` wrote. Raises ModelError for missing, unknown or unfit entries."""
        names = {entry.name for entry in fields(cls)}
        if not isinstance(mapping, Mapping) or set(mapping) != names:
            given = set(mapping) if isinstance(mapping, Mapping) else set()
            wrong = ", ".join(sorted(map(str, names ^ given)))
            raise ModelError(f"calibration: missing or unknown: {wrong}")
        try:
            numbers: dict[str, Any] = {
                name: tuple(map(float, value)) if name in ("scores", "survival") else float(value)
                for name, value in mapping.items()
            }
        except (TypeError, ValueError) as error:
            raise ModelError(f"calibration: {error}") from error
        return cls(**numbers)

    def _decay(self, excess: float) -> float:
        """-ln of the tail at `excess` >= 0 over its start."""
        if self.tail_shape == 0:
            return excess / self.tail_scale
        return math.log1p(self.tail_shape * excess / self.tail_scale) / self.tail_shape

    def _score_for(self, fmr: float) -> float:
        if fmr >= 1:
            return MIN_SCORE
        if fmr >= self.tail_rate:
            for score, survival in zip(self.scores, self.survival, strict=True):
                if survival <= fmr and score < self.tail_start:
                    return score
            return self.tail_start
        decay = math.log(self.tail_rate / fmr)
        if self.tail_shape * decay > 700:
            return math.inf
        if self.tail_shape == 0:
            return self.tail_start + self.tail_scale * decay
        stretch = math.expm1(self.tail_shape * decay) / self.tail_shape
        return self.tail_start + self.tail_scale * stretch
