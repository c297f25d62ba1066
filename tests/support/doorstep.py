"""A door in miniature: frames, a detector and an embedder that do what the test says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.frame import Frame
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.pipeline import FrameResult, Gallery, Pipeline, PipelineRules, Verdict
from edgeface.recognition.quality import QualityLimits
from edgeface.recognition.tracking import TrackerRules
from edgeface.recognition.values import Embedding, Face, Image
from tests.support.people import everybody, face, uniform_calibration, view

START = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)
FPS = 10


class Stage:
    """Plays both models: who is in front of the camera, and where."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(3)
        self.actors: list[tuple[Face, Embedding]] = []
        self.embedded = 0
        self.batches: list[int] = []
        self.seen: list[tuple[tuple[int, ...], tuple[float, float]]] = []
        self.fail_embedding = False

    def detect(self, image_bgr: Image, scale: tuple[float, float] = (1.0, 1.0)) -> list[Face]:
        self.seen.append((image_bgr.shape, scale))
        return [found for found, _ in self.actors]

    def embed(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """In the order of the actors; tests with several keep all of them due."""
        if self.fail_embedding:
            raise RuntimeError("the accelerator is gone")
        self.embedded += len(crops)
        self.batches.append(len(crops))
        people = [person for _, person in self.actors][: len(crops)]
        return np.stack([view(person, self.rng) for person in people])


class Scene:
    """A pipeline over a stage, fed with frames of virtual time."""

    def __init__(self, index: GalleryIndex, rules: DecisionRules | None = None) -> None:
        self.stage = Stage()
        self.index = index
        self.rules = PipelineRules(
            TrackerRules(),
            QualityLimits(min_sharpness=0, min_exposure=0),
            rules or DecisionRules(),
        )
        self.pipeline = Pipeline(self.stage, self.stage, uniform_calibration(), self.rules)
        self.number = 0
        self.verdicts: list[Verdict] = []
        noise = self.stage.rng.integers(0, 256, (720, 1280, 3), np.uint8)
        self.image: Image = noise

    @property
    def gallery(self) -> Gallery:
        return Gallery(self.index, everybody(self.index))

    @property
    def time_s(self) -> float:
        return 1000 + self.number / FPS

    def frame(self, *, small: bool = False) -> Frame:
        self.number += 1
        return Frame(
            image=self.image,
            source="stage",
            sequence=self.number,
            captured_at=START + timedelta(seconds=self.number / FPS),
            boottime_ns=round(self.time_s * 1e9),
            detect_image=self.image[::4, ::4] if small else None,
            detect_scale=(4.0, 4.0) if small else (1.0, 1.0),
        )

    def play(self, frames: int, *actors: tuple[float, Embedding], small: bool = False) -> None:
        """So many frames with these (left of the face, person)."""
        self.stage.actors = [(face(left), person) for left, person in actors]
        for _ in range(frames):
            self.step(small=small)

    def step(self, *, small: bool = False) -> FrameResult:
        result = self.pipeline.process(self.frame(small=small), self.gallery)
        self.verdicts += result.verdicts
        return result

    def outcomes(self) -> list[tuple[int, str]]:
        return [(verdict.track_id, verdict.decision.outcome) for verdict in self.verdicts]
