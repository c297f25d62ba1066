"""The pipeline benchmark: a clip or the simulated camera, stage by stage, and the memory.

What is measured is the daemon's own pipeline, which tells the stage clock where it is; the daemon
adds threads, the outbox and MQTT around it.

Times of one machine mean little by themselves, so a yardstick runs beside the frames, a fixed piece
of image work on one thread, and the result is also given as its multiple.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import EndOfStreamError, EvaluationError
from edgeface.bench.memory import resident_now_mib
from edgeface.bench.stage_clock import MeteredInterpreter, StageClock
from edgeface.capture.source import FrameSource
from edgeface.evaluation.opener import DETECTOR, EMBEDDER, Opener
from edgeface.inference.detector import Detector
from edgeface.inference.embedder import Embedder
from edgeface.inference.runtimes import Interpreter
from edgeface.recognition.frame import Frame
from edgeface.recognition.idling import IdleRules
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.pipeline import FrameResult, Gallery, Pipeline, PipelineRules
from edgeface.recognition.templates import CodedRows

DECODE = "decode"
INVOKE = ("invoke detector", "invoke embedder", "invoke liveness")
YARDSTICK_EVERY = 5
"""Frames between two runs of the yardstick."""
WARM_UP = 100
"""Frames before the count starts."""
MEMORY_SAMPLES = 40
READ_TIMEOUT_S = 10.0


Process: TypeAlias = Callable[[Frame], FrameResult]
"""Takes one frame the whole way."""


@dataclass(frozen=True, slots=True)
class PipelineBench:
    """What `edgeface bench pipeline` prints. Milliseconds are processor time of one thread."""

    frames: int
    frame_size_px: tuple[int, int]
    frames_per_s: float
    """By the clock on the wall, decoding left out."""
    faces_per_s: float
    """The same, of faces that were looked at."""
    cpu_ms: float
    """Processor time of the whole process per frame, decoding and runtime threads included,
    yardstick not."""
    stage_ms: dict[str, float]
    """Mean milliseconds per frame of each stage."""
    stage_p50_ms: dict[str, float]
    """Of the frames in which the stage was."""
    stage_p99_ms: dict[str, float]
    other_ms: float
    """Mean milliseconds per frame of everything except decoding and model invocations."""
    other_median_ms: float
    other_share_of_cpu: float
    """Of the processor time of the whole process, decoder's threads included, yardstick not."""
    yardstick_ms: float
    """Median of the yardstick: a 5x5 Gaussian blur of a 1280x720 color picture."""
    other_in_yardsticks: float
    resident_start_mib: float
    """After the warm-up."""
    resident_peak_mib: float
    growth_mib: float
    """From the first to the last frame, by a line fitted through the samples."""
    growth_kib_per_1000_frames: float
    faces_per_frame: float
    embeddings_per_frame: float
    outcomes: dict[str, int]
    """How many decisions there were of each; these three with the warm-up."""


@dataclass(frozen=True, slots=True)
class IdleBench:
    """What rest saves where nobody comes. Milliseconds as above, without decoding."""

    frames: int
    awake_ms: float
    """Mean milliseconds per frame when faces are looked for in every frame."""
    idle_ms: float
    """The same of the same frames with `detection.idle_after_s` as it ships."""
    idle_share: float
    """The second in the first."""


class Yardstick:
    """A fixed piece of work to compare with."""

    def __init__(self) -> None:
        pixels = np.random.default_rng(1).integers(0, 256, (720, 1280, 3), np.uint8)
        self._picture, self._result = pixels, np.empty_like(pixels)

    def run(self) -> None:
        """Once."""
        cv2.GaussianBlur(self._picture, (5, 5), 0, dst=self._result)


@dataclass(slots=True)
class Tally:
    """What came of all frames."""

    frames: int = 0
    faces: int = 0
    embedded: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    def add(self, result: FrameResult) -> None:
        """One frame more."""
        self.frames += 1
        self.faces += len(result.sights)
        self.embedded += sum(sight.embedded for sight in result.sights)
        self.outcomes.update(decision.outcome for decision in result.decisions)


