"""A network stream (RTSP, HTTP) or a video file, through OpenCV."""

from __future__ import annotations

import logging
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import cv2
import numpy as np

from edgeface.base.addresses import redacted, without_secrets
from edgeface.base.clock import NS, Clock, Stamp, stamp_now
from edgeface.base.errors import CameraError, EndOfStreamError, FrameTimeoutError, StateError
from edgeface.base.files import read_small
from edgeface.capture.pacing import Pacer
from edgeface.capture.reader import CaptureReader, ReaderSource
from edgeface.capture.received import ReceiveGuard
from edgeface.capture.source import FrameSource, Picture
from edgeface.recognition.values import Image
from edgeface.settings.camera import StreamCamera

OPEN_TIMEOUT_S = 10.0
"""For the address of a camera."""

USUAL_FPS = 25.0
"""For a file that does not say how fast it plays."""

MOST_DAMAGED = 100
"""With so many damaged frames in a row, and one more, the file is over."""

_log = logging.getLogger(__name__)


def file_of(url: str) -> Path | None:
    """The path when `url` names a file (a path or `file://`), else None."""
    if "://" not in url:
        return Path(url)
    parts = urlsplit(url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


class FileStreamSource(FrameSource):
    """A video file.

    `real_time`: it plays like a camera, a frame is stamped with the time it was due, and frames
    that a slow reader missed are dropped. `as_fast_as_possible`: every frame, as fast as it is
    read, stamped with the time of reading. Frames that cannot be decoded are left out.
    """

    def __init__(self, path: Path, camera: StreamCamera, clock: Clock | None = None) -> None:
        super().__init__(camera.name, clock)
        self._path = path
        self._loop = camera.loop
        self.live = camera.pace == "real_time"
        self.fps = USUAL_FPS
        """Frames a second at which it plays; known once it is open."""
        self.total = 0
        """How many frames the file says it has; 0 where it does not say."""
        self._capture = cv2.VideoCapture()
        self._pacer: Pacer | None = None
        self._at = 0
        """How many frames of this pass were gone past."""
        self._good = 0
        """Those of them that are not known to be damaged."""
        self._undelivered = 0
        """Frames gone past since the last one that was delivered."""

    def _start(self) -> None:
        if not self._path.is_file():
            raise CameraError(f"no video file {self._path}; set camera.url to one that exists")
        self._open_capture()
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if 0.1 <= fps <= 1000 else USUAL_FPS
        self.total = max(0, round(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)))
        self._pacer = Pacer(self._clock, self.fps, late="drop") if self.live else None
        self._rewound()

    def _next(self, timeout_s: float) -> Picture:
        until_ns = self._clock.boottime_ns() + round(timeout_s * NS)
        left_s = timeout_s
        while True:
            wanted, stamp = self._take_turn(left_s)
            if not self._go_to(wanted):
                # What was late at the old end is over; the first frame of the new pass is due now.
                self._begin_again()
            elif self._pacer is None or self._at == wanted:
                image = self._retrieve()
                if image is not None:
                    step, self._undelivered = self._undelivered, 0
                    return Picture(image, stamp, step=step)
            # Else the frame that is due cannot be decoded, and the next one that can be waits.
            left_s = (until_ns - self._clock.boottime_ns()) / NS
            if left_s < 0:
                raise FrameTimeoutError(f"{self._path}: no frame within {timeout_s:g} s")

    def _take_turn(self, timeout_s: float) -> tuple[int, Stamp]:
        """The frame of this pass to go to, from 1, and its time."""
        if self._pacer is None:
            return self._at + 1, stamp_now(self._clock)
        number, stamp = self._pacer.take(timeout_s)
        return number + 1, stamp

    def _go_to(self, wanted: int) -> bool:
        """Go past frames up to that one, or the next that is not damaged; False at the end."""
        while self._at < wanted:
            damaged = self._grab()
            if damaged is None:
                return False
            if damaged:
                first, last = self._at + 1, self._at + damaged
                _log.warning("%s: cannot decode frames %d to %d", self._path, first, last)
            self._at += damaged + 1
            self._undelivered += damaged + 1
            self._good += 1
        return True

    def _grab(self) -> int | None:
        """How many frames were damaged before one that is not; None at the end of the file.

        FFmpeg says the same of a frame that it cannot decode as of the end; only then it goes on.
        """
        for damaged in range(MOST_DAMAGED + 1):
            if self._capture.grab():
                return damaged
        return None

    def _begin_again(self) -> None:
        if not self._good:
            raise CameraError(f"{self._path} holds no frame that can be decoded")
        if not self._loop:
            raise EndOfStreamError(f"{self._path} has played to its end")
        # Opened anew: seeking back to the first frame is not reliable in every container.
        self._open_capture()
        self._rewound()

    def _rewound(self) -> None:
        self._at = self._good = 0
        if self._pacer is not None:
            self._pacer.start()

    def _retrieve(self) -> Image | None:
        """The frame; None when it is damaged."""
        done, image = self._capture.retrieve()
        if done and image is not None:
            return np.asarray(image, np.uint8)
        _log.warning("%s: cannot decode frame %d", self._path, self._at)
        self._good -= 1
        return None

    def _open_capture(self) -> None:
        if not self._capture.open(str(self._path)):
            raise CameraError(f"{self._path} is not a video that OpenCV can decode")

    def _stop(self) -> None:
        self._capture.release()


