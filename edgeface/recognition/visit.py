"""One track at the door: its judge, what was seen of it last, and which crops are worth a look."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from edgeface.recognition.decision import Decision, DecisionRules
from edgeface.recognition.judge import Judge
from edgeface.recognition.quality import Quality
from edgeface.recognition.thresholds import Calibration
from edgeface.recognition.values import Embedding

RECHECK_S: Final = 0.5
"""A track that has all it needs is embedded this often, to notice that somebody else has stepped
into it."""
IMPROVES: Final = 1.05
"""A crop counts as better than a kept one from this ratio of weights on: a person who stands still
gives crops that differ by noise alone."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a frame was captured, and how many faces were in it."""

    captured_at: datetime
    """UTC."""
    boottime_ns: int
    """The same on CLOCK_BOOTTIME."""
    faces_in_view: int

    @property
    def time_s(self) -> float:
        """Seconds of CLOCK_BOOTTIME."""
        return self.boottime_ns / 1e9


class Visit:
    """What the pipeline keeps of one track. Not thread-safe."""

    def __init__(
        self, track_id: int, rules: DecisionRules, calibration: Calibration, start: Moment
    ) -> None:
        self.track_id = track_id
        self.judge = Judge(rules, calibration, start.time_s)
        self.started = start
        self.last_seen = start
        """The newest frame with this face."""
        self._rules = rules
        self._kept: list[float] = []
        self._moments: dict[float, Moment] = {}
        """By the time of the frame, for the crops that the judge keeps."""
        self._embedded_s: float | None = None

    def basis(self, decision: Decision) -> Moment:
        """The frame a decision stands on: its validity is counted from there. Not a frame that
        was seen but not used: somebody else may have been there by then."""
        at_s = decision.evidence_s
        return self.last_seen if at_s is None else self._moments[at_s]

    def wants(self, quality: Quality, now: Moment) -> bool:
        """Whether an embedding of a good crop can still change anything."""
        if self._embedded_s is None or now.time_s - self._embedded_s >= RECHECK_S:
            return True
        if self.judge.recognized or self.judge.looks >= self._rules.max_looks:
            return False
        if len(self._kept) < self._rules.best_frames:
            return True
        return quality.weight > IMPROVES * min(self._kept)

    def add(self, embedding: Embedding, quality: Quality, now: Moment) -> bool:
        """Give a crop to the judge; False when it shows another person."""
        self._embedded_s = now.time_s
        if not self.judge.add(embedding, quality, now.time_s):
            return False
        self._moments[now.time_s] = now
        kept_s = self.judge.kept_s
        self._moments = {at_s: self._moments[at_s] for at_s in kept_s}
        if len(self._kept) < self._rules.best_frames:
            self._kept.append(quality.weight)
        elif quality.weight > min(self._kept):
            self._kept[self._kept.index(min(self._kept))] = quality.weight
        return True