def metered_pipeline(
    clock: StageClock,
    people: int,
    detector: str = DETECTOR,
    embedder: str = EMBEDDER,
    idle: IdleRules | None = None,
    *,
    pad: bool = True,
    threads: int = 1,
) -> Process:
    """The pipeline as the daemon runs it, over a gallery of strangers, with a clock at each stage.
    Without `idle` it never rests, without `pad` no liveness is assessed; each model has so many
    `threads`.

    Raises ModelError, RuntimeMissingError, or EvaluationError for a reference detector.
    """
    opener = Opener(
        meter=lambda which, inner: cast(
            Interpreter, MeteredInterpreter(inner, clock, f"invoke {which}")
        ),
        threads=threads,
    )
    finds, embeds = opener.detector(detector), opener.embedder(embedder)
    if not isinstance(finds, Detector):
        raise EvaluationError("a benchmark measures a detector that ships, not a reference")
    rules = PipelineRules(idle=idle or IdleRules())
    pipeline = Pipeline(
        finds,
        embeds,
        embeds.package.calibration,
        rules,
        scorer=opener.liveness() if pad else None,
        stopwatch=clock.stage,
    )
    gallery = Gallery(strangers(people, embeds), np.ones(people, dtype=np.bool_))
    return lambda frame: pipeline.process(frame, gallery)


