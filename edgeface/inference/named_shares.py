"""How many of the people of a gallery are expected to be named: what was measured for a model."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

Portion: TypeAlias = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class ExpectedNaming:
    """Of enrolled people who come to the door, the share named."""

    still: float
    """By one photograph: the least that is expected of a visit."""
    track: float
    """By a track of independent photographs: the most."""
    extrapolated: bool
    """The threshold is above all that were measured."""


class SizeNamed(BaseModel):
    """What was named at the threshold of one size of a gallery."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    people: int = Field(ge=1)
    threshold: float = Field(ge=-1, le=1)
    """A cosine."""
    still: Portion
    track: Portion


class NamedShares(BaseModel):
    """Measured on people who are not in the calibration."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    people: int = Field(ge=2)
    """Who were there to be enrolled or strangers."""
    photographs: int = Field(ge=1)
    """Enrolled of each person."""
    sizes: tuple[SizeNamed, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ascending(self) -> NamedShares:
        if any(a.people >= b.people or a.threshold > b.threshold for a, b in pairwise(self.sizes)):
            raise ValueError("sizes: people and thresholds do not ascend")
        return self

    def at(self, threshold: float) -> ExpectedNaming:
        """Between what was measured, by the threshold; the nearest beyond it.

        How large a gallery is matters by its threshold alone: with so many people as could be
        enrolled hardly anybody is named as somebody else.
        """
        thresholds = [size.threshold for size in self.sizes]
        still, track = (
            float(np.interp(threshold, thresholds, [getattr(size, kind) for size in self.sizes]))
            for kind in ("still", "track")
        )
        return ExpectedNaming(still, track, threshold > thresholds[-1])
