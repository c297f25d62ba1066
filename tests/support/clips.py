"""Clips: one that is made here, those of the shared folder, and what the pipeline makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2

from edgeface.base.clock import ManualClock
from edgeface.capture.factory import make_backend
from edgeface.gallery.gate import Gate, Portrait
from edgeface.inference.models import open_liveness, open_models
from edgeface.recognition.assessment import AssessmentRules
from edgeface.recognition.decision import Decision
from edgeface.recognition.frame import Frame
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.liveness import Policy
from edgeface.recognition.pipeline import Gallery, Pipeline, PipelineRules
from edgeface.recognition.quality import QualityLimits
from edgeface.recognition.values import Image
from edgeface.settings.camera import SimulatedCamera, StreamCamera
from edgeface.settings.models import ModelsSettings
from edgeface.settings.recognition import PadSettings
from tests.support.people import everybody, gallery

PERSON = "p_herherherhe"


def film_visits(path: Path, *photographs: Path, fps: int = 8, visit_s: float = 2.5) -> Path:
    """A video file of people who walk up to the simulated camera in turn."""
    camera = SimulatedCamera(
        source="simulated",
        photographs=photographs,
        size=(640, 480),
        fps=fps,
        visit_s=visit_s,
        gap_s=0.5,
    )
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, camera.size)
    with make_backend(camera, ManualClock()) as source:
        for frame in source.frames(10):
            writer.write(frame.image)
    writer.release()
    return path


def play(clip: Path) -> Iterator[Frame]:
    """Every frame, on virtual time at the clip's own pace."""
    camera = StreamCamera(source="stream", url=str(clip), pace="real_time")
    with make_backend(camera, ManualClock()) as source:
        yield from source.frames(10)


@dataclass(frozen=True)
class Played:
    """What came of one clip."""

    frames: int
    tracks: Counter[int]
    """Track -> frames."""
    decisions: tuple[Decision, ...]
    embedded: int

    def outcomes(self) -> set[str]:
        return {decision.outcome for decision in self.decisions}

    def recognized(self) -> list[Decision]:
        return [decision for decision in self.decisions if decision.outcome == "recognized"]

    def best_score(self) -> float:
        """The highest fused score of anybody."""
        return max((decision.score or -1.0 for decision in self.decisions), default=-1.0)


class ClipDoor:
    """The models that ship, and a gallery made from single frames."""

    def __init__(self) -> None:
        self.detector, self.embedder, _ = open_models(ModelsSettings(accelerator="cpu"))
        self.calibration = self.embedder.package.calibration

    def enroll(self, frame: Frame, name: str = PERSON) -> GalleryIndex:
        """A gallery of one person, from one frame, with the gate and the codes of a real one."""
        return self.enroll_picture(frame.image, f"frame {frame.sequence}", name)

    def enroll_picture(
        self, image: Image, what: str = "the picture", name: str = PERSON
    ) -> GalleryIndex:
        """The same, from a picture BGR uint8 `(h, w, 3)`."""
        gate = Gate(self.detector, self.embedder, QualityLimits())
        portrait = gate.examine(image, what)
        assert isinstance(portrait, Portrait), portrait
        return gallery([portrait.embedding], [name])

    def play(
        self, clip: Path, index: GalleryIndex, *, every: int = 1, policy: Policy | None = None
    ) -> Played:
        """Put every so manieth frame to decision, as a camera of fewer frames a second would.
        `policy`: what evidence of an attack does; None: none is looked for."""
        pad = PadSettings()
        assert pad.model is not None
        scorer = None if policy is None else open_liveness(pad.model, "auto", pad.target_bpcer)
        rules = PipelineRules(assessment=AssessmentRules(policy or "report"))
        pipeline = Pipeline(self.detector, self.embedder, self.calibration, rules, scorer=scorer)
        known = Gallery(index, everybody(index))
        tracks: Counter[int] = Counter()
        decisions: list[Decision] = []
        frames = embedded = 0
        time_s = 0.0
        for frame in play(clip):
            if frame.sequence % every:
                continue
            frames += 1
            result = pipeline.process(frame, known)
            decisions += result.decisions
            embedded += sum(sight.embedded for sight in result.sights)
            tracks.update(sight.track_id for sight in result.sights)
            time_s = frame.boottime_ns / 1e9
        decisions += pipeline.flush(time_s, known)
        return Played(frames, tracks, tuple(decisions), embedded)
