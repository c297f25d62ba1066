"""A stand-in for the module `picamera2` that keeps its rules, for machines without a camera.

What it holds users to, as picamera2 0.3.36 and libcamera do:

- one `Picamera2` per camera; opening a second raises RuntimeError until the first is closed;
- a configuration has only known keys; lores is not larger than main and both have even sides;
  `align_configuration` widens streams, and `configure` writes format, size and stride back;
- a completed request borrows one of `buffer_count` buffers. When none is left, no frame comes.
  It has to be released exactly once; afterwards its arrays are gone;
- `capture_request(wait=number)` that times out raises TimeoutError and leaves its job in the
  queue, where it later takes a buffer for nobody; `wait=False` or 0 returns the job;
- `cancel_all_and_flush()` cancels all jobs, and is for tidying up before `close()`;
- with `queue=False` only frames completed after the call are delivered.

Frames are produced by a thread of the stand-in. `Rig` is what tests hold in their hands.
"""

from __future__ import annotations

import threading
import time
import types
from concurrent.futures import CancelledError, Future
from typing import Any

import numpy as np

STREAM_KEYS = {"format", "size", "stride", "preserve_ar"}
ALIGN_PX = 64


class Rig:
    """The cameras of the stand-in and what went wrong with them."""

    def __init__(self, models: tuple[str, ...] = ("imx708",), frame_s: float = 0.004) -> None:
        self.models = models
        self.frame_s = frame_s
        self.stalled = threading.Event()
        """While set, no frame is completed: a loose cable."""
        self.advertised: dict[str, Any] = {"AeExposureMode": (0, 3, 0), "AfMode": (0, 2, 0)}
        self.open_cameras: dict[int, Camera] = {}
        self.cameras: list[Camera] = []
        self.lost_buffers = 0
        """Requests that were still out when their camera was closed."""
        self.stamp_clock = time.CLOCK_MONOTONIC
        self.with_stamp = True
        self.lores_rows_missing = 0
        self.hang_on_close = threading.Event()
        self.let_go = threading.Event()
        self.completed = threading.Event()
        """Set with every request that is completed for a job."""

    def module(self) -> types.ModuleType:
        """What to put into `sys.modules["picamera2"]`."""
        rig = self

        class Picamera2(Camera):
            def __init__(self, index: int = 0) -> None:
                super().__init__(rig, index)

            @staticmethod
            def global_camera_info() -> list[dict[str, Any]]:
                return [{"Model": model, "Num": n} for n, model in enumerate(rig.models)]

        module = types.ModuleType("picamera2")
        module.Picamera2 = Picamera2  # type: ignore[attr-defined]
        return module


class Job:
    def __init__(self) -> None:
        self.future: Future[Request] = Future()
        self.future.set_running_or_notify_cancel()

    def get_result(self, timeout: float | None = None) -> Request:
        return self.future.result(timeout=timeout)


