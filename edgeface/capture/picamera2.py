"""A camera of the Raspberry Pi, through picamera2 and libcamera.

One request of the camera gives both pictures of the same exposure: `lores` for detection and
`main` for the crops. What the code relies on (picamera2 0.3.36):

- a request borrows one of few buffers and has to be released, whatever happens;
- a wait that times out leaves its job in the queue, where it would take a buffer for nobody. So
  the job is kept and waited for again by the next `read()`; `close()` cancels and flushes it;
- libcamera's `RGB888` is B, G, R in memory;
- YUV420 arrays are `(h * 3 // 2, stride)` with the padding columns left in.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from edgeface.base.clock import Clock, boottime_of_sensor, stamp_at
from edgeface.base.errors import CameraError, FrameTimeoutError, RuntimeMissingError
from edgeface.capture.bounded import call_bounded
from edgeface.capture.pacing import frames_at_rest
from edgeface.capture.source import FrameSource, Picture
from edgeface.recognition.values import Image
from edgeface.settings.camera import Picamera2Camera

OPEN_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 5.0
BUFFERS = 4

SHORTEST_WAIT_S = 0.001
"""picamera2 takes a wait of 0 for "do not wait, return the job"."""

FACE_CONTROLS = {
    "AeExposureMode": 1,  # libcamera AeExposureModeEnum.Short: rather gain than motion blur
    "AfMode": 2,  # libcamera AfModeEnum.Continuous
}
"""Set where the camera advertises them."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream as the camera configured it, which may differ from what was asked for."""

    width: int
    height: int
    stride: int
    """Bytes from one row to the next."""


def detect_stream_size(size: tuple[int, int], bound: tuple[int, int]) -> tuple[int, int]:
    """The largest even (width, height) within `bound` that has the shape of `size`.

    A lores stream of another shape would be squeezed or cut, and its faces with it.
    """
    scale = min(bound[0] / size[0], bound[1] / size[1], 1.0)
    return max(2, round(size[0] * scale / 2) * 2), max(2, round(size[1] * scale / 2) * 2)


def bgr_of_yuv420(planes: Image, stream: Stream) -> Image:
    """BGR `(height, width, 3)` of a padded I420 array `(height * 3 // 2, stride)`.

    Converted before the padding is cut off: the chroma rows lie two to a row of the array.
    """
    if planes.shape != (stream.height * 3 // 2, stream.stride):
        raise CameraError(
            f"the camera delivered a lores array {planes.shape}, not "
            f"{(stream.height * 3 // 2, stream.stride)} as configured"
        )
    bgr = cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420)
    return np.ascontiguousarray(bgr[: stream.height, : stream.width], np.uint8)


