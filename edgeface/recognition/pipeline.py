"""From a frame to decisions: detector, tracker, quality gate, aligner, embedder, judges.

It has no clock, no thread and no I/O: time is that of the frames, the gallery is handed in with
every frame. The thread that owns the models owns the pipeline.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.alignment import align
from edgeface.recognition.cool_down import CoolDown
from edgeface.recognition.decision import Decision, DecisionRules
from edgeface.recognition.frame import Frame
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.quality import Quality, QualityLimits, assess, refusal
from edgeface.recognition.thresholds import Calibration
from edgeface.recognition.tracking import Tracker, TrackerRules
from edgeface.recognition.values import Embedding, Face, Image
from edgeface.recognition.visit import Moment, Visit

NOT_A_FACE: Final = "not_a_face"
"""The gate of a detection whose landmarks fit no face at all."""


class FaceDetector(Protocol):
    """What the pipeline needs of `inference.detector.Detector`."""

    def detect(self, image_bgr: Image, scale: tuple[float, float] = (1.0, 1.0)) -> list[Face]:
        """Faces, in pixels of the full image: those of `image_bgr` times `scale`."""


class FaceEmbedder(Protocol):
    """What the pipeline needs of `inference.embedder.Embedder`."""

    def embed(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """float32 `(n, 128)`, unit rows, one for each RGB crop."""


@dataclass(frozen=True, slots=True)
class PipelineRules:
    """Everything that is not learnt."""

    tracker: TrackerRules = field(default_factory=TrackerRules)
    limits: QualityLimits = field(default_factory=QualityLimits)
    decision: DecisionRules = field(default_factory=DecisionRules)


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Who may be recognised at the moment of a frame."""

    index: GalleryIndex
    allowed: NDArray[np.bool_]
    """`(p,)`, see `GalleryIndex.allowed`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision about one track, with what an event says of the frame it stands on."""

    track_id: int
    decision: Decision
    basis: Moment
    """The newest frame that the decision rests on."""
    duration_s: float
    """From the first to the newest frame of the track."""


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """One face of a frame."""

    track_id: int
    face: Face
    quality: Quality | None
    """None for what could not be aligned."""
    gate: str | None
    """The gate that refused it; None for a good crop."""
    embedded: bool


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What one frame gave."""

    sights: tuple[Sight, ...]
    verdicts: tuple[Verdict, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Due:
    """A crop that is to be embedded."""

    number: int
    """The tracker's."""
    crop: Image
    quality: Quality


