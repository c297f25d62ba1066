"""From a frame to decisions: detector, tracker, quality gate, aligner, embedder, judges.

It has no clock, no thread and no I/O: time is that of the frames, the gallery is handed in with
every frame. The thread that owns the models owns the pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.alignment import align
from edgeface.recognition.assessment import Assessment, AssessmentRules, try_scores
from edgeface.recognition.cool_down import CoolDown
from edgeface.recognition.crops import Crop
from edgeface.recognition.decision import Decision, DecisionRules
from edgeface.recognition.far import FarSearch
from edgeface.recognition.frame import Frame, Moment
from edgeface.recognition.idling import Governor, IdleRules
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.judge import Judge
from edgeface.recognition.liveness import Source
from edgeface.recognition.pad_backoff import PadBackoff
from edgeface.recognition.quality import Quality, QualityLimits, assess, refusal
from edgeface.recognition.second_look import look, look_again
from edgeface.recognition.thresholds import Calibration
from edgeface.recognition.tracking import Tracker, TrackerRules
from edgeface.recognition.values import (
    Embedding,
    Face,
    FaceDetector,
    FaceEmbedder,
    Image,
    LivenessScorer,
)

NOT_A_FACE: Final = "not_a_face"
"""The gate of a detection whose landmarks fit no face at all."""

STAGES: Final = (
    "motion",
    "detect",
    "track",
    "look again",
    "align",
    "quality",
    "embed",
    "liveness",
    "decide",
)
"""Every name that a stopwatch is given."""

Stopwatch: TypeAlias = Callable[[str], AbstractContextManager[None]]
"""Times the block for a stage, one of `STAGES`."""
_NO_STOPWATCH: Final = nullcontext()


@dataclass(frozen=True, slots=True)
class PipelineRules:
    """Everything that is not learned."""

    tracker: TrackerRules = field(default_factory=TrackerRules)
    limits: QualityLimits = field(default_factory=QualityLimits)
    decision: DecisionRules = field(default_factory=DecisionRules)
    idle: IdleRules = field(default_factory=IdleRules)
    assessment: AssessmentRules = field(default_factory=AssessmentRules)


@dataclass(frozen=True, slots=True, eq=False)
class Gallery:
    """Who may be recognized at the moment of a frame."""

    index: GalleryIndex
    allowed: NDArray[np.bool_]
    """`(p,)`, see `GalleryIndex.allowed`."""


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """One face of a frame."""

    track_id: int
    face: Face
    quality: Quality | None
    """None for what could not be aligned."""
    gate: str | None
    """The gate that refused it; None for a good crop."""
    embedding: Embedding | None
    """None where it would have changed nothing."""
    liveness: float | None = None
    """The scorer's, of what was embedded; None where it has failed."""
    accusing: tuple[Source, ...] = ()
    """What calls its track an attack by now."""

    @property
    def embedded(self) -> bool:
        """Whether the models were asked for an embedding."""
        return self.embedding is not None


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What one frame gave."""

    sights: tuple[Sight, ...]
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Measured:
    """A face that the gate has looked at."""

    number: int
    """The tracker's."""
    face: Face
    quality: Quality | None
    gate: str | None
    crop: Image | None = None
    """What is to be embedded; None where that would change nothing."""