class Request:
    def __init__(self, camera: Camera, number: int) -> None:
        self._camera = camera
        self._number = number
        self._uses = 1
        clock = camera.rig.stamp_clock
        self._stamp_ns = time.clock_gettime_ns(clock)

    def get_metadata(self) -> dict[str, Any]:
        self._check()
        metadata: dict[str, Any] = {"ExposureTime": 8000, "AnalogueGain": 1.5}
        if self._camera.rig.with_stamp:
            metadata["SensorTimestamp"] = self._stamp_ns
        return metadata

    def make_array(self, name: str) -> np.ndarray[Any, Any]:
        self._check()
        stream = self._camera.camera_config[name]
        width, height = stream["size"]
        if stream["format"] == "RGB888":  # B, G, R in memory, cropped by picamera2
            array = np.zeros((height, width, 3), np.uint8)
            array[...] = (200, 60, 30)
            array[..., 1] += np.uint8(self._number % 32)
            return array
        rows = height * 3 // 2 - self._camera.rig.lores_rows_missing
        planes = np.full((rows, stream["stride"]), 255, np.uint8)  # padding shines through
        flat = planes.reshape(-1)
        y, u, v = 74, 194, 105  # BT.601 limited range of the color above
        planes[:height, :width] = y
        half, start = stream["stride"] // 2, height * stream["stride"]
        for plane, value in ((0, u), (1, v)):
            for row in range(height // 2):
                at = start + (plane * (height // 2) + row) * half
                flat[at : at + width // 2] = value
        return planes

    def acquire(self) -> None:
        self._uses += 1

    def release(self) -> None:
        if self._uses <= 0:
            raise RuntimeError("CompletedRequest: acquire/release mismatch")
        self._uses -= 1
        if self._uses == 0:
            self._camera.give_back()

    def _check(self) -> None:
        if self._uses <= 0:
            raise RuntimeError("the request was released: its buffer belongs to the camera")


class Camera:
    def __init__(self, rig: Rig, index: int) -> None:
        if index >= len(rig.models) or index in rig.open_cameras:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self.rig = rig
        self.index = index
        self.camera_config: dict[str, Any] = {}
        self.camera_controls = rig.advertised
        self.controls: dict[str, Any] = {}
        self.flushed = 0
        self.is_open = True
        self._lock = threading.Lock()
        self._jobs: list[Job] = []
        self._out = 0
        self._number = 0
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        rig.open_cameras[index] = self
        rig.cameras.append(self)

    def create_video_configuration(
        self,
        main: dict[str, Any],
        lores: dict[str, Any] | None = None,
        raw: dict[str, Any] | None = None,
        buffer_count: int = 6,
        controls: dict[str, Any] | None = None,
        display: str | None = "main",
        encode: str | None = "main",
        queue: bool = True,
    ) -> dict[str, Any]:
        for stream in (main, lores or {}, raw or {}):
            for key in stream:
                if key not in STREAM_KEYS:
                    raise ValueError(f"Bad key {key!r}")
        for name in (display, encode):
            if name is not None and name not in ("main", "lores", "raw"):
                raise RuntimeError(f"stream {name} was not defined")
        return {
            "main": {"format": "XBGR8888", "size": (1280, 720), **main},
            "lores": None if lores is None else {"format": "YUV420", **lores},
            "raw": raw,
            "buffer_count": buffer_count,
            "controls": dict(controls or {}),
            "display": display,
            "encode": encode,
            "queue": queue,
        }

    def align_configuration(self, config: dict[str, Any]) -> None:
        """Like the VC4's: lores keeps its size and gets a wider stride, main is left."""
        for stream in (config["main"], config["lores"]):
            if stream is not None:
                width, height = stream["size"]
                stream["size"] = (width - width % 2, height - height % 2)

    def configure(self, config: dict[str, Any]) -> None:
        main, lores = config["main"], config["lores"]
        for stream in (main, lores):
            if stream is None:
                continue
            width, height = stream["size"]
            if width % 2 or height % 2:
                raise RuntimeError(f"Configuration failed: {config}")
            pixel = {"RGB888": 3, "YUV420": 1}.get(stream["format"], 4)
            stream["stride"] = -(-width * pixel // ALIGN_PX) * ALIGN_PX
        if lores is not None:
            if lores["size"][0] > main["size"][0] or lores["size"][1] > main["size"][1]:
                raise RuntimeError("lores stream dimensions may not exceed main stream")
            if lores["format"] != "YUV420":
                raise RuntimeError("lores stream must be YUV")
        self.camera_config = config
        self.controls = dict(config["controls"])

    def camera_configuration(self) -> dict[str, Any]:
        return self.camera_config

    def set_controls(self, controls: dict[str, Any]) -> None:
        for name in controls:
            if name not in self.camera_controls:
                raise RuntimeError(f"Control {name} is not advertised by libcamera")
        self.controls.update(controls)

    def start(self) -> None:
        if not self.camera_config:
            raise RuntimeError("Camera has not been configured")
        self._thread = threading.Thread(target=self._run, name="stand-in camera", daemon=True)
        self._thread.start()

    def capture_request(self, wait: float | bool | None = None) -> Any:
        if not self.is_open:
            raise RuntimeError("the camera is closed")
        job = Job()
        with self._lock:
            self._jobs.append(job)
        if wait is None or wait is True:
            raise AssertionError("a wait without bound: the camera may stall for ever")
        return job.get_result(timeout=wait) if wait else job

    def wait(self, job: Job, timeout: float | None = None) -> Request:
        if timeout is None:
            raise AssertionError("a wait without bound: the camera may stall for ever")
        return job.get_result(timeout=timeout)

    def cancel_all_and_flush(self) -> None:
        with self._lock:
            for job in self._jobs:
                job.future.set_exception(CancelledError())
            self._jobs = []
            self.flushed += 1

    def close(self) -> None:
        if not self.is_open:
            return
        if self.rig.hang_on_close.is_set():
            self.rig.let_go.wait(30)
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)
        with self._lock:
            if self._jobs:
                raise AssertionError("closed with jobs in the queue: cancel_all_and_flush() first")
            self.rig.lost_buffers += self._out
        self.is_open = False
        self.rig.open_cameras.pop(self.index, None)

    @property
    def jobs(self) -> int:
        """Jobs in the queue."""
        with self._lock:
            return len(self._jobs)

    @property
    def buffers_out(self) -> int:
        """Requests that nobody has released yet."""
        with self._lock:
            return self._out

    def give_back(self) -> None:
        with self._lock:
            self._out -= 1

    def _run(self) -> None:
        while not self._stop.wait(self.rig.frame_s):
            if not self.rig.stalled.is_set():
                self._complete_one()

    def _complete_one(self) -> None:
        with self._lock:
            if self._out >= self.camera_config["buffer_count"]:
                return  # starved: the camera has no buffer to fill
            self._number += 1
            if not self._jobs:
                return  # queue=False: a frame nobody waits for goes straight back
            self._out += 1
            job = self._jobs.pop(0)
            job.future.set_result(Request(self, self._number))
            self.rig.completed.set()
