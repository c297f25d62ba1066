"""The picamera2 back end against the stand-in that keeps picamera2's rules."""

from __future__ import annotations

import sys
import time

import numpy as np
import pytest

from edgeface.base.clock import Clock
from edgeface.base.errors import CameraError, FrameTimeoutError, RuntimeMissingError
from edgeface.capture import picamera2 as back_end
from edgeface.capture.picamera2 import (
    Picamera2Source,
    Stream,
    bgr_of_yuv420,
    detect_stream_size,
)
from tests.support.cameras import picamera2, reopening
from tests.support.picamera2_standin import Rig

WAIT_S = 10.0


def small(index: int = 0) -> Picamera2Source:
    return picamera2(index=index, size=(160, 96), detect_size=(80, 48))


def test_one_request_gives_both_pictures_in_true_colors(rig: Rig) -> None:
    with picamera2() as source:
        frame = source.read(WAIT_S)
        (camera,) = rig.cameras
        assert camera.camera_config["main"]["size"] == (1280, 720)
        assert camera.camera_config["queue"] is False
        assert camera.controls["FrameDurationLimits"] == (100_000, 100_000)
        assert camera.controls["AeExposureMode"] == 1
    assert frame.image.shape == (720, 1280, 3)
    assert frame.detect_image is not None
    assert frame.detect_image.shape == (180, 320, 3)
    assert frame.detect_scale == (4.0, 4.0)
    blue, _, red = frame.image[0, 0]
    assert (blue, red) == (200, 30)
    assert np.abs(frame.detect_image.astype(int) - (200, 60, 30)).max() <= 3


def test_the_padding_of_lores_is_cut_off(rig: Rig) -> None:
    with small() as source:
        frame = source.read(WAIT_S)
        assert rig.cameras[0].camera_config["lores"]["stride"] == 128
    assert frame.detect_image is not None
    assert frame.detect_image.shape == (48, 80, 3)
    assert np.ptp(frame.detect_image.reshape(-1, 3), axis=0).max() == 0


def test_every_buffer_comes_back(rig: Rig) -> None:
    with small() as source:
        for _ in range(30):
            source.read(WAIT_S)
            assert rig.cameras[0].buffers_out == 0


def test_controls_the_camera_does_not_have_are_not_set(rig: Rig) -> None:
    rig.advertised = {}
    with small() as source:
        source.read(WAIT_S)
        assert set(rig.cameras[0].controls) == {"FrameDurationLimits"}


def test_time_outs_leave_one_job_that_the_next_read_takes_up(rig: Rig) -> None:
    with small() as source:
        source.read(WAIT_S)
        rig.stalled.set()
        for _ in range(8):  # twice as many as there are buffers
            with pytest.raises(FrameTimeoutError):
                source.read(0.001)
            assert rig.cameras[0].jobs <= 1
        rig.stalled.clear()
        source.read(WAIT_S)
        assert rig.cameras[0].jobs == 0
        assert rig.cameras[0].buffers_out == 0


def test_closing_after_a_time_out_flushes_first_and_the_camera_opens_again(rig: Rig) -> None:
    source = small()
    with source:
        rig.stalled.set()
        with pytest.raises(FrameTimeoutError):
            source.read(0.001)
    assert rig.cameras[0].flushed == 1
    rig.stalled.clear()
    with source:
        source.read(WAIT_S)
    assert rig.cameras[1].flushed == 0
    assert rig.lost_buffers == 0


def _leave_a_completed_job(rig: Rig, source: Picamera2Source) -> None:
    rig.stalled.set()
    with pytest.raises(FrameTimeoutError):
        source.read(0.001)
    rig.completed.clear()
    rig.stalled.clear()
    assert rig.completed.wait(WAIT_S)


def test_a_frame_completed_while_nobody_waited_is_not_delivered(rig: Rig) -> None:
    with small() as source:
        _leave_a_completed_job(rig, source)
        before_ns = Clock().boottime_ns()
        assert source.read(WAIT_S).boottime_ns >= before_ns
        assert rig.cameras[0].buffers_out == 0


def test_closing_gives_back_a_frame_completed_while_nobody_waited(rig: Rig) -> None:
    with small() as source:
        _leave_a_completed_job(rig, source)
    assert rig.lost_buffers == 0


@pytest.mark.parametrize(
    "clock",
    [
        pytest.param(time.CLOCK_MONOTONIC, id="monotonic"),
        pytest.param(time.CLOCK_BOOTTIME, id="boottime"),
        pytest.param(None, id="no stamp"),
    ],
)
def test_the_stamp_is_the_sensors_whatever_its_clock(rig: Rig, clock: int | None) -> None:
    rig.with_stamp = clock is not None
    rig.stamp_clock = time.CLOCK_MONOTONIC if clock is None else clock
    with small() as source:
        before_ns = Clock().boottime_ns()
        frame = source.read(WAIT_S)
        # 1 us: the two clocks of the mapping are read one after the other.
        assert before_ns - 1_000_000 <= frame.boottime_ns <= Clock().boottime_ns()


def test_a_bad_frame_is_an_error_and_its_buffer_comes_back(rig: Rig) -> None:
    rig.lores_rows_missing = 1
    with small() as source:
        with pytest.raises(CameraError, match="as configured"):
            source.read(WAIT_S)
        assert rig.cameras[0].buffers_out == 0