class Pipeline:
    """Decides about tracks. Not thread-safe."""

    def __init__(
        self,
        detector: FaceDetector,
        embedder: FaceEmbedder,
        calibration: Calibration,
        rules: PipelineRules,
        *,
        scorer: LivenessScorer | None = None,
        first_track_id: int = 1,
        stopwatch: Stopwatch = lambda _: _NO_STOPWATCH,
    ) -> None:
        """`scorer`: without one no liveness is assessed. `first_track_id`: a new pipeline goes on
        counting where the one before it stopped. Raises ValueError where the rules refuse who is
        not assessed and there is no scorer."""
        rules.assessment.require(scorer)
        self._detector = detector
        self._embedder = embedder
        self._scorer = scorer
        self._calibration = calibration
        self._rules = rules
        self._stage = stopwatch
        self._tracker = Tracker(rules.tracker)
        self._far = FarSearch()
        self._governor = Governor(rules.idle)
        self._cool_down = CoolDown(rules.decision.cool_down_s)
        self._judges: dict[int, Judge] = {}
        self._looks_before = 0
        """Taken by judges that have ended."""
        self._decisions: list[Decision] = []
        self._offset = first_track_id - 1
        self.next_track_id = first_track_id
        """The id that no track has had yet."""
        self.backoff = PadBackoff(rules.assessment.back_off_s)
        """Who was refused as an attack, here or by whoever looks at the same frames."""
        self.scorer_trouble: str | None = None
        """Why the scorer has given nothing the last time; None when it has."""

    @property
    def idle(self) -> bool:
        """No track is active."""
        return not self._judges

    @property
    def resting(self) -> bool:
        """Nobody is there and nothing moves: faces are looked for now and then only."""
        return self._governor.idle

    @property
    def frame_interval_s(self) -> float | None:
        """The usual time from frame to frame; None until it is known."""
        return self._tracker.interval_s

    @property
    def held_back(self) -> int:
        """Names that the cool-down kept from being announced twice."""
        return self._cool_down.held_back

    @property
    def looks(self) -> int:
        """Looks that judges have taken."""
        return self._looks_before + sum(judge.looks for judge in self._judges.values())

    def use(
        self, detector: FaceDetector, embedder: FaceEmbedder, scorer: LivenessScorer | None = None
    ) -> None:
        """Go on with the same models on another accelerator; tracks are kept. Raises ValueError as
        a new one does."""
        self._rules.assessment.require(scorer)
        self._detector, self._embedder, self._scorer = detector, embedder, scorer

    def process(self, frame: Frame, gallery: Gallery, *, awake: bool = False) -> FrameResult:
        """Take the next frame; if `awake`, faces are looked for although nobody seems to be there.

        Raises what detector and embedder raise; no decision is lost by that, the next call returns
        it. A scorer that fails ends nothing: see `scorer_trouble`.
        """
        small = frame.image if frame.detect_image is None else frame.detect_image
        with self._stage("motion"):
            busy = awake or not self.idle
            wanted = self._governor.wants(small, frame.boottime_ns / 1e9, busy=busy)
        faces: list[Face] = []
        if wanted:
            with self._stage("detect"):
                faces = look(self._detector, frame.image, small, frame.detect_scale)
                expected = self._tracker.expected(frame.boottime_ns / 1e9)
                faces = self._far.look(self._detector, frame.image, faces, expected)
        now = Moment(frame.captured_at, frame.boottime_ns, len(faces))
        with self._stage("track"):
            update = self._tracker.update(faces, now.time_s)
        if update.ended:
            with self._stage("decide"):
                self._end(update.ended, now.time_s, gallery)
        measured = [self._measure(frame.image, number, face, now) for number, face in update.active]
        taken: dict[int, tuple[int, Crop]] = {}
        due = [(item, item.crop) for item in measured if item.crop is not None]
        if due:
            with self._stage("embed"):
                embeddings = self._embedder.embed([crop for _, crop in due])
            scores = self._score(frame.image, [item.face for item, _ in due])
            with self._stage("decide"):
                for (item, _), embedding, score in zip(due, embeddings, scores, strict=True):
                    assert item.quality is not None
                    crop = Crop(embedding, item.quality, now, score)
                    taken[item.number] = self._give(item.number, crop, gallery), crop
        with self._stage("decide"):
            for judge in [judge for judge in self._judges.values() if judge.last_seen is now]:
                decision = judge.look(gallery.index, gallery.allowed, now.time_s)
                self._announce(decision, now.time_s)
        sights = []
        for item in measured:
            number, kept = taken.get(item.number, (item.number, None))
            judge = self._judges[number]
            sight = Sight(judge.track_id, item.face, item.quality, item.gate, None)
            if kept is not None:
                sight = replace(sight, embedding=kept.embedding, liveness=kept.liveness)
            sights.append(replace(sight, accusing=judge.accusing))
        return FrameResult(tuple(sights), self._take())

    def pause(self, time_s: float, gallery: Gallery) -> tuple[Decision, ...]:
        """No frame has come that was captured up to `time_s`; one that was captured later may still
        be on its way. Ends the tracks that were not seen for too long."""
        self._end(self._tracker.expire(time_s), time_s, gallery)
        return self._take()

    def flush(self, time_s: float, gallery: Gallery) -> tuple[Decision, ...]:
        """End every track."""
        self._end(self._tracker.flush(), time_s, gallery)
        return self._take()

    def _judge(self, number: int, now: Moment, split_from: int | None = None) -> Judge:
        """The judge of a tracker's number, appointed if it is new."""
        judge = self._judges.get(number)
        if judge is None:
            track_id = self._offset + number
            self.next_track_id = max(self.next_track_id, track_id + 1)
            judge = Judge(
                track_id,
                self._rules.decision,
                self._calibration,
                now,
                self._assessment(),
                self.backoff,
            )
            self._judges[number] = judge
            self._cool_down.open(track_id, now.time_s, split_from)
        return judge

    def _assessment(self) -> Assessment | None:
        if self._scorer is None:
            return None
        return Assessment(self._rules.assessment, self._scorer.threshold)

    def _score(self, image: Image, faces: Sequence[Face]) -> Sequence[float | None]:
        """Of the liveness of each face; None without a scorer, and where it has failed."""
        if self._scorer is None:
            return [None] * len(faces)
        with self._stage("liveness"):
            scores, self.scorer_trouble = try_scores(self._scorer, image, faces)
        return scores

    def _measure(self, image: Image, number: int, face: Face, now: Moment) -> _Measured:
        """Look closely at a face, cut it out and put it to the gate."""
        judge = self._judge(number, now)
        judge.last_seen = now
        with self._stage("look again"):
            face = look_again(self._detector, image, face)
        try:
            with self._stage("align"):
                crop = align(image, face.landmarks)
        except ValueError:
            judge.refuse(NOT_A_FACE)
            return _Measured(number, face, None, NOT_A_FACE)
        with self._stage("quality"):
            quality = assess(face, crop, (image.shape[1], image.shape[0]))
            gate = refusal(quality, self._rules.limits)
        if gate is not None:
            judge.refuse(gate, quality)
            return _Measured(number, face, quality, gate)
        if self._scorer is not None:
            with self._stage("liveness"):
                judge.observe(image, face, now.time_s)
        if not judge.wants(quality, now.time_s):
            return _Measured(number, face, quality, gate)
        with self._stage("align"):
            crop = align(image, face.landmarks, self._embedder.alignment)
        return _Measured(number, face, quality, gate, crop)

    def _give(self, number: int, crop: Crop, gallery: Gallery) -> int:
        """Hand a crop to its judge; when it shows somebody else, the track is split.

        Returns the tracker's number of the track that has it now.
        """
        judge = self._judges[number]
        if judge.add(crop):
            return number
        successor = self._tracker.split(number)
        self._end((number,), crop.at.time_s, gallery)
        self._judge(successor, crop.at, judge.track_id).add(crop)
        return successor

    def _end(self, numbers: Sequence[int], time_s: float, gallery: Gallery) -> None:
        for number in numbers:
            judge = self._judges.pop(number, None)
            if judge is None:  # begun in a frame that could not be worked to its end
                continue
            self._announce(judge.close(gallery.index, gallery.allowed, time_s), time_s)
            self._looks_before += judge.looks
            self._cool_down.close(judge.track_id, time_s)

    def _announce(self, decision: Decision | None, time_s: float) -> None:
        if decision is None:
            return
        person_id = decision.person_id
        if person_id is None or self._cool_down.admit(decision.track_id, person_id, time_s):
            self._decisions.append(decision)

    def _take(self) -> tuple[Decision, ...]:
        decisions, self._decisions = tuple(self._decisions), []
        return decisions
