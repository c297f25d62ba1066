"""A USB camera, through OpenCV's Video4Linux back end."""

from __future__ import annotations

import logging
import os
import stat
from pathlib import Path

import cv2

from edgeface.base.clock import Clock
from edgeface.base.errors import CameraError
from edgeface.capture.reader import CaptureReader, ReaderSource
from edgeface.settings.camera import V4l2Camera

OPEN_TIMEOUT_S = 15.0

_log = logging.getLogger(__name__)


class V4l2Source(ReaderSource):
    """The latest frame of `/dev/videoN`; one driver buffer, read by a thread of its own.

    The driver may choose another size or rate than asked for; frames tell their true size, and
    those above `fps` are dropped.
    """

    def __init__(self, camera: V4l2Camera, clock: Clock | None = None) -> None:
        super().__init__(camera.name, clock)
        number = isinstance(camera.device, int) or camera.device.isdigit()
        self._path = Path(f"/dev/video{camera.device}" if number else str(camera.device))
        self._camera = camera
        self._wanted_level = self._level = 0
        """Of the backlight compensation, above what the camera has at first."""

    def _start(self) -> None:
        self._level = 0
        check_device(self._path)
        try:
            self._reader = CaptureReader(
                self._open_capture,
                what=str(self._path),
                clock=self._clock,
                open_timeout_s=OPEN_TIMEOUT_S,
                driver_stamps=True,
                max_fps=self._camera.fps,
                grabbed=self._adjust,
            )
        except CameraError as error:
            raise CameraError(
                f"{error}; another program may hold it (`fuser {self._path}` shows which), or it "
                "is no capture device (`v4l2-ctl --list-devices` shows those)"
            ) from error

    def _stop(self) -> None:
        self._wanted_level = 0  # the device would keep it
        super()._stop()

    def _expose(self, ev: float) -> None:
        """Of what OpenCV reaches, the backlight compensation alone leaves the camera's own
        regulation on (V4L2_CID_BACKLIGHT_COMPENSATION): a level an EV, and none for darker; what a
        level does is the camera's. Set by the reader's thread, which owns the device."""
        self._wanted_level = max(0, round(ev))

    def _adjust(self, capture: cv2.VideoCapture) -> None:
        wanted = self._wanted_level
        if wanted == self._level:
            return
        first = capture.get(cv2.CAP_PROP_BACKLIGHT) - self._level
        # How many levels there are OpenCV does not tell: the next lower one is tried.
        for level in range(wanted, min(wanted, self._level + 1) - 1, -1):
            if capture.set(cv2.CAP_PROP_BACKLIGHT, first + level):
                break
        else:
            level = self._level
            _log.warning("%s: its backlight compensation cannot be set", self._path)
        self._level = level
        if self._wanted_level == wanted:  # else another one is wanted meanwhile
            self._wanted_level = level

    def _open_capture(self) -> cv2.VideoCapture:
        # A link such as /dev/v4l/by-id/... is resolved: OpenCV knows devices by number only.
        capture = cv2.VideoCapture(os.path.realpath(self._path), cv2.CAP_V4L2)
        if capture.isOpened():
            # The format first: it decides which sizes and rates there are.
            letters = (ord(letter) for letter in self._camera.pixel_format)
            code = sum(letter << (8 * place) for place, letter in enumerate(letters))
            capture.set(cv2.CAP_PROP_FOURCC, code)
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._camera.size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._camera.size[1])
            capture.set(cv2.CAP_PROP_FPS, self._camera.fps)
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture


def check_device(path: Path) -> None:
    """Raises CameraError when `path` is no device that can be read and written.

    OpenCV only says that it failed; the reason is what a user can act on.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        present = ", ".join(sorted(str(p) for p in Path("/dev").glob("video*"))) or "none"
        raise CameraError(
            f"no camera at {path} ({error.strerror}; video devices present: {present}); connect it "
            "or set camera.device, `v4l2-ctl --list-devices` shows what there is"
        ) from error
    if not stat.S_ISCHR(mode):
        raise CameraError(f"{path} is no video device; for a file set camera.source: stream")
    if not os.access(path, os.R_OK | os.W_OK):
        raise CameraError(f"no permission for {path}: add the user to the group `video`")
