"""What all back ends share: open and closed, numbering, stamps turned into frames."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from edgeface.base.clock import Clock, Stamp
from edgeface.base.errors import ClosedError, EndOfStreamError
from edgeface.recognition.frame import Frame
from edgeface.recognition.turning import turned
from edgeface.recognition.values import Image


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """What a back end delivers; the base class makes a `Frame` of it."""

    image: Image
    """BGR uint8 `(h, w, 3)`, owned by the frame from now on."""
    stamp: Stamp
    step: int = 1
    """1 more than the frames of the source that were dropped since the previous one."""
    detect_image: Image | None = None
    detect_scale: tuple[float, float] = (1.0, 1.0)


class FrameSource(ABC):
    """What delivers frames. Descendants implement `_start`, `_next` and `_stop`.

    One thread owns a source. It is opened by `open()` (or `with`), never by its constructor, and
    may be opened again after `close()`; the numbering goes on.
    """

    live = True
    """Whether frames come at their own pace. False: the source waits for its reader, and a frame
    must be handed over with `LatestSlot.put_when_free`, or most of them would be lost."""

    def __init__(self, name: str, clock: Clock | None) -> None:
        self.name: Final = name
        """Id for `Frame.source`, logs and `~/state`."""
        self.rotate = 0
        """Degrees clockwise by which each picture is turned: 0, 90, 180 or 270."""
        self.flip = False
        """Whether it is mirrored left to right then."""
        self.is_open = False
        """Between `open()` and `close()`."""
        self._clock = clock or Clock()
        self._sequence = -1
        self._ev = 0.0
        self._resting = False

    def open(self) -> None:
        """Acquire the camera or file; opening an open source changes nothing.

        Raises CameraError naming what to do, RuntimeMissingError for a missing vendor library.
        """
        if self.is_open:
            return
        self._start()
        self.is_open = True
        if self._ev:
            self._expose(self._ev)

    def read(self, timeout_s: float) -> Frame:
        """The next frame, waiting at most `timeout_s`.

        Raises FrameTimeoutError, EndOfStreamError (finite sources), CameraError (lost), or
        ClosedError when not open.
        """
        if not self.is_open:
            raise ClosedError(f"camera {self.name!r} is not open")
        picture = self._next(max(0.0, timeout_s))
        self._sequence += picture.step
        detect_image, scale = picture.detect_image, picture.detect_scale
        return Frame(
            image=self._turned(picture.image),
            source=self.name,
            sequence=self._sequence,
            captured_at=picture.stamp.captured_at,
            boottime_ns=picture.stamp.boottime_ns,
            detect_image=None if detect_image is None else self._turned(detect_image),
            detect_scale=scale[::-1] if self.rotate in (90, 270) else scale,
        )

    def frames(self, timeout_s: float) -> Iterator[Frame]:
        """Every frame up to the end of the stream. Raises as `read`."""
        while True:
            try:
                yield self.read(timeout_s)
            except EndOfStreamError:
                return

    def expose(self, ev: float) -> None:
        """Make the pictures lighter, or darker, than the camera does by itself, by so many EV, also
        after it was opened again. What cannot do that, or not by so much, does what it can."""
        if ev != self._ev:
            self._ev = ev
            if self.is_open:
                self._expose(ev)

    def rest(self, resting: bool) -> None:
        """Nobody is there, or somebody again: at rest a camera that makes its frames with much work
        leaves some out, but shows one in every `RESTING_S`. Others go on as they do."""
        self._resting = resting

    def _turned(self, image: Image) -> Image:
        image = turned(image, self.rotate)
        return np.ascontiguousarray(image[:, ::-1]) if self.flip else image

    def close(self) -> None:
        """Release everything; safe to call twice."""
        if not self.is_open:
            return
        self.is_open = False
        self._stop()

    @abstractmethod
    def _start(self) -> None:
        """Acquire; on an error leave nothing acquired."""

    @abstractmethod
    def _next(self, timeout_s: float) -> Picture:
        """The next picture; `timeout_s` is not negative."""

    def _expose(self, ev: float) -> None:  # noqa: B027 - most cannot
        """Pass it on to the camera; raises nothing, does not wait."""

    @abstractmethod
    def _stop(self) -> None:
        """Release within a bounded time; raises nothing."""

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "open" if self.is_open else "closed"
        return f"<{type(self).__name__} {self.name!r} {state}>"
