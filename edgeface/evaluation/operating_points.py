"""The thresholds that a daemon uses: what a measurement is read at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.thresholds import COMPARISON_FMR, Calibration, Threshold
from edgeface.settings.recognition import DecisionSettings

SIZES: Final = (12, 100, 1000, 10_000)
"""People enrolled."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A threshold with its name."""

    name: str
    threshold: float
    """A cosine."""
    extrapolated: bool
    fmr: float
    """The false match rate that it is to keep, of one comparison."""

    def mapping(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


def operating_points(
    calibration: Calibration,
    rules: DecisionRules,
    verify_fmr: float = DecisionSettings().verify_fmr,
    sizes: Sequence[int] = SIZES,
) -> list[OperatingPoint]:
    """Of two photographs, of a card and a face, and of galleries of `sizes` people, one template
    each."""

    def point(name: str, threshold: Threshold) -> OperatingPoint:
        fmr = calibration.survival_at(threshold.value)
        return OperatingPoint(name, threshold.value, threshold.extrapolated, fmr)

    def needed(target: float, size: int) -> Threshold:
        return calibration.identification_threshold(target, rules.max_looks, size)

    return [
        point("two photographs", calibration.threshold_for(COMPARISON_FMR)),
        point("card and face", needed(verify_fmr, 1)),
        *(point(f"{size:,} people", needed(rules.target_fpir, size)) for size in sizes),
    ]