def strangers(people: int, embedder: Embedder, seed: int = 1) -> GalleryIndex:
    """A gallery of people who are nobody: random unit templates, one each, of the
    embedder's space."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(people, embedder.dimensions)).astype(np.float32)
    return index_of(rows, (None,) * people, embedder.space_id if people else "")


def index_of(
    rows: NDArray[np.float32], display_names: Sequence[str | None], space: str
) -> GalleryIndex:
    """A gallery of one template a person, float32 `(p, d)`, in memory alone."""
    people = len(rows)
    codes = np.rint(rows * (127 / np.abs(rows).max(axis=1, keepdims=True))).astype(np.int8)
    return GalleryIndex(
        matrix=CodedRows(codes),
        owners=np.arange(people, dtype=np.int32),
        people=tuple(f"p_bench{number}" for number in range(people)),
        display_names=tuple(display_names),
        valid_from_s=np.full(people, -np.inf),
        valid_to_s=np.full(people, np.inf),
        epoch=0,
        revision=1,
        space=space,
    )


def bench_pipeline(
    source: FrameSource,
    process: Process,
    clock: StageClock,
    frames: int,
    *,
    warm_up: int = WARM_UP,
    resident_mib: Callable[[], float] = resident_now_mib,
    each: Callable[[int], object] | None = None,
) -> PipelineBench:
    """Run `frames` frames after `warm_up` others; fewer when the source ends.

    OpenCV is kept to one thread meanwhile, as in the daemon. `each` is told how many are done.
    Raises EvaluationError if the source ends within the warm-up.
    """
    with _one_thread(), source:
        return _run(source, process, clock, frames, warm_up, resident_mib, each)


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV as the daemon has it."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


def bench_idle(
    source: FrameSource, awake: Process, idle: Process, frames: int, *, warm_up: int = WARM_UP
) -> IdleBench:
    """Give each of `frames` frames, after `warm_up` others, to a pipeline that never rests and to
    one that does. Raises EvaluationError if the source ends before."""
    spent_s = [0.0, 0.0]
    with _one_thread(), source:
        for number in range(warm_up + frames):
            try:
                frame = source.read(READ_TIMEOUT_S)
            except EndOfStreamError as error:
                raise EvaluationError(f"the source ended after {number} frames") from error
            for which, process in enumerate((awake, idle)):
                started_s = time.thread_time()
                process(frame)
                spent_s[which] += (time.thread_time() - started_s) * (number >= warm_up)
    awake_ms, idle_ms = (spent * 1e3 / frames for spent in spent_s)
    return IdleBench(frames, awake_ms, idle_ms, idle_ms / awake_ms)


def _run(
    source: FrameSource,
    process: Process,
    clock: StageClock,
    frames: int,
    warm_up: int,
    memory: Callable[[], float],
    each: Callable[[int], object] | None,
) -> PipelineBench:
    yardstick = Yardstick()
    tally = Tally()
    size_px = (0, 0)
    for _ in range(warm_up):
        frame = _next(source, clock)
        if frame is None:
            raise EvaluationError(f"the source ended within {warm_up} frames: too short to measure")
        tally.add(process(frame))
        clock.end_frame()
        yardstick.run()
        size_px = (frame.image.shape[1], frame.image.shape[0])
    clock.forget()
    every = max(1, frames // MEMORY_SAMPLES)
    resident = [memory()]
    beside_ms: list[float] = []
    beside_cpu_s = 0.0
    busy_s = wall_s = 0.0
    cpu_start_s = time.process_time()
    for done in range(1, frames + 1):
        frame = _next(source, clock)
        if frame is None:
            break
        size_px = (frame.image.shape[1], frame.image.shape[0])
        started_s, from_s = clock.now_s(), time.perf_counter()
        result = process(frame)
        busy_s += clock.now_s() - started_s
        wall_s += time.perf_counter() - from_s
        clock.end_frame()
        tally.add(result)
        if done % every == 0:
            resident.append(memory())
        if done % YARDSTICK_EVERY == 0:
            cpu_s, started_s = time.process_time(), clock.now_s()
            yardstick.run()
            beside_ms.append((clock.now_s() - started_s) * 1e3)
            beside_cpu_s += time.process_time() - cpu_s
        if each is not None:
            each(done)
    cpu_s = time.process_time() - cpu_start_s - beside_cpu_s
    if clock.frames < YARDSTICK_EVERY:
        raise EvaluationError(f"the source gave {clock.frames} frames: too few to measure")
    if len(resident) < 2:  # the source ended before the first sample was due
        resident.append(memory())
    spent = _Spent(busy_s, wall_s, cpu_s)
    return _summary(clock, tally, size_px, spent, float(np.median(beside_ms)), resident)


@dataclass(frozen=True, slots=True)
class _Spent:
    """In all frames: by the thread in the pipeline, by the clock on the wall, by the process."""

    busy_s: float
    wall_s: float
    cpu_s: float


def _quantile(clock: StageClock, names: list[str], percent: float) -> dict[str, float]:
    """Of each stage, over the frames in which it was."""
    found = {}
    for name in names:
        times = clock.per_frame_ms(name)
        found[name] = float(np.percentile(times[times > 0], percent)) if times.any() else 0.0
    return found


def _next(source: FrameSource, clock: StageClock) -> Frame | None:
    try:
        with clock.stage(DECODE):
            return source.read(READ_TIMEOUT_S)
    except EndOfStreamError:
        return None


def _summary(
    clock: StageClock,
    tally: Tally,
    size_px: tuple[int, int],
    spent: _Spent,
    yardstick_ms: float,
    resident: list[float],
) -> PipelineBench:
    count = clock.frames
    names = clock.names()
    rest = [name for name in names if name != DECODE and name not in INVOKE]
    invoked_ms = float(clock.per_frame_ms(*INVOKE).mean())
    # All of `process` counts, also what no stage is around.
    other_ms = spent.busy_s * 1e3 / count - invoked_ms
    # A line through all samples: a decoder that is opened anew now and then makes them jump.
    at = np.linspace(0, count, len(resident))
    mib_per_frame, start_mib = (float(value) for value in np.polyfit(at, resident, 1))
    return PipelineBench(
        frames=count,
        frame_size_px=size_px,
        frames_per_s=count / spent.wall_s,
        faces_per_s=tally.faces / tally.frames * count / spent.wall_s,
        cpu_ms=spent.cpu_s * 1e3 / count,
        stage_ms={name: float(clock.per_frame_ms(name).mean()) for name in names},
        stage_p50_ms=_quantile(clock, names, 50),
        stage_p99_ms=_quantile(clock, names, 99),
        other_ms=other_ms,
        other_median_ms=float(np.median(clock.per_frame_ms(*rest))),
        other_share_of_cpu=(
            min(1.0, other_ms * count / 1e3 / spent.cpu_s) if spent.cpu_s > 0 else 0.0
        ),
        yardstick_ms=yardstick_ms,
        other_in_yardsticks=other_ms / yardstick_ms,
        resident_start_mib=start_mib,
        resident_peak_mib=max(resident),
        growth_mib=mib_per_frame * count,
        growth_kib_per_1000_frames=mib_per_frame * 1024 * 1000,
        faces_per_frame=tally.faces / tally.frames,
        embeddings_per_frame=tally.embedded / tally.frames,
        outcomes=dict(tally.outcomes),
    )
