"""The pipeline at several frame sizes, numbers of faces and of threads, one after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from edgeface.base.clock import ManualClock
from edgeface.bench.crowd import CrowdSource, portraits
from edgeface.bench.pipeline_bench import PipelineBench, bench_pipeline, metered_pipeline
from edgeface.bench.stage_clock import StageClock
from edgeface.evaluation.opener import Opener
from edgeface.recognition.idling import IdleRules
from edgeface.settings.recognition import DetectionSettings

SIZES: Final = ((640, 480), (1280, 720), (1920, 1080))
FACES: Final = (0, 1, 5, 20)
THREADS: Final = (1, 2)
_WARM_UP: Final = 45
"""Frames; the pipeline rests before they have passed, where it may."""
_REST_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Cell:
    """One arrangement, and what it cost."""

    faces: int
    """In the picture; the detector keeps the best eight."""
    threads: int
    rests: bool
    """Whether the detector rests where nobody is and nothing moves."""
    result: PipelineBench


def bench_crowd(
    faces: int,
    size_px: tuple[int, int],
    frames: int,
    people: int,
    *,
    threads: int = 1,
    rests: bool = False,
    warm_up: int = _WARM_UP,
    each: Callable[[int], object] | None = None,
) -> Cell:
    """So many people before the camera, over a gallery of `people` others. Raises what the models
    raise."""
    clock = StageClock(frames + warm_up)
    idle = IdleRules(min(_REST_S, DetectionSettings().idle_after_s or _REST_S)) if rests else None
    process = metered_pipeline(clock, people, idle=idle, threads=threads)
    shown = portraits(Opener().detector())
    source = CrowdSource(shown, faces, size_px, ManualClock())
    result = bench_pipeline(source, process, clock, frames, warm_up=warm_up, each=each)
    return Cell(faces, threads, rests, result)


def bench_matrix(
    frames: int,
    people: int,
    *,
    sizes: Sequence[tuple[int, int]] = SIZES,
    faces: Sequence[int] = FACES,
    threads: Sequence[int] = THREADS,
    warm_up: int = _WARM_UP,
    each: Callable[[int], object] | None = None,
) -> list[Cell]:
    """Every combination; an empty scene with and without rest. `each` is told how many cells are
    done."""
    plans = [
        (size_px, count, number, rests)
        for number in threads
        for size_px in sizes
        for count in faces
        for rests in ((True, False) if count == 0 else (False,))
    ]
    cells = []
    for done, (size_px, count, number, rests) in enumerate(plans, 1):
        cells.append(
            bench_crowd(
                count, size_px, frames, people, threads=number, rests=rests, warm_up=warm_up
            )
        )
        if each is not None:
            each(done)
    return cells
