"""A network stream (RTSP, HTTP) or a video file, through OpenCV."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np

from edgeface.capture.clock import Clock, Stamp, stamp_now
from edgeface.capture.pacing import Pacer
from edgeface.capture.reader import CaptureReader
from edgeface.capture.source import BaseSource, Picture
from edgeface.errors import CameraError, ClosedError, EndOfStreamError

Pace = Literal["real_time", "as_fast_as_possible"]

USUAL_FPS = 25.0
"""For a file that does not say how fast it plays."""

_SECRET = re.compile(r"//[^/?#]*@")
"""Up to the last @ before the path, as FFmpeg takes it: a password may have one in it."""


def redacted(url: str) -> str:
    """The address without user name and password, for logs and messages."""
    return _SECRET.sub("//***@", url)


def file_of(url: str) -> Path | None:
    """The path when `url` names a file (a path or `file://`), else None."""
    if "://" not in url:
        return Path(url)
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


class FileStreamSource(BaseSource):
    """A video file.

    `real_time`: it plays like a camera, a frame is stamped with the time it was due, and frames
    that a slow reader missed are dropped. `as_fast_as_possible`: every frame, as fast as it is
    read, stamped with the time of reading.
    """

    def __init__(
        self,
        path: Path,
        *,
        pace: Pace = "real_time",
        loop: bool = False,
        name: str = "camera",
        clock: Clock | None = None,
    ) -> None:
        super().__init__(name=name, clock=clock)
        self._path = path
        self._pace = pace
        self._loop = loop
        self.live = pace == "real_time"
        self._capture: cv2.VideoCapture | None = None
        self._pacer: Pacer | None = None
        self._grabbed = 0

    def _start(self) -> None:
        if not self._path.is_file():
            raise CameraError(f"no video file {self._path}; set camera.url to one that exists")
        self._capture = self._open_capture()
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        fps = fps if 0.1 <= fps <= 1000 else USUAL_FPS
        self._pacer = Pacer(self._clock, fps, late="drop") if self.live else None
        self._rewound()

    def _next(self, timeout_s: float) -> Picture:
        step, stamp = self._take_turn(timeout_s)
        for dropped in range(step):
            if self._grab():
                continue
            self._begin_again()
            # What was late at the old end is over; the first frame of the new pass is due now.
            rest, stamp = self._take_turn(timeout_s)
            self._grab_or_fail()
            step = dropped + rest
            break
        return Picture(self._retrieve(), stamp, step=step)

    def _take_turn(self, timeout_s: float) -> tuple[int, Stamp]:
        """How many frames to go forward, and the time of the one arrived at."""
        if self._pacer is None:
            return 1, stamp_now(self._clock)
        number, stamp = self._pacer.take(timeout_s)
        return number + 1 - self._grabbed, stamp

    def _begin_again(self) -> None:
        if not self._grabbed:
            raise CameraError(f"{self._path} holds no frame that can be decoded")
        if not self._loop:
            raise EndOfStreamError(f"{self._path} has played to its end")
        # Opened anew: seeking back to the first frame is not reliable in every container.
        self._release()
        self._capture = self._open_capture()
        self._rewound()

    def _rewound(self) -> None:
        self._grabbed = 0
        if self._pacer is not None:
            self._pacer.start()

    def _grab(self) -> bool:
        if self._capture is None:
            raise ClosedError(f"camera {self.name!r} is not open")
        done = bool(self._capture.grab())
        self._grabbed += done
        return done

    def _grab_or_fail(self) -> None:
        if not self._grab():
            raise CameraError(f"{self._path} cannot be read any more")

    def _retrieve(self) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        if self._capture is None:
            raise ClosedError(f"camera {self.name!r} is not open")
        done, image = self._capture.retrieve()
        if not done or image is None:
            raise CameraError(f"frame {self._grabbed} of {self._path} cannot be decoded")
        return np.asarray(image, np.uint8)

    def _open_capture(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened():
            capture.release()
            raise CameraError(f"{self._path} is not a video that OpenCV can decode")
        return capture

    def _release(self) -> None:
        capture, self._capture = self._capture, None
        if capture is not None:
            capture.release()

    def _stop(self) -> None:
        self._release()


class NetworkStreamSource(BaseSource):
    """The latest frame of a network camera, stamped when it was received.

    What the network and the camera's encoder add before that is not known here.
    """

    def __init__(
        self,
        url: str,
        *,
        open_timeout_s: float = 10.0,
        stall_timeout_s: float = 5.0,
        name: str = "camera",
        clock: Clock | None = None,
    ) -> None:
        super().__init__(name=name, clock=clock)
        self._url = url
        self._open_timeout_s = open_timeout_s
        self._stall_timeout_s = stall_timeout_s
        self._reader: CaptureReader | None = None

    def _start(self) -> None:
        what = redacted(self._url)
        try:
            self._reader = CaptureReader(
                self._opener(),
                what=what,
                clock=self._clock,
                open_timeout_s=self._open_timeout_s + 1.0,
            )
        except CameraError as error:
            raise CameraError(
                f"{error}; check that the camera answers at this address (camera.url), its user "
                "name and its password"
            ) from error

    def _opener(self) -> Callable[[], cv2.VideoCapture]:
        parameters = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            round(self._open_timeout_s * 1000),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            round(self._stall_timeout_s * 1000),
        ]
        url = self._url
        return lambda: cv2.VideoCapture(url, cv2.CAP_FFMPEG, parameters)

    def _next(self, timeout_s: float) -> Picture:
        if self._reader is None:
            raise ClosedError(f"camera {self.name!r} is not open")
        return self._reader.read(timeout_s)

    def _stop(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


def stream_source(
    url: str,
    *,
    pace: Pace = "real_time",
    loop: bool = False,
    stall_timeout_s: float = 5.0,
    name: str = "camera",
    clock: Clock | None = None,
) -> BaseSource:
    """The source for `url`: a file when it is a path or `file://`, else a network stream.

    `pace` and `loop` concern files only.
    """
    path = file_of(url)
    if path is not None:
        return FileStreamSource(path, pace=pace, loop=loop, name=name, clock=clock)
    return NetworkStreamSource(url, stall_timeout_s=stall_timeout_s, name=name, clock=clock)
