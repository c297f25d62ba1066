"""`bench sync --while-recognizing`: frame times before, during and after a full sync.

A frame is one detection, one embedding and one search of the gallery that is served at the moment,
at a camera's pace; what is measured is the time from taking it up to its end. The replica works
in a thread of the same process, as in the daemon. Before the sync the gallery is empty.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from edgeface.base.errors import EvaluationError
from edgeface.bench.sync_device import SyncDevice
from edgeface.bench.sync_site import SyncSite
from edgeface.evaluation.opener import Opener
from edgeface.fleet.protocol.terms import NOTHING
from edgeface.mqtt.localbroker import LocalBroker

PATIENCE_S: Final = 600.0
_WARM_UP: Final = 10
_NAME: Final = "device-0"


class _Frames:
    """Recognition at a steady pace; one thread."""

    def __init__(self, device: SyncDevice, fps: float) -> None:
        opener = Opener()
        self._detector, self._embedder = opener.detector(), opener.embedder()
        random = np.random.default_rng(2)
        self._image = random.integers(0, 256, (720, 1280, 3), np.uint8)
        side_px = self._embedder.alignment.size_px
        self._crop = random.integers(0, 256, (side_px, side_px, 3), np.uint8)
        self._device = device
        self._pace_s = 1.0 / fps
        self._next_s = time.monotonic()

    def run(self, more: Callable[[], bool]) -> tuple[list[float], int]:
        """Frames while `more()`: milliseconds of each, and how many came too late to keep pace."""
        spent_ms: list[float] = []
        late = 0
        self._next_s = time.monotonic()
        while more():
            pause_s = self._next_s - time.monotonic()
            if pause_s > 0:
                time.sleep(pause_s)
            elif -pause_s > self._pace_s:
                late += 1
                self._next_s = time.monotonic()
            self._next_s += self._pace_s
            began_s = time.perf_counter()
            self._detector.detect(self._image)
            embedding = self._embedder.embed([self._crop])[0]
            index = self._device.replica.index
            if len(index.matrix):
                int(np.argmax(index.matrix @ embedding))
            spent_ms.append((time.perf_counter() - began_s) * 1e3)
        return spent_ms, late


def bench_recognizing(
    folder: Path,
    *,
    people: int,
    templates: int,
    before_s: float,
    fps: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Measure; JSON-able. Raises BrokerError, ModelError, RuntimeMissingError, EvaluationError."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        with LocalBroker(folder / "broker") as broker:
            site = SyncSite(folder / "site", broker.host, broker.port, templates)
            say(f"publishing {people} people")
            site.add(people)
            version = site.publish().version
            (plan,) = site.add_devices([_NAME], folder)
            device = SyncDevice(plan, lambda _: None)
            try:
                return _run(device, site, version, before_s, fps, say)
            finally:
                device.close()
    finally:
        cv2.setNumThreads(threads)


def _run(
    device: SyncDevice,
    site: SyncSite,
    version: tuple[int, int],
    before_s: float,
    fps: float,
    say: Callable[[str], None],
) -> dict[str, Any]:
    frames = _Frames(device, fps)
    warm = iter(range(_WARM_UP))
    frames.run(lambda: next(warm, None) is not None)
    say("frames without a sync")
    end_s = time.monotonic() + before_s
    before, late_before = frames.run(lambda: time.monotonic() < end_s)
    assert device.replica.catch_up.applied.version == NOTHING
    say("frames during the sync")
    began_s = time.monotonic()
    device.follow()
    deadline = began_s + PATIENCE_S

    def syncing() -> bool:
        if time.monotonic() > deadline:
            raise EvaluationError(f"the sync did not end within {PATIENCE_S:.0f} s")
        return device.replica.catch_up.applied.version < version

    during, late_during = frames.run(syncing)
    sync_s = time.monotonic() - began_s
    device.pause()
    say("frames with the whole gallery, without a sync")
    end_s = time.monotonic() + before_s
    after, late_after = frames.run(lambda: time.monotonic() < end_s)
    state = device.state()
    wrong = not state.agrees or state.digest != site.digest()
    return {
        "people": state.people,
        "templates": state.templates,
        "sync_s": sync_s,
        "before_ms": _spread(before),
        "during_ms": _spread(during),
        "after_ms": _spread(after),
        "frames_late_before": late_before,
        "frames_late_during": late_during,
        "frames_late_after": late_after,
        "fps_before": len(before) / before_s,
        "fps_during": len(during) / sync_s,
        "resident_mib": state.resident_mib,
        "wrong": [_NAME] if wrong else [],
    }


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    p50, p90, p99 = np.percentile(values, [50, 90, 99])
    return {"p50": float(p50), "p90": float(p90), "p99": float(p99), "most": max(values)}
