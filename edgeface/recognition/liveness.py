"""Is it a person, or a picture of one? Evidence of presentation attack detection, and its fusion.

The words are those of ISO/IEC 30107-3: a *bona fide* presentation is a live person's, an *attack*
is a print, a screen or a mask; evidence that does not suffice is a *non-response*, never "live".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias

import numpy as np

SourceName: TypeAlias = Literal["passive", "motion", "challenge"]
Policy: TypeAlias = Literal["report", "refuse_recognized", "challenge"]
"""`report`: evidence is told only. `refuse_recognized`: nobody is recognized against evidence of an
attack. `challenge`: nobody is recognized without evidence of a live person."""


@dataclass(frozen=True, slots=True)
class Source:
    """What one kind of evidence says about a track. Raises ValueError for a score beyond [0, 1]."""

    name: SourceName
    score: float | None
    """0 is an attack, 1 is a live person; None where it has none."""
    live: bool | None
    """None: not enough to say."""
    detail: Mapping[str, Any] = field(default_factory=dict)
    """What was measured, ready for JSON."""
    threshold: float | None = None
    """A score below it is an attack's; None where the score alone does not decide."""
    missing: bool = False
    """It had to speak and has not: nobody is live without it."""

    def __post_init__(self) -> None:
        for value in (self.score, self.threshold):
            if value is not None and not 0 <= value <= 1:
                raise ValueError(f"{self.name}: {value} is no score in [0, 1]")


@dataclass(frozen=True, slots=True)
class Liveness:
    """What all sources together say."""

    assessed: bool = False
    """Any source was asked."""
    live: bool | None = None
    score: float | None = None
    """The lowest of the sources' scores; None where none has one."""
    sources: tuple[Source, ...] = ()
    policy: Policy = "report"

    @property
    def refusal(self) -> Literal["attack", "not_assessed", "not_live_enough"] | None:
        """Why the policy lets nobody be recognized by this; None where it does."""
        if self.policy == "report":
            return None
        if self.live is False:
            return "attack"
        if not self.assessed or any(source.missing for source in self.sources):
            return "not_assessed"
        if self.policy == "challenge" and self.live is None:
            return "not_live_enough"
        return None

    @property
    def trace(self) -> dict[str, Any]:
        """Of a refusal: why, and who says so, ready for JSON."""
        said = [
            {
                "name": source.name,
                "score": None if source.score is None else round(source.score, 4),
                "threshold": source.threshold,
            }
            for source in self.refusing
        ]
        return {"reason": self.refusal, "policy": self.policy, "refused_by": said}

    @property
    def refusing(self) -> tuple[Source, ...]:
        """The sources that call it an attack."""
        return tuple(source for source in self.sources if source.live is False)


NOT_ASSESSED: Final = Liveness()


def fuse(sources: Sequence[Source], policy: Policy = "report") -> Liveness:
    """One word of several sources: any that calls it an attack decides; else it is live where at
    least one says so and none is missing; else nobody knows."""
    said = {source.live for source in sources}
    complete = not any(source.missing for source in sources)
    live = False if False in said else True if True in said and complete else None
    scores = [source.score for source in sources if source.score is not None]
    return Liveness(bool(sources), live, min(scores, default=None), tuple(sources), policy)


def against(liveness: Liveness, accusing: Sequence[Source]) -> Liveness:
    """The same with what else calls it an attack: of each kind of evidence the one that does."""
    if not accusing:
        return liveness
    kinds = {source.name: source for source in accusing}
    kinds |= {source.name: source for source in liveness.refusing}
    own = [kinds.pop(source.name, source) for source in liveness.sources]
    return fuse([*own, *kinds.values()], liveness.policy)


def passive(scores: Sequence[float | None], threshold: float, least: int) -> Source:
    """The evidence of a classifier of single pictures: the mean of a track's crops against the
    model's threshold; fewer than `least` crops say nothing. A score is None where the classifier
    has failed; where too few are left by that, it is missing.

    The threshold is the score that hardly any live person stays below (its BPCER). So less is
    evidence of an attack; but many attacks reach it, and more is no evidence of a live person.
    """
    given = [score for score in scores if score is not None]
    detail: dict[str, Any] = {"frames": len(given)}
    missing = len(given) < min(least, len(scores))
    if missing:
        detail["reason"] = "failed"
    if not given:
        return Source("passive", None, None, detail, threshold, missing)
    score = round(float(np.mean(given)), 4)
    live = False if len(given) >= least and score < threshold else None
    return Source("passive", score, live, detail, threshold, missing)
