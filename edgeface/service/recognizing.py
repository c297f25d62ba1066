"""The inference worker: owns both interpreters, turns frames into decisions for the outbox."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from edgeface.base.clock import NS, utc_now
from edgeface.base.errors import ClosedError, FrameTimeoutError, ModelError, RuntimeMissingError
from edgeface.capture.slot import LatestSlot
from edgeface.contract.event import Sighting
from edgeface.recognition.assessment import AssessmentRules
from edgeface.recognition.decision import Decision, DecisionRules
from edgeface.recognition.frame import Frame
from edgeface.recognition.idling import IdleRules
from edgeface.recognition.liveness import Policy
from edgeface.recognition.pipeline import FrameResult, Gallery, Pipeline, PipelineRules
from edgeface.recognition.quality import QualityLimits
from edgeface.recognition.tracking import TrackerRules
from edgeface.service.board import Board, ModelFacts, TpuOrder
from edgeface.service.checked_models import WRONG_ANSWERS, Models, open_checked
from edgeface.service.commanding.peephole import Glance, Peephole
from edgeface.service.meters import FrameWatch
from edgeface.service.sightings import Circumstances, log_line, sighting
from edgeface.service.supervisor import fatal
from edgeface.service.time_floor import TimeFloor
from edgeface.service.watching import CameraWatch
from edgeface.service.worker import Pulse
from edgeface.settings.recognition import PadSettings
from edgeface.settings.tree import Settings

DEADLINE_S: Final = 10.0
"""A frame takes a fraction of it on the CPU; what has not returned by now never will."""
HANGS: Final = 2.0
"""On an accelerator it is so many times the deadline of one invocation."""
LOAD_S: Final = 120.0
"""Probing an accelerator may take 30 s with each runtime."""
WAIT_S: Final = 0.25
SYNCED_EVERY_S: Final = 1.0
LATENESS_FRAMES: Final = 8
MOST_LATE_S: Final = 2.0
"""How late the next frame may come is taken from so many before it, and is not more than this: some
cameras hand out old frames after they were held up."""
GOLDEN_OVERDUE: Final = 2.0
"""The golden test waits for a moment with nobody there, but not beyond so many of its intervals: a
poster is a face that never goes away, and the test costs one frame."""
REGAIN_S: Final = 300.0
"""The same of an accelerator that is back; taking it costs seconds."""
ANEW_S: Final = 60.0
"""An accelerator that fails so soon after it was opened is not opened anew once more."""

_log = logging.getLogger(__name__)

Observer: TypeAlias = Callable[[Frame, FrameResult], None]
"""Looks on: called with every frame and what it gave; it must neither wait nor raise."""


def rules_of(settings: Settings) -> PipelineRules:
    """The settings as the core's rules."""
    decision = settings.decision.model_dump(exclude={"verify_fmr", "validity_s"})
    return PipelineRules(
        tracker=TrackerRules(**settings.tracking.model_dump()),
        limits=QualityLimits(**settings.quality.model_dump()),
        decision=DecisionRules(**decision),
        idle=IdleRules(settings.detection.idle_after_s),
        assessment=assessment_rules(settings.pad, settings.pad.event),
    )


def assessment_rules(pad: PadSettings, policy: Policy) -> AssessmentRules:
    """Those of events or of answers."""
    return AssessmentRules(policy, pad.wait_s, pad.back_off_s)


def give_up_stuck(board: Board) -> bool:
    """The recognizer hangs: whether a new one can go on, which is so on an accelerator, once.

    The new one uses the CPU; what the old one still says, should it wake up, is not listened to.
    Until then it holds the accelerator, so that after a second time only a new process helps.
    """
    facts = board.models
    if facts is not None:
        accelerated = facts.accelerator.in_use != "cpu"
    else:
        accelerated = set(board.settings.models.accelerators) != {"cpu"}
    if board.lost is not None or board.by_main.turn or not accelerated:
        return False
    board.by_main.turn += 1
    board.by_main.order = TpuOrder(
        "a call to the accelerator does not return, and holds it until it does or the daemon is "
        "restarted"
    )
    return True


