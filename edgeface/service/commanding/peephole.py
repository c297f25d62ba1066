"""The one place from which a command looks through the camera.

The thread of the models shows every frame, with what recognition made of it, to the examination
that stands here. Recognition itself goes on as if nobody asked, but that who is refused as an
attack here is so there as well, and the other way round. Only frames captured after the receipt of
the request are shown.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from edgeface.base.clock import NS
from edgeface.recognition.assessment import Assessment, AssessmentRules
from edgeface.recognition.frame import Frame, Moment
from edgeface.recognition.pad_backoff import PadBackoff
from edgeface.recognition.pipeline import FrameResult, Gallery, PipelineRules, Sight
from edgeface.recognition.thresholds import Calibration
from edgeface.recognition.values import FaceEmbedder, LivenessScorer
from edgeface.service.commanding.admission import Outcome, Request, refusing
from edgeface.service.sightings import Circumstances

_log = logging.getLogger(__name__)

BYSTANDER_GATES: Final = frozenset({"too_small", "uncertain"})
"""A face that these gates refuse is too far away to stand at the door."""
HASTE_S: Final = 0.3
"""An examination ends so long before its answer is due, or earlier with few frames a second: there
has to be a frame to end it on."""
_FRAMES_OF_HASTE: Final = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """One frame, and what recognition made of it."""

    frame: Frame
    result: FrameResult
    embedder: FaceEmbedder
    rules: PipelineRules
    scorer: LivenessScorer | None

    @property
    def moment(self) -> Moment:
        """What is left of the frame."""
        frame = self.frame
        return Moment(frame.captured_at, frame.boottime_ns, len(self.result.sights))

    @property
    def sights(self) -> tuple[Sight, ...]:
        """The faces at the door: those far away are left out."""
        return tuple(
            sight
            for sight in self.result.sights
            if sight.quality is not None and sight.gate not in BYSTANDER_GATES
        )


@dataclass(frozen=True, slots=True, eq=False)
class Glance(View):
    """A view, and everything needed to answer a command by it. Not kept after `see`."""

    gallery: Gallery
    calibration: Calibration
    now: Circumstances
    verify_fmr: float
    pad: AssessmentRules
    """Of what is answered."""
    backoff: PadBackoff
    """The pipeline's."""

    def assessment(self) -> Assessment | None:
        """Of a face that has just come; None where liveness is not assessed. Raises ValueError
        where that is so though who is not assessed is refused."""
        self.pad.require(self.scorer)
        return None if self.scorer is None else Assessment(self.pad, self.scorer.threshold)


class Examination(Protocol):
    """A command that looks. `see` is called by the thread of the models alone."""

    request: Request

    def see(self, glance: Glance, *, last: bool) -> Outcome | None:
        """Take a frame; the outcome when it is known. It has to be on the `last` one: the time is
        over."""


class Peephole:
    """At most one examination at a time. `begin` and `check` are called by the commands' thread,
    `look` by that of the models; neither waits for the other."""

    def __init__(self, finish: Callable[[Request, Outcome], None]) -> None:
        """`finish` takes the outcome; it is called from either thread and must only enqueue."""
        self._finish = finish
        self._lock = threading.Lock()
        self.now: tuple[Examination, int] | None = None
        """The examination that stands here, and when its answer is due (CLOCK_BOOTTIME)."""
        self._looked_ns: int | None = None

    def begin(self, examination: Examination, timeout_s: float) -> bool:
        """Let an examination look for `timeout_s` from the receipt of its request; False: another
        one is looking."""
        due_ns = examination.request.received_boottime_ns + round(timeout_s * NS)
        with self._lock:
            if self.now is not None:
                return False
            self.now = (examination, due_ns)
        return True

    def look(self, glance: Callable[[], Glance], frame: Frame, now_ns: int) -> None:
        """Show a frame; `glance()` is only called when somebody looks."""
        before_ns, self._looked_ns = self._looked_ns, now_ns
        interval_ns = 0 if before_ns is None else now_ns - before_ns
        now = self.now
        if now is None or frame.boottime_ns <= now[0].request.received_boottime_ns:
            return
        examination, due_ns = now
        haste_ns = max(round(HASTE_S * NS), round(_FRAMES_OF_HASTE * interval_ns))
        last = now_ns >= due_ns - haste_ns
        try:
            outcome = examination.see(glance(), last=last)
        except Exception:  # noqa: BLE001 - a command must not end recognition
            _log.exception("the command %s failed", examination.request.verb)
            outcome = refusing("internal", "the examination failed; see the device's log")
        if outcome is not None and self._take(now):
            self._finish(examination.request, outcome)

    def check(self, now_ns: int) -> None:
        """End an examination whose answer is due: no frame has come that could have ended it."""
        now = self.now
        if now is not None and now_ns >= now[1] and self._take(now):
            outcome = refusing(
                "no_frames", "the camera or the models deliver nothing at the moment"
            )
            self._finish(now[0].request, outcome)

    def _take(self, now: tuple[Examination, int]) -> bool:
        """Whoever ends it first."""
        with self._lock:
            if self.now is not now:
                return False
            self.now = None
        return True
