"""What the engine answers: same or not, who is it, is it this person."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from edgeface.recognition.decision import Outcome


@dataclass(frozen=True, slots=True)
class FaceComparison:
    """Two faces."""

    verdict: Literal["same", "different", "unsure"]
    """Unsure: too unlike for the false matches that are allowed, too like for strangers."""
    similarity: float
    """Cosine of the embeddings."""
    distance: float
    """Euclidean, sqrt(2 - 2 similarity)."""
    threshold: float
    """The similarity of the same person, at `fmr`."""
    fmr: float
    """The share of strangers' pairs that reaches `threshold`."""
    extrapolated: bool
    """The threshold lies beyond what the calibration's data support."""
    doubt_threshold: float
    """Below it they are different."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Somebody of a gallery."""

    person_id: str
    display_name: str | None
    score: float
    """The best cosine to the mean of the person's templates."""

    @property
    def distance(self) -> float:
        """Euclidean, sqrt(2 - 2 score)."""
        return math.sqrt(max(0.0, 2.0 - 2.0 * self.score))

    @property
    def name(self) -> str:
        """The display name, else the id."""
        return self.display_name or self.person_id


@dataclass(frozen=True, slots=True)
class Identification:
    """Who of a gallery a face is, decided as the daemon decides a look at a single frame."""

    outcome: Outcome
    """`recognized`; `ambiguous`: two people within the margin; `unknown`; `inconclusive`: not
    reached, in a picture too small, blurred or covered to call somebody a stranger;
    `rejected_quality`: nobody was compared."""
    person: Candidate | None
    """Of `recognized`; else nobody."""
    threshold: float | None
    """What the score had to reach for this gallery; None where nobody could match."""
    extrapolated: bool
    """The threshold lies beyond what the calibration's data support."""
    candidates: tuple[Candidate, ...]
    """Everybody who may be recognized now, nearest first."""
    nearest_templates: tuple[Candidate, ...]
    """The owners of the single templates that are nearest, as many as were asked for."""
    gate: str | None
    """Of `rejected_quality`, what is in the way."""

    @property
    def person_id(self) -> str | None:
        """Of whom it is; None for nobody."""
        return None if self.person is None else self.person.person_id

    @property
    def display_name(self) -> str | None:
        """Of whom it is; None for nobody."""
        return None if self.person is None else self.person.display_name


@dataclass(frozen=True, slots=True)
class VerifiedClaim:
    """Whether a face is the person that was named, as the daemon decides a single frame."""

    outcome: Literal["match", "no_match", "inconclusive", "not_enrolled", "rejected_quality"]
    """Inconclusive: not reached, in a picture too small, blurred or covered to say no. Not
    enrolled: no template of the person may match now."""
    person_id: str
    display_name: str | None
    score: float | None
    """None where nothing was compared."""
    threshold: float | None
    extrapolated: bool
    gate: str | None
    """Of `rejected_quality`, what is in the way."""

    @property
    def opens(self) -> bool:
        """Whether a door would open."""
        return self.outcome == "match"
