"""The way of a frame from detection to decision, as the daemon goes it, with a clock at each stage.

The daemon adds threads, the outbox and MQTT around it; what recognition itself costs is here.
"""

from __future__ import annotations

from collections import Counter
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgeface.bench.stage_clock import StageClock
from edgeface.evaluation.stills import CropEmbedder
from edgeface.recognition.alignment import align
from edgeface.recognition.decision import Decision, DecisionRules
from edgeface.recognition.frame import Frame
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.judge import Judge
from edgeface.recognition.quality import QualityLimits, assess, refusal
from edgeface.recognition.thresholds import Calibration
from edgeface.recognition.tracking import Tracker
from edgeface.recognition.values import Face, Image


class FrameDetector(Protocol):
    """`edgeface.inference.detector.Detector`, or a stand-in."""

    def detect(self, image_bgr: Image, scale: tuple[float, float] = ...) -> list[Face]:
        """Faces in pixels of the full picture."""


class FramePath:
    """Detect, track, align, assess, embed and judge. One thread uses it."""

    def __init__(
        self,
        detector: FrameDetector,
        embedder: CropEmbedder,
        calibration: Calibration,
        index: GalleryIndex,
        clock: StageClock,
        *,
        rules: DecisionRules | None = None,
        limits: QualityLimits | None = None,
    ) -> None:
        self._detector = detector
        self._embedder = embedder
        self._calibration = calibration
        self._index = index
        self._allowed = np.ones(len(index.people), dtype=np.bool_)
        self._clock = clock
        self._rules = rules or DecisionRules()
        self._limits = limits or QualityLimits()
        self._tracker = Tracker()
        self._judges: dict[int, Judge] = {}
        self.faces = 0
        self.embedded = 0
        self.outcomes: Counter[str] = Counter()

    def process(self, frame: Frame) -> None:
        """Take one frame the whole way."""
        stage, time_s = self._clock.stage, frame.boottime_ns / 1e9
        with stage("detect"):
            small = frame.image if frame.detect_image is None else frame.detect_image
            faces = self._detector.detect(small, frame.detect_scale)
        self.faces += len(faces)
        with stage("track"):
            update = self._tracker.update(faces, time_s)
        size = (frame.image.shape[1], frame.image.shape[0])
        good = []
        for track_id, face in update.active:
            judge = self._judge(track_id, time_s)
            if judge.recognized:
                continue
            with stage("align"):
                crop = align(frame.image, face.landmarks)
            with stage("quality"):
                quality = assess(face, crop, size)
                gate = refusal(quality, self._limits)
            if gate is None:
                good.append((track_id, crop, quality))
            else:
                judge.refuse(gate, quality)
        with stage("embed"):
            embeddings = self._embedder.embed([crop for _, crop, _ in good]) if good else ()
        self.embedded += len(good)
        with stage("decide"):
            for (track_id, _, quality), embedding in zip(good, embeddings, strict=True):
                if not self._judges[track_id].add(embedding, quality, time_s):
                    self._end(track_id, time_s)
                    split = self._tracker.split(track_id)
                    self._judge(split, time_s).add(embedding, quality, time_s)
            for judge in self._judges.values():
                self._note(judge.look(self._index, self._allowed, time_s))
            for track_id in update.ended:
                self._end(track_id, time_s)

    def _judge(self, track_id: int, time_s: float) -> Judge:
        if track_id not in self._judges:
            self._judges[track_id] = Judge(self._rules, self._calibration, time_s)
        return self._judges[track_id]

    def _end(self, track_id: int, time_s: float) -> None:
        judge = self._judges.pop(track_id, None)
        if judge is not None:
            self._note(judge.close(self._index, self._allowed, time_s))

    def _note(self, decision: Decision | None) -> None:
        if decision is not None:
            self.outcomes[decision.outcome] += 1


def strangers(people: int, space: str, seed: int = 1) -> GalleryIndex:
    """A gallery of people who are nobody: random unit templates, one each."""
    generator = np.random.default_rng(seed)
    rows: NDArray[np.float32] = generator.normal(size=(people, 128)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return GalleryIndex(
        matrix=rows,
        owners=np.arange(people, dtype=np.int32),
        people=tuple(f"p_bench{number}" for number in range(people)),
        display_names=(None,) * people,
        valid_from_s=np.full(people, -np.inf),
        valid_to_s=np.full(people, np.inf),
        epoch=0,
        revision=1,
        space=space if people else "",
    )
