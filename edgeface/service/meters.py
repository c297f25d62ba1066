"""Counters and latencies of the running daemon, and what the machine says of itself."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

import numpy as np

from edgeface.contract.event import Outcome
from edgeface.contract.report import Percentiles
from edgeface.recognition.pipeline import STAGES

WAIT: Final = "wait"
"""The stage before the pipeline's: from the capture to the start of the work."""
STAGE_NAMES: Final = (WAIT, *(name.replace(" ", "_") for name in STAGES))
"""As messages, logs and metrics have them."""
STAGE_BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
LATENCY_BOUNDS_S: Final = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_KEPT_LATENCIES: Final = 2048
_TEMPERATURE: Final = Path("/sys/class/thermal/thermal_zone0/temp")
_STATM: Final = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class Distribution:
    """Durations in seconds, as counted up to now."""

    bounds_s: tuple[float, ...]
    up_to: tuple[int, ...]
    """How many were at most each bound, and last how many there were."""
    total_s: float


class DurationCounts:
    """Counts durations by the bounds that they stay within; of a fixed size. Not thread-safe."""

    def __init__(self, bounds_s: tuple[float, ...]) -> None:
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self._total_s = 0.0

    def add(self, duration_s: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds_s, duration_s)] += 1
        self._total_s += duration_s

    @property
    def now(self) -> Distribution:
        """All of them."""
        return Distribution(self._bounds_s, tuple(accumulate(self._counts)), self._total_s)


class FrameWatch:
    """How long each stage of the current frame has taken. Used by the thread of the models."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self.spent_s: dict[str, float] = {}
        """By the names of `STAGE_NAMES`; only of those that there were."""

    def restart(self, waited_s: float | None = None) -> None:
        """Another frame, which has `waited_s` since its capture, or None of them."""
        self.spent_s = {} if waited_s is None else {WAIT: max(0.0, waited_s)}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Count the time of the block; the pipeline's `Stopwatch`."""
        began_s = self._now_s()
        try:
            yield
        finally:
            key = name.replace(" ", "_")
            self.spent_s[key] = self.spent_s.get(key, 0.0) + self._now_s() - began_s


class Meters:
    """Counts up from several threads. What one reports, the others may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._stages = {name: DurationCounts(STAGE_BOUNDS_S) for name in STAGE_NAMES}
        self._frames = DurationCounts(LATENCY_BOUNDS_S)
        self._decisions = DurationCounts(LATENCY_BOUNDS_S)
        self._latencies_ms: deque[float] = deque(maxlen=_KEPT_LATENCIES)
        self._frames_at_report = 0
        self._report_s: float | None = None

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[name] += by

    def frame(
        self,
        latency_ms: float,
        faces: int,
        embedded: int,
        *,
        gates: Iterable[str] = (),
        spent_s: Mapping[str, float] | None = None,
    ) -> None:
        """A frame was put to decision, so long after it was captured: `gates` refused faces of it,
        and each stage took what `spent_s` says."""
        with self._lock:
            self._counts.update(frames=1, faces=faces, embeddings=embedded)
            self._counts.update(f"gate_{gate}" for gate in gates)
            self._latencies_ms.append(latency_ms)
            self._frames.add(latency_ms / 1000)
            for name, duration_s in (spent_s or {}).items():
                self._stages[name].add(duration_s)

    def decision(self, outcome: Outcome, latency_ms: float) -> None:
        """Something was decided, so long after the newest picture that it rests on."""
        with self._lock:
            self._counts[f"events_{outcome}"] += 1
            self._decisions.add(latency_ms / 1000)

    def durations(self) -> tuple[dict[str, Distribution], Distribution, Distribution]:
        """Of each stage, from capture to decision of frames, and of decisions, since the start."""
        with self._lock:
            stages = {name: counts.now for name, counts in self._stages.items()}
            return stages, self._frames.now, self._decisions.now

    def counters(self) -> dict[str, int]:
        """All counters, by name."""
        with self._lock:
            return dict(sorted(self._counts.items()))

    def report(self, now_s: float) -> tuple[float | None, Percentiles | None]:
        """Frames per second and latency percentiles since the last report, which this ends."""
        with self._lock:
            frames = self._counts["frames"]
            latencies = np.array(self._latencies_ms)
            self._latencies_ms.clear()
            since_s, self._report_s = self._report_s, now_s
            new, self._frames_at_report = frames - self._frames_at_report, frames
        fps = None if since_s is None or now_s <= since_s else round(new / (now_s - since_s), 2)
        if len(latencies) == 0:
            return fps, None
        p50, p90, p99 = (round(float(p), 1) for p in np.percentile(latencies, (50, 90, 99)))
        return fps, Percentiles(p50=p50, p90=p90, p99=p99)


def temperature_c() -> float | None:
    """Of the processor; None where the kernel does not tell."""
    try:
        return round(int(_TEMPERATURE.read_text(encoding="ascii")) / 1000, 1)
    except (OSError, ValueError):
        return None


def memory_mb() -> float | None:
    """Resident memory of this process in 10^6 bytes; None where the kernel does not tell."""
    try:
        pages = int(_STATM.read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return round(pages * os.sysconf("SC_PAGE_SIZE") / 1e6, 1)
