"""Counters and latencies of the running daemon, and what the machine says of itself."""

from __future__ import annotations

import os
import threading
from collections import Counter, deque
from pathlib import Path
from typing import Final

import numpy as np

from edgeface.contract.report import Percentiles

_KEPT_LATENCIES: Final = 2048
_TEMPERATURE: Final = Path("/sys/class/thermal/thermal_zone0/temp")
_STATM: Final = Path("/proc/self/statm")


class Meters:
    """Counts up from several threads; read by one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._latencies_ms: deque[float] = deque(maxlen=_KEPT_LATENCIES)
        self._frames_at_report = 0
        self._report_s: float | None = None

    def count(self, name: str, by: int = 1) -> None:
        """Add to a counter."""
        with self._lock:
            self._counts[name] += by

    def frame(self, latency_ms: float, faces: int, embedded: int) -> None:
        """A frame was put to decision, so long after it was captured."""
        with self._lock:
            self._counts.update(frames=1, faces=faces, embeddings=embedded)
            self._latencies_ms.append(latency_ms)

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
