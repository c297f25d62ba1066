"""What the quality gate looks at, value by value, each beside its limit."""

from __future__ import annotations

from dataclasses import dataclass

from edgeface.recognition.quality import MIN_INSIDE, Quality, QualityLimits, refusals

_WIDE_PX = 200.0
"""The size of a face at which its bar is full."""
_TURNED_DEG = 90.0


@dataclass(frozen=True, slots=True)
class Measure:
    """One value of a face."""

    name: str
    value: float
    limit: float
    """Of what is compared at a door; 0 where there is none."""
    stricter: float
    """Of what is enrolled."""
    most: bool
    """Whether the limit is the most that is taken; False: the least."""
    full: float
    """The value at which a bar of it is full."""
    gates: tuple[str, ...]
    """Those that refuse for it now."""

    @property
    def enrollable(self) -> bool:
        """Whether the value keeps the limit of what is enrolled."""
        return abs(self.value) <= self.stricter if self.most else self.value >= self.stricter

    @property
    def shown(self) -> str:
        """The value as people read it."""
        return self._text(self.value)

    @property
    def limit_shown(self) -> str:
        """The limits in words."""
        way = "at most" if self.most else "at least"
        if self.limit == self.stricter:
            return f"{way} {self._text(self.limit)}"
        stricter = f"to enroll {self._text(self.stricter)}"
        return f"{way} {self._text(self.limit)}, {stricter}" if self.limit else stricter

    def _text(self, value: float) -> str:
        if self.full > 1:
            return f"{value:z.0f}{' px' if self.full == _WIDE_PX else ' deg'}"
        return f"{value:z.2f}"


def measures(quality: Quality, limits: QualityLimits) -> list[Measure]:
    """Every value that has a limit, those with the same gates one below the other."""
    broken, stricter = refusals(quality, limits), limits.for_enrollment()

    def measure(
        name: str, value: float, field: str, *gates: str, most: bool = False, full: float = 1.0
    ) -> Measure:
        limit = getattr(limits, field, MIN_INSIDE)
        beyond = abs(value) > limit if most else value < limit
        refusing = tuple(gate for gate in gates if gate in broken)
        enrolled = getattr(stricter, field, MIN_INSIDE)
        return Measure(name, value, limit, enrolled, most, full, refusing if beyond else ())

    def angle(name: str, value: float) -> Measure:
        field = f"max_{name}_deg"
        return measure(name, value, field, "turned_away", most=True, full=_TURNED_DEG)

    return [
        measure("size", quality.face_px, "min_face_px", "too_small", full=_WIDE_PX),
        angle("yaw", quality.yaw_deg),
        angle("pitch", quality.pitch_deg),
        angle("roll", quality.roll_deg),
        measure("inside", quality.inside, "", "cut_off"),
        measure("exposure", quality.exposure, "min_exposure", "too_dark", "too_bright"),
        measure("sharpness", quality.sharpness, "min_sharpness", "blurred"),
        measure("eyes", quality.eyes, "min_eyes", "eyes_covered"),
        measure("contrast", quality.contrast, "min_contrast", "backlit"),
        measure("score", quality.score, "min_score", "uncertain"),
    ]
