"""Back ends by what a test wants of them; every other setting is the usual one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeface.base.clock import Clock
from edgeface.capture.images import ImagesSource
from edgeface.capture.picamera2 import Picamera2Source
from edgeface.capture.reopening import ReopeningSource
from edgeface.capture.simulated import SimulatedSource, Visits
from edgeface.capture.source import FrameSource
from edgeface.capture.stream import FileStreamSource, NetworkStreamSource
from edgeface.capture.v4l2 import V4l2Source
from edgeface.settings.camera import (
    CameraBase,
    ImagesCamera,
    Picamera2Camera,
    SimulatedCamera,
    StreamCamera,
    V4l2Camera,
)


def images(folder: Path, clock: Clock | None = None, **wanted: Any) -> ImagesSource:
    return ImagesSource(ImagesCamera.model_construct(folder=folder, **wanted), clock)


def video_file(path: Path, clock: Clock | None = None, **wanted: Any) -> FileStreamSource:
    return FileStreamSource(path, StreamCamera.model_construct(url=str(path), **wanted), clock)


def network(url: str, **wanted: Any) -> NetworkStreamSource:
    return NetworkStreamSource(StreamCamera.model_construct(url=url, **wanted))


def picamera2(clock: Clock | None = None, **wanted: Any) -> Picamera2Source:
    return Picamera2Source(Picamera2Camera.model_construct(**wanted), clock)


def v4l2(device: int | str) -> V4l2Source:
    return V4l2Source(V4l2Camera.model_construct(device=device))


def visits(*photographs: Path, **wanted: Any) -> Visits:
    return Visits(SimulatedCamera.model_construct(photographs=photographs, **wanted))


def simulated(*photographs: Path, clock: Clock | None = None, **wanted: Any) -> SimulatedSource:
    camera = SimulatedCamera.model_construct(photographs=photographs, **wanted)
    return SimulatedSource(camera, clock)


def reopening(
    source: FrameSource,
    clock: Clock | None = None,
    stop: threading.Event | None = None,
    draw: Callable[[float, float], float] | None = None,
    **wanted: Any,
) -> ReopeningSource:
    found = ReopeningSource(source, CameraBase.model_construct(**wanted), clock, stop)
    if draw is not None:
        found._backoff._draw = draw
    return found
