"""Where frames come from: cameras, files and the simulated camera.

The names most users need are here; the back ends and their vendor libraries are imported by
`make_source` only when they are chosen.
"""

from __future__ import annotations

from edgeface.capture.clock import Clock, ManualClock, Stamp, SystemClock
from edgeface.capture.factory import make_backend, make_source
from edgeface.capture.frame import Frame, FrameSource
from edgeface.capture.reopening import CameraHealth, ReopeningSource
from edgeface.capture.slot import LatestSlot

__all__ = [
    "CameraHealth",
    "Clock",
    "Frame",
    "FrameSource",
    "LatestSlot",
    "ManualClock",
    "ReopeningSource",
    "Stamp",
    "SystemClock",
    "make_backend",
    "make_source",
]
