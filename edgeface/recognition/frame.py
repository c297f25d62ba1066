"""One captured picture, and when it was taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edgeface.recognition.values import Image


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A picture. `image` is never written to after it was handed over."""

    image: Image
    """BGR uint8 `(h, w, 3)`, what crops are cut from."""
    source: str
    """Id of the camera or file."""
    sequence: int
    """Counts up by one per frame of the source, also over frames that were dropped."""
    captured_at: datetime
    """When the sensor exposed it, UTC: its boot-time stamp mapped when the frame was read."""
    boottime_ns: int
    """The same instant on CLOCK_BOOTTIME."""
    detect_image: Image | None = None
    """Optional smaller BGR picture of the same exposure, for detection."""
    detect_scale: tuple[float, float] = (1.0, 1.0)
    """(x, y): pixels of `image` per pixel of `detect_image`."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a frame was captured, and how many faces were in it: what is left of it afterwards."""

    captured_at: datetime
    """UTC."""
    boottime_ns: int
    """The same on CLOCK_BOOTTIME."""
    faces_in_view: int

    @property
    def time_s(self) -> float:
        """Seconds of CLOCK_BOOTTIME."""
        return self.boottime_ns / 1e9