class Recognizer:
    """One run of the worker: its models and its tracks. `run` is called once, in its thread."""

    def __init__(
        self,
        board: Board,
        slot: LatestSlot[Frame],
        append: Callable[[Sighting], None],
        floor: TimeFloor,
        *,
        open_models: Callable[[Settings, str | None], Models] = open_checked,
        observe: Observer | None = None,
        peephole: Peephole | None = None,
    ) -> None:
        """`append` takes the decisions, in order; at `peephole` commands look at the frames;
        `open_models` is as `open_checked`."""
        self._turn = board.by_main.turn
        self._order = board.by_main.order
        self._board = board
        self._settings = board.settings
        self._rules = rules_of(board.settings)
        self._slot = slot
        self._append = append
        self._clock = floor.clock
        self._floor = floor
        self._open_models = open_models
        self._observe = observe
        self._peephole = peephole
        self._space = ""
        self._counted = {"names_held_back": 0, "looks": 0}
        """How much of what the pipeline counts the meters have."""
        self._stages = FrameWatch()
        self._synced = False
        self._synced_at_ns: int | None = None
        self._golden_ns = self._opened_ns = self._clock.monotonic_ns()
        self._late_s: deque[float] = deque(maxlen=LATENESS_FRAMES)
        """How old the last frames were when they came."""
        self._watch = CameraWatch(board)
        self._back_ns: int | None = None
        """Since when an accelerator that is back waits to be taken."""

    def run(self, pulse: Pulse) -> None:
        """Open the models, recognize until told to stop or the slot is closed, end every track.

        The first time models that cannot be used end the process (FatalError).
        """
        with fatal(ModelError, RuntimeMissingError, when=self._board.models is None):
            models = self._open(pulse, self._board.lost)
        pipeline = Pipeline(
            models.detector,
            models.embedder,
            models.calibration,
            self._rules,
            scorer=models.liveness,
            first_track_id=self._board.by_recognizer.first_track_id,
            stopwatch=self._stages.stage,
        )
        try:
            while not pulse.stop.is_set():
                pulse.beat()
                gallery = self._gallery()
                if gallery is None:
                    pulse.stop.wait(WAIT_S)
                    continue
                healthy = self._step(pipeline, models, gallery, pulse)
                if healthy is not models:
                    models = healthy
                    pipeline.use(models.detector, models.embedder, models.liveness)
        except ClosedError:
            _log.info("the source has played to its end")
        finally:
            gallery = self._gallery()
            if gallery is not None:
                self._stages.restart()
                self._say(pipeline.flush(self._now_s(), gallery), gallery, models)
            models.close()

    def _step(self, pipeline: Pipeline, models: Models, gallery: Gallery, pulse: Pulse) -> Models:
        """One frame, or one wait without a frame; the models for the next one."""
        try:
            frame = self._slot.get(WAIT_S)
        except FrameTimeoutError:
            time_s = self._now_s() - max(self._late_s, default=0.0)
            self._stages.restart()
            self._say(pipeline.pause(time_s, gallery), gallery, models)
        else:
            late_s = self._now_s() - frame.boottime_ns / NS
            self._late_s.append(min(late_s, MOST_LATE_S))
            self._stages.restart(late_s)
            if self._is_current and self._watch.is_frozen(frame):
                self._say(pipeline.pause(frame.boottime_ns / NS, gallery), gallery, models)
                return self._between_frames(models, pulse, idle=pipeline.idle)
            try:
                result = self._process(pipeline, frame, gallery)
            except ModelError as error:
                return self._anew(models, str(error), pulse)
            if not self._is_current:
                return models
            if self._observe is not None:
                self._observe(frame, result)
            self._say(result.decisions, gallery, models)
            self._show(pipeline, frame, result, gallery, models)
            latency_ms = (self._clock.boottime_ns() - frame.boottime_ns) / 1e6
            sights = result.sights
            self._board.meters.frame(
                latency_ms,
                len(sights),
                sum(sight.embedded for sight in sights),
                gates=(sight.gate for sight in sights if sight.gate is not None),
                spent_s=self._stages.spent_s,
            )
            self._board.by_recognizer.frame_interval_s = pipeline.frame_interval_s
            self._board.by_recognizer.idle = pipeline.resting
            self._tell_liveness(models, pipeline.scorer_trouble)
            try:
                self._watch.look(frame, result, models.detector, resting=pipeline.resting)
            except ModelError as error:
                return self._anew(models, str(error), pulse)
        return self._between_frames(models, pulse, idle=pipeline.idle)

    def _process(self, pipeline: Pipeline, frame: Frame, gallery: Gallery) -> FrameResult:
        try:
            asked = self._peephole is not None and self._peephole.now is not None
            return pipeline.process(frame, gallery, awake=asked)
        finally:
            # Also of a frame that failed: the tracks begun in it get their last word at the end.
            if self._is_current:
                self._board.by_recognizer.first_track_id = pipeline.next_track_id
                for name, total in (
                    ("names_held_back", pipeline.held_back),
                    ("looks", pipeline.looks),
                ):
                    before, self._counted[name] = self._counted[name], total
                    self._board.meters.count(name, total - before)

    def _tell_liveness(self, models: Models, failure: str | None) -> None:
        """Whether it is assessed; `failure` is that of the last try."""
        trouble, post = models.liveness_trouble or failure, self._board.by_recognizer
        if trouble not in (post.liveness_trouble, models.unusable, None):
            _log.warning("liveness is not assessed: %s", trouble)
        post.liveness_trouble = trouble

    def _between_frames(self, models: Models, pulse: Pulse, *, idle: bool) -> Models:
        """What is done while nobody is at the door, or is put off no longer: take the accelerator
        back, run the golden test."""
        now_ns = self._clock.monotonic_ns()
        found = self._board.by_watcher.found
        if found == self._board.by_recognizer.regained:
            self._back_ns = None
        elif self._back_ns is None:
            self._back_ns = now_ns
        if self._back_ns is not None and (idle or now_ns - self._back_ns >= REGAIN_S * NS):
            self._board.by_recognizer.regained = found
            models.close()
            models = self._open(pulse, None)
        every_s = self._settings.models.golden_every_s * (1.0 if idle else GOLDEN_OVERDUE)
        if now_ns - self._golden_ns < every_s * NS:
            return models
        self._golden_ns = now_ns
        try:
            models.check()
        except ModelError as error:
            return self._on_cpu(models, f"{WRONG_ANSWERS}: {error}", pulse)
        _log.debug("the golden test passed")
        return models

    def _anew(self, models: Models, why: str, pulse: Pulse) -> Models:
        """Models for the next frame after an accelerator failed or was late: on it, opened anew,
        or on the CPU where that does not help or was tried a moment ago. Raises ModelError when it
        was the CPU."""
        soon = self._clock.monotonic_ns() - self._opened_ns < ANEW_S * NS
        if soon or models.accelerator.in_use == "cpu":
            return self._on_cpu(models, why, pulse)
        _log.warning("the accelerator is opened anew: %s", why)
        if self._is_current:  # it takes seconds, and long where the accelerator hangs
            self._board.by_recognizer.reopening = why
        models.close()
        return self._open(pulse, None, failed=why)

    def _on_cpu(self, models: Models, why: str, pulse: Pulse) -> Models:
        """Models on the CPU after an accelerator failed. Raises ModelError when it was the CPU."""
        if models.accelerator.in_use == "cpu":
            raise ModelError(why)
        _log.error("the accelerator is given up: %s", why)
        models.close()
        return self._open(pulse, why)

    def _open(self, pulse: Pulse, lost: str | None, *, failed: str | None = None) -> Models:
        """Open the models, without an accelerator that was `lost`; `failed` is why this is done."""
        with pulse.patience(LOAD_S):
            models = self._missing(self._open_models(self._settings, lost), failed)
        if self._space and models.embedder.space_id != self._space:
            # The tracks and the thresholds are those of the model before.
            raise ModelError(
                f"{self._settings.models.embedder}: was replaced by another model while it was in "
                "use; recognition begins anew with that"
            )
        self._space = models.embedder.space_id
        on_cpu = models.accelerator.in_use == "cpu"
        pulse.limit(DEADLINE_S if on_cpu else HANGS * self._settings.models.invoke_deadline_s)
        self._golden_ns = self._opened_ns = self._clock.monotonic_ns()
        if self._is_current:
            self._board.by_recognizer.reopening = None
            self._board.by_recognizer.had_tpu |= models.accelerator.in_use != "cpu"
            self._board.by_recognizer.models = ModelFacts(
                models.detector.package,
                models.embedder.package,
                models.calibration,
                models.accelerator,
                None if models.liveness is None else models.liveness.package,
                self._order,
            )
        return models

    def _missing(self, models: Models, failed: str | None) -> Models:
        """An accelerator that has worked and is gone is a loss, also where `auto` would do without
        one; what `failed` before is told."""
        state = models.accelerator
        if not (self._board.by_recognizer.had_tpu and state.possible and state.in_use == "cpu"):
            return models
        reason = f"{failed}; opened anew: {state.reason}" if failed else state.reason
        return replace(models, accelerator=replace(state, degraded=True, reason=reason))

    @property
    def _is_current(self) -> bool:
        return self._board.by_main.turn == self._turn

    def _gallery(self) -> Gallery | None:
        index = self._board.gallery
        # Another embedder has come by a reload: its index follows within a second.
        if index is None or index.space != self._space:
            return None
        unsynced = self._board.settings.gallery.unsynced_clock
        return Gallery(index, index.allowed(self._floor.now_s(), self._clock_synced(), unsynced))

    def _clock_synced(self) -> bool:
        now_ns = self._clock.monotonic_ns()
        at_ns = self._synced_at_ns
        if at_ns is None or now_ns - at_ns >= SYNCED_EVERY_S * NS:
            self._synced, self._synced_at_ns = self._clock.synced(), now_ns
        return self._synced

    def _now_s(self) -> float:
        return self._clock.boottime_ns() / NS

    def _show(
        self,
        pipeline: Pipeline,
        frame: Frame,
        result: FrameResult,
        gallery: Gallery,
        models: Models,
    ) -> None:
        """Let a command look at the frame, if there is one that looks."""
        if self._peephole is None or not self._is_current:
            return

        def glance() -> Glance:
            return Glance(
                frame,
                result,
                models.embedder,
                self._rules,
                models.liveness,
                gallery,
                models.calibration,
                self._now(models),
                self._settings.decision.verify_fmr,
                assessment_rules(self._settings.pad, self._settings.pad.verify),
                pipeline.backoff,
            )

        self._peephole.look(glance, frame, self._clock.boottime_ns())

    def _now(self, models: Models) -> Circumstances:
        return Circumstances(
            models=models.used,
            accelerator=models.accelerator.in_use,
            validity_s=self._settings.decision.validity_s,
            boottime_ns=self._clock.boottime_ns(),
            decided_at=utc_now(self._clock),
            clock_synced=self._clock_synced(),
        )

    def _say(self, decisions: Sequence[Decision], gallery: Gallery, models: Models) -> None:
        if not decisions or not self._is_current:
            return
        now = self._now(models)
        for decision in decisions:
            found = sighting(decision, gallery, now)
            self._append(found)
            self._board.meters.decision(found.event_type, found.latency_ms)
            _log.info("decision", extra=log_line(found, decision, self._stages.spent_s))
