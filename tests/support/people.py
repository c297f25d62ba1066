"""Synthetic people for tests: embeddings, galleries, an exact calibration, and a door's loop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.alignment import TEMPLATE
from edgeface.recognition.cool_down import CoolDown
from edgeface.recognition.decision import Decision, DecisionRules
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.judge import Judge
from edgeface.recognition.quality import Quality
from edgeface.recognition.thresholds import Calibration
from edgeface.recognition.tracking import Tracker
from edgeface.recognition.values import Box, Embedding, Face

DIMENSIONS = 128


def unit(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows (or one vector) of unit length."""
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(values / length, dtype=np.float32)


def identity(rng: np.random.Generator) -> Embedding:
    """A person nobody has seen: a uniform direction."""
    return unit(rng.normal(size=DIMENSIONS))


def view(person: Embedding, rng: np.random.Generator, likeness: float = 0.85) -> Embedding:
    """Another picture of the same person, at exactly this cosine to `person`."""
    noise = rng.normal(size=DIMENSIONS)
    noise -= (noise @ person) * person
    noise /= np.linalg.norm(noise)
    return unit(likeness * person.astype(np.float64) + math.sqrt(1 - likeness**2) * noise)


def quality(weight: float = 0.8, face_px: float = 90.0) -> Quality:
    """A good crop of this weight."""
    return Quality(face_px, 0.9, 1.0, 2.0, -1.0, 0.5, weight)


def face(left: float, top: float = 200.0, size: float = 100.0, score: float = 0.9) -> Face:
    """A frontal face whose box is a square of `size` pixels."""
    landmarks = np.asarray(TEMPLATE * (size / 90) + [left - size * 0.12, top], dtype=np.float32)
    return Face(Box(left, top, left + size, top + size), landmarks, score)


@cache
def uniform_calibration(tail_survival: float = 1e-6) -> Calibration:
    """The exact survival function of the cosine of two uniform directions in 128 dimensions."""
    grid = np.linspace(-1, 1, 20001)
    density = (1 - grid**2) ** ((DIMENSIONS - 3) / 2)
    survival = np.cumsum(density[::-1])[::-1] / density.sum()
    use = (grid > -0.4) & (survival > tail_survival)
    scores, rates = grid[use], np.minimum(survival[use], 1.0)
    # The law falls faster than any exponential: one of its last slope bounds it from above.
    scale = (scores[-1] - scores[-101]) / math.log(rates[-101] / rates[-1])
    return Calibration(
        tuple(scores[:-1:20]),
        tuple(rates[:-1:20]),
        float(scores[-1]),
        float(rates[-1]),
        0.0,
        float(scale),
        1e-6,
    )


def gallery(
    templates: Sequence[NDArray[np.float32]],
    names: Sequence[str] | None = None,
    revision: int = 1,
) -> GalleryIndex:
    """An index with one entry of `templates`, float32 `(k, 128)` or `(128,)`, per person."""
    rows = [np.atleast_2d(entry) for entry in templates]
    people = tuple(names or (f"p_{number:010d}" for number in range(len(rows))))
    if not rows:
        return GalleryIndex.empty(revision=revision)
    return GalleryIndex(
        matrix=np.concatenate(rows).astype(np.float32),
        owners=np.repeat(np.arange(len(rows)), [len(entry) for entry in rows]).astype(np.int32),
        people=people,
        display_names=tuple(f"Name {person}" for person in people),
        valid_from_s=np.full(len(rows), -np.inf),
        valid_to_s=np.full(len(rows), np.inf),
        epoch=0,
        revision=revision,
        space="space",
    )


def everybody(index: GalleryIndex) -> NDArray[np.bool_]:
    """The mask that lets all people match."""
    return np.ones(len(index.people), dtype=np.bool_)


@dataclass(frozen=True)
class Said:
    """One decision, and who really was in front of the camera when it was made."""

    track_id: int
    decision: Decision
    truth: str


@dataclass
class Door:
    """What the pipeline does with the parts of the room, with embeddings given by the test."""

    index: GalleryIndex
    calibration: Calibration
    rules: DecisionRules = field(default_factory=DecisionRules)
    tracker: Tracker = field(default_factory=Tracker)
    judges: dict[int, Judge] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    seen: dict[int, list[str]] = field(default_factory=dict)
    """Track id -> who really was in front of the camera, frame by frame."""

    def __post_init__(self) -> None:
        self.cool_down = CoolDown(self.rules.cool_down_s)

    def frame(self, faces: Sequence[tuple[str, Face, Embedding]], time_s: float) -> None:
        """One frame with these (true name, face, embedding)."""
        truth = {id(entry[1]): entry for entry in faces}
        update = self.tracker.update([entry[1] for entry in faces], time_s)
        for track_id in update.ended:
            self._close(track_id, time_s)
        for track_id, found in update.active:
            name, _, embedding = truth[id(found)]
            if track_id not in self.judges:
                self._open(track_id, time_s)
            if not self.judges[track_id].add(embedding, quality(), time_s):
                parent, track_id = track_id, self.tracker.split(track_id)
                self._close(parent, time_s)
                self._open(track_id, time_s, parent)
                assert self.judges[track_id].add(embedding, quality(), time_s)
            self.seen.setdefault(track_id, []).append(name)
            decision = self.judges[track_id].look(self.index, everybody(self.index), time_s)
            self._say(track_id, decision, time_s)

    def end(self, time_s: float) -> None:
        """Everybody has gone."""
        for track_id in self.tracker.flush():
            self._close(track_id, time_s)

    def names(self) -> list[str]:
        """The people recognized, in order."""
        return [
            said.decision.person_id for said in self.said if said.decision.person_id is not None
        ]

    def _open(self, track_id: int, time_s: float, parent: int | None = None) -> None:
        self.judges[track_id] = Judge(self.rules, self.calibration, time_s)
        self.cool_down.open(track_id, time_s, parent)

    def _close(self, track_id: int, time_s: float) -> None:
        judge = self.judges.pop(track_id)
        self._say(track_id, judge.close(self.index, everybody(self.index), time_s), time_s)
        self.cool_down.close(track_id, time_s)

    def _say(self, track_id: int, decision: Decision | None, time_s: float) -> None:
        if decision is None:
            return
        person = decision.person_id
        if person is None or self.cool_down.admit(track_id, person, time_s):
            self.said.append(Said(track_id, decision, self.seen[track_id][-1]))