class Picamera2Source(FrameSource):
    """Fresh frames of camera `index`; a frame completed before `read()` was called is not used.

    `size` is that of `Frame.image`, `detect_size` bounds that of `Frame.detect_image`, which has
    the shape of `size`. The camera may adjust both a little.
    """

    def __init__(self, camera: Picamera2Camera, clock: Clock | None = None) -> None:
        super().__init__(camera.name, clock)
        self._index = camera.index
        self._size = camera.size
        self._detect_size = detect_stream_size(camera.size, camera.detect_size)
        self._frame_us = round(1e6 / camera.fps)
        self._rest_s = (frames_at_rest(camera.fps) - 1) / camera.fps
        self._camera: Any = None
        self._job: Any = None
        self._main = Stream(0, 0, 0)
        self._lores = Stream(0, 0, 0)

    def _start(self) -> None:
        vendor = import_picamera2()
        try:
            self._camera, self._main, self._lores = call_bounded(
                lambda: self._acquire(vendor.Picamera2),
                OPEN_TIMEOUT_S,
                f"opening camera {self._index}",
                late=lambda opened: opened[0].close(),
            )
        except FrameTimeoutError as error:
            raise CameraError(f"{error}; check the camera's cable and power, or reboot") from error

    def _acquire(self, factory: Any) -> tuple[Any, Stream, Stream]:
        """Runs on a helper thread: open, configure, start; on an error nothing stays open."""
        models = [str(info.get("Model", "?")) for info in factory.global_camera_info()]
        if self._index >= len(models):
            raise CameraError(
                f"no camera {self._index}: libcamera finds {', '.join(models) or 'none'}; check "
                "the cable (`rpicam-hello --list-cameras`) or set camera.index"
            )
        try:
            camera = factory(self._index)
        except (RuntimeError, IndexError, OSError) as error:
            raise CameraError(
                f"camera {self._index} ({models[self._index]}) cannot be opened: {error}; another "
                "program may hold it"
            ) from error
        try:
            streams = self._configure(camera)
            camera.start()
        except (RuntimeError, ValueError, OSError) as error:
            with suppress(Exception):
                camera.close()
            if isinstance(error, CameraError):
                raise
            raise CameraError(f"camera {self._index} refuses its settings: {error}") from error
        return camera, *streams

    def _configure(self, camera: Any) -> tuple[Stream, Stream]:
        wanted = camera.create_video_configuration(
            main={"size": self._size, "format": "RGB888"},
            lores={"size": self._detect_size, "format": "YUV420"},
            raw=None,
            buffer_count=BUFFERS,
            display=None,
            encode=None,
            queue=False,
            controls={"FrameDurationLimits": (self._frame_us, self._frame_us)},
        )
        camera.align_configuration(wanted)
        camera.configure(wanted)
        advertised = camera.camera_controls
        camera.set_controls({k: v for k, v in FACE_CONTROLS.items() if k in advertised})
        chosen = camera.camera_configuration()
        return _stream(chosen["main"], "RGB888"), _stream(chosen["lores"], "YUV420")

    def _next(self, timeout_s: float) -> Picture:
        if self._resting:  # the frames of meanwhile are made into nothing
            rest_s = min(self._rest_s, timeout_s)
            self._clock.sleep(rest_s)
            timeout_s -= rest_s
        self._drop_stale_job()
        before_ns = self._clock.boottime_ns()
        with self._request(timeout_s) as request:
            metadata = request.get_metadata()
            image = np.asarray(request.make_array("main"), np.uint8)
            detect_image = bgr_of_yuv420(
                np.asarray(request.make_array("lores"), np.uint8), self._lores
            )
        sensor_ns = metadata.get("SensorTimestamp")
        # Without the sensor's time: when the wait began, which is rather too early than too late.
        at_ns = before_ns if sensor_ns is None else boottime_of_sensor(self._clock, int(sensor_ns))
        return Picture(
            image,
            stamp_at(self._clock, at_ns),
            detect_image=detect_image,
            detect_scale=(
                self._main.width / self._lores.width,
                self._main.height / self._lores.height,
            ),
        )

    def _expose(self, ev: float) -> None:
        """libcamera meters by the weights of the camera's tuning file and takes no window of a face
        (raspberrypi/picamera2 issues 302 and 1338); what it aims at can be raised or lowered."""
        limits = self._camera.camera_controls.get("ExposureValue")
        if limits is None:
            _log.warning("camera %d takes no ExposureValue: its exposure is its own", self._index)
            return
        try:
            self._camera.set_controls({"ExposureValue": max(limits[0], min(limits[1], ev))})
        except (RuntimeError, OSError) as error:
            _log.warning("camera %d: the exposure cannot be set: %s", self._index, error)

    @contextmanager
    def _request(self, timeout_s: float) -> Iterator[Any]:
        """A completed request, released at the end. Raises FrameTimeoutError or CameraError."""
        try:
            if self._job is None:
                self._job = self._camera.capture_request(wait=False)
            request = self._camera.wait(self._job, timeout=max(SHORTEST_WAIT_S, timeout_s))
        except TimeoutError as error:
            raise FrameTimeoutError(
                f"camera {self._index}: no frame within {timeout_s:g} s"
            ) from error
        except (RuntimeError, OSError, CancelledError) as error:
            self._job = None
            raise CameraError(f"camera {self._index} was lost: {error}") from error
        self._job = None
        try:
            yield request
        except (RuntimeError, ValueError, cv2.error) as error:
            raise CameraError(f"camera {self._index} delivered a bad frame: {error}") from error
        finally:
            request.release()

    def _drop_stale_job(self) -> None:
        """Give back the request of a kept job that was completed while nobody waited."""
        if self._job is None:
            return
        with suppress(TimeoutError, RuntimeError, OSError, CancelledError):
            request = self._camera.wait(self._job, timeout=0)
            self._job = None
            request.release()

    def _stop(self) -> None:
        camera, self._camera = self._camera, None
        job, self._job = self._job, None
        try:
            call_bounded(
                lambda: _shut(camera, job), CLOSE_TIMEOUT_S, f"closing camera {self._index}"
            )
        except Exception as error:  # noqa: BLE001  (nothing a caller of close() could do)
            _log.warning("camera %d was not closed properly: %s", self._index, error)


def _shut(camera: Any, job: Any) -> None:
    if job is not None:
        camera.cancel_all_and_flush()
        # It may have been completed before it was cancelled; then its buffer is ours to return.
        with suppress(TimeoutError, RuntimeError, OSError, CancelledError):
            camera.wait(job, timeout=0).release()
    camera.close()


def _stream(configured: Any, wanted_format: str) -> Stream:
    if configured["format"] != wanted_format:
        raise CameraError(
            f"the camera chose the format {configured['format']}, not {wanted_format}"
        )
    width, height = configured["size"]
    return Stream(int(width), int(height), int(configured["stride"]))


def import_picamera2() -> Any:
    """The vendor module. Raises RuntimeMissingError that names what to install."""
    try:
        return importlib.import_module("picamera2")
    except ImportError as error:
        raise RuntimeMissingError(
            "camera.source picamera2 needs the package picamera2, which Raspberry Pi OS has and "
            "Debian has not: `sudo apt install python3-picamera2 --no-install-recommends`, and a "
            f"virtual environment made with `--system-site-packages` ({error})"
        ) from error
    except (OSError, ValueError) as error:
        raise RuntimeMissingError(
            f"picamera2 is installed but cannot be loaded: {error}; it needs the numpy it was "
            "built against (on Debian 12: numpy<2)"
        ) from error