class Pipeline:
    """Decides about tracks. Not thread-safe."""

    def __init__(
        self,
        detector: FaceDetector,
        embedder: FaceEmbedder,
        calibration: Calibration,
        rules: PipelineRules,
        *,
        first_track_id: int = 1,
    ) -> None:
        """`first_track_id`: a new pipeline goes on counting where the one before it stopped."""
        self._detector = detector
        self._embedder = embedder
        self._calibration = calibration
        self._rules = rules
        self._tracker = Tracker(rules.tracker)
        self._cool_down = CoolDown(rules.decision.cool_down_s)
        self._visits: dict[int, Visit] = {}
        self._verdicts: list[Verdict] = []
        self._offset = first_track_id - 1
        self._next_track_id = first_track_id

    @property
    def idle(self) -> bool:
        """No track is active."""
        return not self._visits

    @property
    def held_back(self) -> int:
        """Names that the cool-down kept from being announced twice."""
        return self._cool_down.held_back

    @property
    def next_track_id(self) -> int:
        """The id that no track has had yet."""
        return self._next_track_id

    def use(self, detector: FaceDetector, embedder: FaceEmbedder) -> None:
        """Go on with the same models on another accelerator; tracks are kept."""
        self._detector, self._embedder = detector, embedder

    def process(self, frame: Frame, gallery: Gallery) -> FrameResult:
        """Take the next frame.

        Raises what the models raise; no decision is lost by that, the next call returns it.
        """
        if frame.detect_image is None:
            faces = self._detector.detect(frame.image)
        else:
            faces = self._detector.detect(frame.detect_image, frame.detect_scale)
        now = Moment(frame.captured_at, frame.boottime_ns, len(faces))
        update = self._tracker.update(faces, now.time_s)
        self._end(update.ended, now.time_s, gallery)
        found: list[tuple[int, Face, Quality | None, str | None]] = []
        due: list[_Due] = []
        for number, face in update.active:
            found.append((number, face, *self._gate(frame.image, number, face, now, due)))
        successors: dict[int, int] = {}
        if due:
            embeddings = self._embedder.embed([item.crop for item in due])
            for item, embedding in zip(due, embeddings, strict=True):
                successors[item.number] = self._give(item, embedding, now, gallery)
        for visit in [visit for visit in self._visits.values() if visit.last_seen is now]:
            decision = visit.judge.look(gallery.index, gallery.allowed, now.time_s)
            self._announce(visit, decision, now.time_s)
        sights = tuple(
            Sight(
                self._offset + successors.get(number, number),
                face,
                quality,
                gate,
                number in successors,
            )
            for number, face, quality, gate in found
        )
        return FrameResult(sights, self._take())

    def pause(self, time_s: float, gallery: Gallery) -> tuple[Verdict, ...]:
        """No frame has come that was captured up to `time_s`; one that was captured later may still
        be on its way. Ends the tracks that were not seen for too long."""
        self._end(self._tracker.update((), time_s).ended, time_s, gallery)
        return self._take()

    def flush(self, time_s: float, gallery: Gallery) -> tuple[Verdict, ...]:
        """End every track."""
        self._end(self._tracker.flush(), time_s, gallery)
        return self._take()

    def _visit(self, number: int, now: Moment, split_from: int | None = None) -> Visit:
        """The visit of a tracker's number, begun if it is new."""
        visit = self._visits.get(number)
        if visit is None:
            track_id = self._offset + number
            self._next_track_id = max(self._next_track_id, track_id + 1)
            visit = Visit(track_id, self._rules.decision, self._calibration, now)
            self._visits[number] = visit
            self._cool_down.open(track_id, now.time_s, split_from)
        return visit

    def _gate(
        self, image: Image, number: int, face: Face, now: Moment, due: list[_Due]
    ) -> tuple[Quality | None, str | None]:
        """Cut and measure a face; a good crop that is worth it is put into `due`."""
        visit = self._visit(number, now)
        visit.last_seen = now
        try:
            crop = align(image, face.landmarks)
        except ValueError:
            visit.judge.refuse(NOT_A_FACE)
            return None, NOT_A_FACE
        quality = assess(face, crop, (image.shape[1], image.shape[0]))
        gate = refusal(quality, self._rules.limits)
        if gate is not None:
            visit.judge.refuse(gate, quality)
        elif visit.wants(quality, now):
            due.append(_Due(number, crop, quality))
        return quality, gate

    def _give(self, item: _Due, embedding: Embedding, now: Moment, gallery: Gallery) -> int:
        """Hand an embedding to its visit; when it shows somebody else, the track is split.

        Returns the tracker's number of the visit that has it now.
        """
        visit = self._visits[item.number]
        if visit.add(embedding, item.quality, now):
            return item.number
        successor = self._tracker.split(item.number)
        self._end((item.number,), now.time_s, gallery)
        self._visit(successor, now, visit.track_id).add(embedding, item.quality, now)
        return successor

    def _end(self, numbers: Sequence[int], time_s: float, gallery: Gallery) -> None:
        for number in numbers:
            visit = self._visits.pop(number, None)
            if visit is None:  # begun in a frame that could not be worked to its end
                continue
            decision = visit.judge.close(gallery.index, gallery.allowed, time_s)
            self._announce(visit, decision, time_s)
            self._cool_down.close(visit.track_id, time_s)

    def _announce(self, visit: Visit, decision: Decision | None, time_s: float) -> None:
        if decision is None:
            return
        person_id = decision.person_id
        if person_id is not None and not self._cool_down.admit(visit.track_id, person_id, time_s):
            return
        duration_s = max(0.0, visit.last_seen.time_s - visit.started.time_s)
        self._verdicts.append(Verdict(visit.track_id, decision, visit.basis(decision), duration_s))

    def _take(self) -> tuple[Verdict, ...]:
        verdicts, self._verdicts = tuple(self._verdicts), []
        return verdicts