def address_of(camera: StreamCamera) -> str:
    """`camera.url` with user name and password, percent-encoded (RFC 3986, section 2.1): where it
    has `{username}` and `{password}`, and else before the host. Raises CameraError for a password
    file that cannot be used."""
    if camera.username is None:
        return camera.url
    password = ""
    if camera.password_file is not None:
        try:
            content = read_small(camera.password_file, "camera's password", private=True).decode()
        except (StateError, UnicodeDecodeError) as error:
            raise CameraError(f"{camera.password_file}: {error}") from error
        password = content.split("\n", 1)[0].rstrip("\r")
        if not password:
            raise CameraError(
                f"{camera.password_file}: the first line, which is the camera's password, is empty"
            )
    parts = {"{username}": quote(camera.username, ""), "{password}": quote(password, "")}
    if not any(part in camera.url for part in parts):
        scheme, _, rest = camera.url.partition("://")
        return f"{scheme}://{parts['{username}']}:{parts['{password}']}@{rest}"
    address = camera.url
    for part, text in parts.items():
        address = address.replace(part, text)
    return address


class NetworkStreamSource(ReaderSource):
    """The latest frame of a network camera, stamped when it was received.

    What the network and the camera's encoder add before that is not known here.
    """

    def __init__(self, camera: StreamCamera, clock: Clock | None = None) -> None:
        super().__init__(camera.name, clock)
        self._camera = camera
        self._url = camera.url
        self._stall_timeout_s = camera.stall_timeout_s
        self._guard: ReceiveGuard | None = None

    def _start(self) -> None:
        self._url, what = address_of(self._camera), redacted(self._camera.url)
        self._guard = guard = ReceiveGuard(self._url, what)
        try:
            self._reader = CaptureReader(
                self._open_capture,
                what=what,
                clock=self._clock,
                open_timeout_s=OPEN_TIMEOUT_S + 1.0,
                grabbed=lambda _: guard.picture(),
            )
        except CameraError as error:
            guard.close()
            raise CameraError(
                f"{without_secrets(str(error))}; check that the camera answers at this address "
                "(camera.url), its user name and its password"
            ) from error

    def _open_capture(self) -> cv2.VideoCapture:
        parameters = [
            cv2.CAP_PROP_OPEN_TIMEOUT_MSEC,
            round(OPEN_TIMEOUT_S * 1000),
            cv2.CAP_PROP_READ_TIMEOUT_MSEC,
            round(self._stall_timeout_s * 1000),
        ]
        return cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, parameters)

    def _stop(self) -> None:
        super()._stop()
        if self._guard is not None:
            self._guard.close()


def stream_source(camera: StreamCamera, clock: Clock | None = None) -> FrameSource:
    """A file when `camera.url` is a path or `file://`, else a network stream."""
    path = file_of(camera.url)
    if path is not None:
        return FileStreamSource(path, camera, clock)
    return NetworkStreamSource(camera, clock)
