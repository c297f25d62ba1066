"""The thread that reads a live capture, on scripted captures: V4L2 needs a device."""

from __future__ import annotations

import queue
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.base.clock import NS, Clock, ManualClock
from edgeface.base.errors import CameraError, FrameTimeoutError
from edgeface.capture import reader as reader_module
from edgeface.capture.bounded import call_bounded
from edgeface.capture.reader import CaptureReader
from edgeface.capture.v4l2 import check_device
from tests.support.cameras import v4l2

WAIT_S = 10.0


class ScriptedCapture:
    """A `cv2.VideoCapture` whose frames are handed in: a number, None for a grab that fails."""

    def __init__(self, opened: bool = True) -> None:
        self.frames: queue.Queue[int | None] = queue.Queue()
        self.opened = opened
        self.released = threading.Event()
        self.retrieved: list[int] = []
        self.position_ms = 0.0
        self._number = 0

    def end(self) -> None:
        """No grab works from now on."""
        for _ in range(reader_module.MOST_DAMAGED + 1):
            self.frames.put(None)

    def isOpened(self) -> bool:  # noqa: N802
        return self.opened

    def grab(self) -> bool:
        number = self.frames.get()
        self._number = number or 0
        return number is not None

    def retrieve(self) -> tuple[bool, np.ndarray | None]:
        self.retrieved.append(self._number)
        return True, np.full((4, 4, 3), self._number, np.uint8)

    def get(self, what: int) -> float:
        assert what == cv2.CAP_PROP_POS_MSEC
        return self.position_ms

    def release(self) -> None:
        self.released.set()


def start(
    capture: ScriptedCapture,
    clock: Clock | None = None,
    driver_stamps: bool = False,
    max_fps: float | None = None,
) -> CaptureReader:
    return CaptureReader(
        lambda: capture,
        what="camera",
        clock=clock or Clock(),
        open_timeout_s=WAIT_S,
        driver_stamps=driver_stamps,
        max_fps=max_fps,
    )


def drained(capture: ScriptedCapture, reader: CaptureReader, *numbers: int | None) -> None:
    """Hand frames in and wait until the reader has dealt with all of them."""
    for number in numbers:
        capture.frames.put(number)
    capture.end()
    assert capture.released.wait(WAIT_S)
    reader.close()


def test_the_latest_frame_wins_and_the_steps_count_the_others() -> None:
    capture = ScriptedCapture()
    reader = start(capture)
    capture.frames.put(1)
    assert reader.read(WAIT_S).step == 1
    drained(capture, reader, 2, 3, 4)
    picture = reader.read(WAIT_S)
    assert (picture.image[0, 0, 0], picture.step) == (4, 3)
    assert reader._slot.drops == 2


def test_no_frame_is_a_timeout_and_the_end_a_loss() -> None:
    capture = ScriptedCapture()
    reader = start(capture)
    with pytest.raises(FrameTimeoutError, match="camera"):
        reader.read(0)
    drained(capture, reader)
    with pytest.raises(CameraError, match="was lost") as caught:
        reader.read(WAIT_S)
    assert not isinstance(caught.value, FrameTimeoutError)


def test_pictures_that_are_damaged_are_counted_and_left_out() -> None:
    capture = ScriptedCapture()
    reader = start(capture)
    capture.frames.put(1)
    reader.read(WAIT_S)
    drained(capture, reader, None, None, 2)
    assert reader.read(WAIT_S).step == 3


def test_a_grab_that_failed_after_a_wait_is_a_loss_at_once() -> None:
    clock = ManualClock()

    class Gone(ScriptedCapture):
        def grab(self) -> bool:
            clock.sleep(5)
            return super().grab()

    capture = Gone()
    reader = start(capture, clock)
    capture.frames.put(None)
    assert capture.released.wait(WAIT_S)
    with pytest.raises(CameraError, match="was lost"):
        reader.read(WAIT_S)


@pytest.mark.parametrize(
    ("age_ms", "believed"),
    [
        pytest.param(40.0, True, id="fresh"),
        pytest.param(1e9, False, id="no stamp at all"),
        pytest.param(-50.0, False, id="from the future"),
    ],
)
def test_the_drivers_stamp_is_taken_when_it_can_be_true(age_ms: float, believed: bool) -> None:
    clock = ManualClock()
    capture = ScriptedCapture()
    capture.position_ms = max(0.0, clock.monotonic_ns() / 1e6 - age_ms)
    reader = start(capture, clock, driver_stamps=True)
    capture.frames.put(1)
    at_ns = reader.read(WAIT_S).stamp.boottime_ns
    assert at_ns == clock.boottime_ns() - (round(age_ms * 1e6) if believed else 0)
    drained(capture, reader)


def test_a_frame_that_lay_in_the_driver_keeps_its_age() -> None:
    clock = ManualClock()
    capture = ScriptedCapture()
    reader = start(capture, clock, driver_stamps=True)
    capture.position_ms = clock.monotonic_ns() / 1e6
    capture.frames.put(1)
    first_ns = reader.read(WAIT_S).stamp.boottime_ns
    # The process is held up: the driver has filled its buffers meanwhile.
    capture.position_ms += 100
    clock.sleep(60)
    capture.frames.put(2)
    assert reader.read(WAIT_S).stamp.boottime_ns == first_ns + NS // 10
    drained(capture, reader)


