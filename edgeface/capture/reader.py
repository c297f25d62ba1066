"""A thread that reads a live `cv2.VideoCapture`, so that nobody waits on a driver without bound.

`VideoCapture.read()` blocks for as long as the driver likes, and the buffers behind it age while
nobody reads. The thread therefore reads all the time and keeps the latest picture only.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import cv2
import numpy as np

from edgeface.base.clock import NS, Clock, Stamp, boottime_of_sensor, stamp_at, stamp_now
from edgeface.base.errors import CameraError, ClosedError, FrameTimeoutError
from edgeface.capture.bounded import call_bounded
from edgeface.capture.pacing import frames_at_rest
from edgeface.capture.slot import LatestSlot
from edgeface.capture.source import FrameSource, Picture

CLOSE_TIMEOUT_S = 2.0
"""How long `close()` waits for the thread before it is left behind in the driver."""

NEWEST_DRIVER_STAMP_S = 2.0
"""A driver whose stamps are all older than this is not believed, and the time of reading taken
instead. Once a stamp was newer they are believed: an old one is then that of an old frame, as they
lie in the driver's buffers after the process or the camera was held up."""

MOST_DAMAGED = 10
DAMAGED_S = 1.0
"""With so many damaged pictures in a row, and one more, or after so long, the camera is lost."""

_log = logging.getLogger(__name__)


class CaptureReader:
    """Owns a `VideoCapture`: opened, read and released on the reader's own threads."""

    def __init__(
        self,
        open_capture: Callable[[], cv2.VideoCapture],
        *,
        what: str,
        clock: Clock,
        open_timeout_s: float,
        driver_stamps: bool = False,
        max_fps: float | None = None,
        grabbed: Callable[[cv2.VideoCapture], None] = lambda _: None,
    ) -> None:
        """Open and begin to read. Raises CameraError when it does not open in time.

        `driver_stamps`: `CAP_PROP_POS_MSEC` is the driver's time of capture. `max_fps`: frames
        that come faster are dropped before they are decoded. `grabbed` is called by
        the reader's thread, which owns the capture, for each picture that has come, and at the end.
        """
        self._what = what
        self._clock = clock
        self._driver_stamps = driver_stamps
        self._grabbed = grabbed
        self._believed = False
        self._shortest_ns = self._rest_ns = 0 if max_fps is None else round(0.75 * NS / max_fps)
        if max_fps is not None and (few := frames_at_rest(max_fps)) > 1:
            self._rest_ns = round((few - 0.5) * NS / max_fps)
        self.resting = False
        """Whether more frames are left out: see `FrameSource.rest`."""
        self._slot: LatestSlot[tuple[int, Picture]] = LatestSlot()
        self._stop = threading.Event()
        self._error: CameraError | None = None
        self._taken = -1
        capture = self._open(open_capture, open_timeout_s)
        self._thread = threading.Thread(
            target=self._run, args=(capture,), name=f"read {what}", daemon=True
        )
        self._thread.start()

    def read(self, timeout_s: float) -> Picture:
        """The latest picture, once. Raises FrameTimeoutError, or CameraError when it was lost."""
        try:
            number, picture = self._slot.get(timeout_s)
        except ClosedError:
            raise self._error or CameraError(f"{self._what} was closed") from None
        except FrameTimeoutError:
            raise FrameTimeoutError(f"{self._what}: no frame within {timeout_s:g} s") from None
        step = number - self._taken
        self._taken = number
        return Picture(picture.image, picture.stamp, step=step)

    def close(self) -> None:
        """Stop reading and release; a thread that the driver holds is left."""
        self._stop.set()
        self._thread.join(CLOSE_TIMEOUT_S)
        if self._thread.is_alive():
            _log.warning(
                "%s did not let go within %g s; its thread is left", self._what, CLOSE_TIMEOUT_S
            )

    def _open(
        self, open_capture: Callable[[], cv2.VideoCapture], timeout_s: float
    ) -> cv2.VideoCapture:
        try:
            capture = call_bounded(
                open_capture, timeout_s, f"open {self._what}", late=cv2.VideoCapture.release
            )
        except FrameTimeoutError as error:
            raise CameraError(f"{self._what} did not open within {timeout_s:g} s") from error
        except cv2.error as error:
            raise CameraError(f"{self._what} cannot be opened: {error}") from error
        if not capture.isOpened():
            capture.release()
            raise CameraError(f"{self._what} cannot be opened")
        return capture

    def _run(self, capture: cv2.VideoCapture) -> None:
        try:
            self._read_all(capture)
            self._grabbed(capture)
        except (cv2.error, MemoryError) as error:
            self._error = CameraError(f"{self._what} was lost: {error}")
        finally:
            self._slot.close()
            capture.release()

    def _read_all(self, capture: cv2.VideoCapture) -> None:
        number = -1
        kept_ns = -self._shortest_ns
        while not self._stop.is_set():
            failed = self._grab(capture)
            if failed is None:
                self._error = CameraError(f"{self._what} was lost: no more frames come")
                return
            self._grabbed(capture)
            number += failed + 1
            stamp = self._stamp(capture)
            shortest_ns = self._rest_ns if self.resting else self._shortest_ns
            if stamp.boottime_ns - kept_ns < shortest_ns:
                continue
            done, image = capture.retrieve()
            if not done or image is None:
                continue
            kept_ns = stamp.boottime_ns
            self._slot.put((number, Picture(np.asarray(image, np.uint8), stamp)))

    def _grab(self, capture: cv2.VideoCapture) -> int | None:
        """How many grabs failed before one that did not; None when the camera is lost.

        FFmpeg says the same of one damaged picture as of the end of the stream; only then it goes
        on. A grab that failed after a wait was no damaged picture.
        """
        until_ns = self._clock.boottime_ns() + round(DAMAGED_S * NS)
        for failed in range(MOST_DAMAGED + 1):
            if capture.grab():
                return failed
            if self._stop.is_set() or self._clock.boottime_ns() > until_ns:
                break
        return None

    def _stamp(self, capture: cv2.VideoCapture) -> Stamp:
        now = stamp_now(self._clock)
        if not self._driver_stamps:
            return now
        at_ns = boottime_of_sensor(self._clock, round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6))
        self._believed |= now.boottime_ns - at_ns <= NEWEST_DRIVER_STAMP_S * NS
        if not self._believed:
            return now
        return stamp_at(self._clock, at_ns)


class ReaderSource(FrameSource):
    """A live source that a `CaptureReader` reads: the latest frame."""

    def __init__(self, name: str, clock: Clock | None) -> None:
        super().__init__(name, clock)
        self._reader: CaptureReader | None = None

    def _next(self, timeout_s: float) -> Picture:
        if self._reader is None:
            raise ClosedError(f"camera {self.name!r} is not open")
        self._reader.resting = self._resting
        return self._reader.read(timeout_s)

    def _stop(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()
