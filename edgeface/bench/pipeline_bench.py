"""The pipeline benchmark: a clip or the simulated camera, stage by stage, and the memory.

Times of one machine mean little by themselves, so a yardstick runs beside the frames, a fixed piece
of image work on one thread, and the result is also given as its multiple.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from edgeface.base.errors import EndOfStreamError, EvaluationError
from edgeface.bench.stage_clock import StageClock
from edgeface.capture.source import FrameSource
from edgeface.recognition.frame import Frame

DECODE = "decode"
INVOKE = ("invoke detector", "invoke embedder")
YARDSTICK_EVERY = 5
"""Frames between two runs of the yardstick."""
WARM_UP = 100
"""Frames before the count starts."""
MEMORY_SAMPLES = 40
READ_TIMEOUT_S = 10.0


class Pipeline(Protocol):
    """What a frame is given to."""

    def process(self, frame: Frame) -> None:
        """Take one frame the whole way."""


@dataclass(frozen=True, slots=True)
class PipelineBench:
    """What `edgeface bench pipeline` prints. Milliseconds are processor time of one thread."""

    frames: int
    frame_size_px: tuple[int, int]
    stage_ms: dict[str, float]
    """Mean milliseconds per frame of each stage."""
    other_ms: float
    """Mean milliseconds per frame of everything except decoding and model invocations."""
    other_median_ms: float
    other_share_of_cpu: float
    """Of the processor time of the whole process, decoder's threads included, yardstick not."""
    yardstick_ms: float
    """Median of the yardstick: a 5x5 Gaussian blur of a 1280x720 colour picture."""
    other_in_yardsticks: float
    resident_start_mib: float
    """After the warm-up."""
    resident_peak_mib: float
    growth_mib: float
    """From the first to the last frame, by a line fitted through the samples."""
    growth_kib_per_1000_frames: float

    def to_mapping(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self)


class Yardstick:
    """A fixed piece of work to compare with."""

    def __init__(self) -> None:
        pixels = np.random.default_rng(1).integers(0, 256, (720, 1280, 3), np.uint8)
        self._picture, self._result = pixels, np.empty_like(pixels)

    def run(self) -> None:
        """Once."""
        cv2.GaussianBlur(self._picture, (5, 5), 0, dst=self._result)


def bench_pipeline(
    source: FrameSource,
    pipeline: Pipeline,
    clock: StageClock,
    frames: int,
    *,
    warm_up: int = WARM_UP,
    resident_mib: Callable[[], float] | None = None,
    each: Callable[[int], object] | None = None,
) -> PipelineBench:
    """Run `frames` frames after `warm_up` others; fewer when the source ends.

    OpenCV is kept to one thread meanwhile, as in the daemon. `each` is told how many are done.
    Raises EvaluationError if the source ends within the warm-up.
    """
    memory = resident_mib or resident_now_mib
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with source:
            return _run(source, pipeline, clock, frames, warm_up, memory, each)
    finally:
        cv2.setNumThreads(threads)


def resident_now_mib() -> float:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def resident_peak_mib() -> float:
    """The most that was resident since `forget_peak`; proc(5), `VmHWM`."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    return float(status.partition("VmHWM:")[2].split()[0]) / 2**10


def forget_peak() -> None:
    """Let `resident_peak_mib` begin anew; where the kernel refuses it counts from the start."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def _run(
    source: FrameSource,
    pipeline: Pipeline,
    clock: StageClock,
    frames: int,
    warm_up: int,
    memory: Callable[[], float],
    each: Callable[[int], object] | None,
) -> PipelineBench:
    yardstick = Yardstick()
    size_px = (0, 0)
    for _ in range(warm_up):
        frame = _next(source, clock)
        if frame is None:
            raise EvaluationError(f"the source ended within {warm_up} frames: too short to measure")
        pipeline.process(frame)
        clock.end_frame()
        yardstick.run()
        size_px = (frame.image.shape[1], frame.image.shape[0])
    clock.forget()
    every = max(1, frames // MEMORY_SAMPLES)
    resident = [memory()]
    beside_ms: list[float] = []
    beside_cpu_s = 0.0
    busy_s = 0.0
    cpu_start_s = time.process_time()
    for done in range(1, frames + 1):
        frame = _next(source, clock)
        if frame is None:
            break
        size_px = (frame.image.shape[1], frame.image.shape[0])
        started_s = clock.now_s()
        pipeline.process(frame)
        busy_s += clock.now_s() - started_s
        clock.end_frame()
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
    return _summary(clock, size_px, busy_s, cpu_s, float(np.median(beside_ms)), resident)


def _next(source: FrameSource, clock: StageClock) -> Frame | None:
    try:
        with clock.stage(DECODE):
            return source.read(READ_TIMEOUT_S)
    except EndOfStreamError:
        return None


def _summary(
    clock: StageClock,
    size_px: tuple[int, int],
    busy_s: float,
    cpu_s: float,
    yardstick_ms: float,
    resident: list[float],
) -> PipelineBench:
    count = clock.frames
    names = clock.names()
    rest = [name for name in names if name != DECODE and name not in INVOKE]
    invoked_ms = float(clock.per_frame_ms(*INVOKE).mean())
    # All of `process` counts, also what no stage is around.
    other_ms = busy_s * 1e3 / count - invoked_ms
    # A line through all samples: a decoder that is opened anew now and then makes them jump.
    at = np.linspace(0, count, len(resident))
    mib_per_frame, start_mib = (float(value) for value in np.polyfit(at, resident, 1))
    return PipelineBench(
        frames=count,
        frame_size_px=size_px,
        stage_ms={name: float(clock.per_frame_ms(name).mean()) for name in names},
        other_ms=other_ms,
        other_median_ms=float(np.median(clock.per_frame_ms(*rest))),
        other_share_of_cpu=min(1.0, other_ms * count / 1e3 / cpu_s) if cpu_s > 0 else 0.0,
        yardstick_ms=yardstick_ms,
        other_in_yardsticks=other_ms / yardstick_ms,
        resident_start_mib=start_mib,
        resident_peak_mib=max(resident),
        growth_mib=mib_per_frame * count,
        growth_kib_per_1000_frames=mib_per_frame * 1024 * 1000,
    )
