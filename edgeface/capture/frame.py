"""One captured picture with the time it was taken, and the contract of what delivers it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

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


class FrameSource(Protocol):
    """What delivers frames. One thread owns it; `close()` is idempotent; use after it raises.

    A source is opened by `open()` (or `with`), never by its constructor.
    """

    @property
    def name(self) -> str:
        """Id for `Frame.source`, logs and `~/state`."""

    def open(self) -> None:
        """Acquire the camera or file. Raises CameraError naming what to do."""

    def read(self, timeout_s: float) -> Frame:
        """The next frame.

        Raises FrameTimeoutError, EndOfStreamError (finite sources), CameraError (lost), or
        ClosedError when not open.
        """

    def close(self) -> None:
        """Release everything; safe to call twice."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None: ...
