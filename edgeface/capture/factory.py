"""From the settings' camera section to a source; a back end is imported only when it is chosen."""

from __future__ import annotations

import threading

from edgeface.base.clock import Clock
from edgeface.capture.reopening import ReopeningSource
from edgeface.capture.source import FrameSource
from edgeface.settings.camera import (
    Camera,
    ImagesCamera,
    Picamera2Camera,
    StreamCamera,
    V4l2Camera,
)


def make_backend(camera: Camera, clock: Clock | None = None) -> FrameSource:
    """The bare back end that `camera.source` names, not opened."""
    source = _backend(camera, clock)
    source.rotate, source.flip = camera.rotate, camera.flip
    return source


def _backend(camera: Camera, clock: Clock | None) -> FrameSource:
    if isinstance(camera, Picamera2Camera):
        from edgeface.capture.picamera2 import Picamera2Source

        return Picamera2Source(camera, clock)
    if isinstance(camera, V4l2Camera):
        from edgeface.capture.v4l2 import V4l2Source

        return V4l2Source(camera, clock)
    if isinstance(camera, StreamCamera):
        from edgeface.capture.stream import stream_source

        return stream_source(camera, clock)
    if isinstance(camera, ImagesCamera):
        from edgeface.capture.images import ImagesSource

        return ImagesSource(camera, clock)
    from edgeface.capture.simulated import SimulatedSource

    return SimulatedSource(camera, clock)


def make_source(
    camera: Camera, clock: Clock | None = None, stop: threading.Event | None = None
) -> ReopeningSource:
    """The source of the settings, which opens itself again when it stalls or is lost.

    Not opened. `stop`: ends every wait between two attempts to open.
    """
    return ReopeningSource(make_backend(camera, clock), camera, clock, stop)
