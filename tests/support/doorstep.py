"""A door in miniature: frames, a detector and an embedder that do what the test says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.alignment import ARCFACE, align
from edgeface.recognition.decision import Decision, DecisionRules
from edgeface.recognition.frame import Frame
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.pipeline import FrameResult, Gallery, Pipeline, PipelineRules
from edgeface.recognition.quality import QualityLimits
from edgeface.recognition.tracking import TrackerRules
from edgeface.recognition.values import Embedding, Face, Image
from tests.support.people import START, everybody, face, uniform_calibration, view

FPS = 10
IMAGE: Image = np.random.default_rng(3).integers(0, 256, (720, 1280, 3), np.uint8)
"""What the camera sees: noise, in which every crop differs from every other."""


class Stage:
    """Plays both models: who is in front of the camera, and where."""

    def __init__(self) -> None:
        self.alignment = ARCFACE
        self.rng = np.random.default_rng(3)
        self.actors: list[tuple[Face, Embedding]] = []
        self.embedded = 0
        self.batches: list[int] = []
        self.seen: list[tuple[tuple[int, ...], tuple[float, float]]] = []
        self.fail_embedding = False

    def detect(
        self, image_bgr: Image, scale: tuple[float, float] = (1.0, 1.0), *, doubtful: bool = False
    ) -> list[Face]:
        self.seen.append((image_bgr.shape, scale))
        return [found for found, _ in self.actors]

    def embed(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """The person whose face, cut out of `IMAGE`, is the crop."""
        if self.fail_embedding:
            raise RuntimeError("the accelerator is gone")
        self.embedded += len(crops)
        self.batches.append(len(crops))
        return np.stack([self._look_of(crop) for crop in crops])

    def _look_of(self, crop: Image) -> Embedding:
        for found, person in self.actors:
            if np.array_equal(align(IMAGE, found.landmarks, self.alignment), crop):
                return view(person, self.rng)
        raise AssertionError("a crop that shows none of the actors")


class Scorer:
    """Gives every crop the same score, and keeps the crops."""

    surroundings = 2.7
    threshold = 0.5

    def __init__(self, score: float) -> None:
        self.given = score
        self.crops: list[Image] = []

    def score(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        self.crops += crops
        return np.full(len(crops), self.given, np.float32)


class Scene:
    """A pipeline over a stage, fed with frames of virtual time."""

    def __init__(
        self, index: GalleryIndex, rules: DecisionRules | None = None, **options: Any
    ) -> None:
        """`options` are the pipeline's."""
        self.stage = Stage()
        self.index = index
        self.rules = PipelineRules(
            TrackerRules(),
            QualityLimits(min_sharpness=0, min_exposure=0),
            rules or DecisionRules(),
        )
        self.pipeline = Pipeline(
            self.stage, self.stage, uniform_calibration(), self.rules, **options
        )
        self.number = 0
        self.decisions: list[Decision] = []

    @property
    def gallery(self) -> Gallery:
        return Gallery(self.index, everybody(self.index))

    @property
    def time_s(self) -> float:
        return 1000 + self.number / FPS

    def frame(self, *, small: bool = False) -> Frame:
        self.number += 1
        return Frame(
            image=IMAGE,
            source="stage",
            sequence=self.number,
            captured_at=START + timedelta(seconds=self.number / FPS),
            boottime_ns=round(self.time_s * 1e9),
            detect_image=IMAGE[::4, ::4] if small else None,
            detect_scale=(4.0, 4.0) if small else (1.0, 1.0),
        )

    def play(self, frames: int, *actors: tuple[float, Embedding], small: bool = False) -> None:
        """So many frames with these (left of the face, person)."""
        self.stage.actors = [(face(left), person) for left, person in actors]
        for _ in range(frames):
            self.step(small=small)

    def step(self, *, small: bool = False) -> FrameResult:
        self.newest = self.frame(small=small)
        result = self.pipeline.process(self.newest, self.gallery)
        self.decisions += result.decisions
        return result

    def outcomes(self) -> list[tuple[int, str]]:
        return [(decision.track_id, decision.outcome) for decision in self.decisions]