@pytest.mark.parametrize(("resting", "decoded"), [(False, 10), (True, 6)])
def test_frames_above_the_rate_and_more_at_rest_are_not_even_decoded(
    resting: bool, decoded: int
) -> None:
    clock = ManualClock()

    class Camera30(ScriptedCapture):
        def grab(self) -> bool:
            clock.sleep(1 / 30)
            return super().grab()

    capture = Camera30()
    reader = start(capture, clock, max_fps=10)
    reader.resting = resting
    drained(capture, reader, *range(30))
    assert len(capture.retrieved) == decoded


def test_a_capture_that_does_not_open_is_released() -> None:
    capture = ScriptedCapture(opened=False)
    with pytest.raises(CameraError, match="camera cannot be opened"):
        start(capture)
    assert capture.released.is_set()


def test_a_driver_that_holds_the_thread_does_not_hold_close(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(reader_module, "CLOSE_TIMEOUT_S", 0.02)
    capture = ScriptedCapture()
    reader = start(capture)
    reader.close()
    assert reader._thread.is_alive()
    capture.frames.put(1)  # the driver comes back: the thread ends and releases
    assert capture.released.wait(WAIT_S)
    reader.close()
    assert not reader._thread.is_alive()


def test_a_call_that_returns_too_late_has_its_result_released() -> None:
    let_go, released = threading.Event(), threading.Event()

    def hang() -> int:
        let_go.wait(WAIT_S)
        return 7

    late: list[int] = []

    def release(result: int) -> None:
        late.append(result)
        released.set()

    with pytest.raises(FrameTimeoutError, match="opening did not return within"):
        call_bounded(hang, 0.02, "opening", late=release)
    let_go.set()
    assert released.wait(WAIT_S)
    assert late == [7]


def test_a_call_brings_its_result_and_its_exception() -> None:
    assert call_bounded(lambda: 3, WAIT_S, "adding") == 3
    with pytest.raises(ZeroDivisionError):
        call_bounded(lambda: 1 // 0, WAIT_S, "dividing")


def test_a_file_is_no_video_device(tmp_path: Path) -> None:
    path = tmp_path / "door.mp4"
    path.touch()
    with pytest.raises(CameraError, match=r"camera\.source: stream"):
        check_device(path)


def test_a_device_that_is_no_camera_says_how_to_find_one() -> None:
    with pytest.raises(CameraError, match=r"cannot be opened.*v4l2-ctl --list-devices"):
        v4l2("/dev/null").open()


@pytest.mark.parametrize("device", [97, "97", "/dev/video97"], ids=["number", "text", "path"])
def test_a_missing_device_is_named(device: int | str) -> None:
    with pytest.raises(CameraError, match=r"no camera at /dev/video97 .*v4l2-ctl"):
        v4l2(device).open()


def test_the_stamp_of_reading_is_now() -> None:
    clock = ManualClock()
    capture = ScriptedCapture()
    reader = start(capture, clock)
    capture.frames.put(1)
    assert reader.read(WAIT_S).stamp.boottime_ns == clock.boottime_ns()
    clock.sleep(3)
    capture.frames.put(2)
    assert reader.read(WAIT_S).stamp.boottime_ns == 1003 * NS
    drained(capture, reader)


class Backlit(ScriptedCapture):
    """A driver with a backlight compensation of two levels, at 1."""

    def __init__(self) -> None:
        super().__init__()
        self.level = 1.0
        self.broken = False
        self.taken: list[float] = []

    def get(self, what: int) -> float:
        return self.level if what == cv2.CAP_PROP_BACKLIGHT else super().get(what)

    def set(self, what: int, value: float) -> bool:
        assert what == cv2.CAP_PROP_BACKLIGHT
        self.taken.append(value)
        takes = value <= 2 and not self.broken
        if takes:
            self.level = value
        return takes


def test_a_usb_cameras_backlight_compensation_is_raised_and_given_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source, capture = v4l2("/dev/video0"), Backlit()
    reader = CaptureReader(
        lambda: capture,  # type: ignore[arg-type,return-value]
        what="camera",
        clock=Clock(),
        open_timeout_s=WAIT_S,
        grabbed=source._adjust,
    )
    source._reader, source.is_open = reader, True

    def level_after(ev: float) -> float:
        source.expose(ev)
        capture.frames.put(1)
        reader.read(WAIT_S)
        return capture.level

    assert level_after(0.3) == 1
    assert level_after(1.2) == 2
    assert level_after(1.4) == 2
    assert capture.taken == [2.0]
    assert level_after(-2.0) == 1
    assert level_after(2.6) == 2, "the highest there is"
    assert level_after(1.4) == 2
    assert not caplog.records
    capture.broken = True
    assert level_after(0.0) == 2
    assert "cannot be set" in caplog.text
    capture.broken = False
    capture.end()
    source.close()
    assert capture.released.wait(WAIT_S)
    assert capture.taken[-1] == 1.0