def test_a_camera_in_use_says_so(rig: Rig) -> None:
    with small() as first:
        first.read(WAIT_S)
        with pytest.raises(CameraError, match="another program may hold it"):
            small().open()


def test_a_wrong_index_names_the_cameras_there_are(rig: Rig) -> None:
    with pytest.raises(CameraError, match=r"no camera 3: libcamera finds imx708; .*camera\.index"):
        small(3).open()


def test_refused_settings_leave_nothing_open(rig: Rig) -> None:
    source = small()
    source._detect_size = (320, 240)
    with pytest.raises(CameraError, match="refuses its settings: lores"):
        source.open()
    assert not rig.open_cameras


def test_without_picamera2_the_error_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(RuntimeMissingError, match="apt install python3-picamera2") as caught:
        small().open()
    assert caught.value.exit_code == 3


def test_a_close_that_hangs_is_left_behind(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(back_end, "CLOSE_TIMEOUT_S", 0.02)
    source = small()
    source.open()
    rig.hang_on_close.set()
    source.close()
    assert not source.is_open
    with pytest.raises(CameraError, match="another program may hold it"):
        source.open()
    rig.hang_on_close.clear()
    rig.let_go.set()


def test_a_stalled_camera_is_opened_again(rig: Rig) -> None:
    keeper = reopening(small(), stall_timeout_s=0.02, reopen_min_s=0.001, reopen_max_s=0.002)
    with keeper:
        first = keeper.read(WAIT_S)
        rig.stalled.set()
        while keeper.health.reopened < 2:
            with pytest.raises(FrameTimeoutError):
                keeper.read(0.03)
        rig.stalled.clear()
        assert keeper.read(WAIT_S).sequence > first.sequence
        assert keeper.health.stalls >= 2
        assert keeper.health.last_error is None
    assert not rig.open_cameras


@pytest.mark.parametrize(
    ("size", "bound", "expected"),
    [
        pytest.param((1280, 720), (320, 240), (320, 180), id="wide"),
        pytest.param((640, 480), (320, 240), (320, 240), id="same shape"),
        pytest.param((720, 1280), (320, 240), (136, 240), id="portrait"),
        pytest.param((160, 96), (320, 240), (160, 96), id="not larger than main"),
    ],
)
def test_the_detection_stream_has_the_shape_of_main(
    size: tuple[int, int], bound: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert detect_stream_size(size, bound) == expected


def test_yuv420_is_converted_where_it_is_and_then_cropped() -> None:
    """Left half blue, right half red, with 16 columns of padding of another color."""
    import cv2

    bgr = np.zeros((16, 48, 3), np.uint8)
    bgr[:, :16] = (255, 0, 0)
    bgr[:, 16:32] = (0, 0, 255)
    bgr[:, 32:] = (0, 255, 0)
    planes = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8)
    out = bgr_of_yuv420(planes, Stream(width=32, height=16, stride=48))
    assert out.shape == (16, 32, 3)
    assert np.abs(out.astype(int) - bgr[:, :32]).max() <= 4


def test_the_exposure_is_a_control_within_the_cameras_bounds_and_outlives_a_new_start(
    rig: Rig,
) -> None:
    rig.advertised = rig.advertised | {"ExposureValue": (-8.0, 8.0, 0.0)}
    source = small()
    with source:
        source.expose(1.5)
        assert rig.cameras[0].controls["ExposureValue"] == 1.5
        source.expose(99.0)
        assert rig.cameras[0].controls["ExposureValue"] == 8.0
        source.expose(1.0)
    with source:
        assert rig.cameras[1].controls["ExposureValue"] == 1.0
        source.read(WAIT_S)


def test_a_camera_without_that_control_is_left_alone_and_says_so(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    with small() as source:
        source.expose(1.0)
        source.read(WAIT_S)
        assert "ExposureValue" not in rig.cameras[0].controls
    assert "takes no ExposureValue" in caplog.text


class Sleeps(Clock):
    """A clock that notes what was slept."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []

    def sleep(self, duration_s: float) -> None:
        self.slept_s.append(duration_s)


@pytest.mark.parametrize(
    ("fps", "left_out_s"), [(10.0, 0.1), (30.0, 5 / 30), (8.0, 0.0), (2.0, 0.0)]
)
def test_at_rest_frames_are_left_out_but_one_comes_within_200_ms(
    rig: Rig, fps: float, left_out_s: float
) -> None:
    clock = Sleeps()
    with picamera2(size=(160, 96), detect_size=(80, 48), fps=fps, clock=clock) as source:
        source.read(WAIT_S)
        assert clock.slept_s == []
        source.rest(True)
        source.read(WAIT_S)
        assert clock.slept_s == [pytest.approx(left_out_s)]
        assert left_out_s + 1 / fps <= max(0.2, 1 / fps) + 1e-9
        rig.stalled.set()
        with pytest.raises(FrameTimeoutError):
            source.read(0.02)
        rig.stalled.clear()
        source.rest(False)
        slept = len(clock.slept_s)
        source.read(WAIT_S)
        assert len(clock.slept_s) == slept
