"""Video files at their own pace or as fast as they decode, and network streams."""

from __future__ import annotations

import itertools
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import cv2
import pytest

from edgeface.base.addresses import redacted, without_secrets
from edgeface.base.clock import NS, ManualClock
from edgeface.base.errors import CameraError, ClosedError, EndOfStreamError, FrameTimeoutError
from edgeface.capture.stream import (
    address_of,
    file_of,
)
from edgeface.settings.camera import StreamCamera
from tests.support.cameras import network, reopening, video_file
from tests.support.mjpeg_server import MjpegServer, unused_port
from tests.support.pictures import FPS, FRAMES, number_of

WAIT_S = 10.0
ROOT = Path(__file__).resolve().parents[2]


def test_a_file_as_fast_as_possible_gives_every_frame_and_then_its_end(video: Path) -> None:
    with video_file(video, pace="as_fast_as_possible") as source:
        assert not source.live
        frames = [source.read(WAIT_S) for _ in range(FRAMES)]
        assert [number_of(frame.image) for frame in frames] == list(range(FRAMES))
        assert [frame.sequence for frame in frames] == list(range(FRAMES))
        for _ in range(2):
            with pytest.raises(EndOfStreamError, match="played to its end"):
                source.read(WAIT_S)


def test_a_file_at_its_own_pace_is_stamped_when_its_frames_are_due(video: Path) -> None:
    clock = ManualClock()
    with video_file(video, clock=clock) as source:
        assert source.live
        began_ns = clock.boottime_ns()
        frames = [source.read(WAIT_S) for _ in range(FRAMES)]
    assert [number_of(frame.image) for frame in frames] == list(range(FRAMES))
    due_ns = [round(n * NS / FPS) for n in range(FRAMES)]
    assert [frame.boottime_ns - began_ns for frame in frames] == due_ns


def test_frames_a_slow_reader_missed_are_dropped_and_counted(video: Path) -> None:
    clock = ManualClock()
    with video_file(video, clock=clock) as source:
        source.read(WAIT_S)
        clock.sleep(5.2 / FPS)
        late = source.read(WAIT_S)
        assert (number_of(late.image), late.sequence) == (5, 5)
        following = source.read(WAIT_S)
        assert (number_of(following.image), following.sequence) == (6, 6)


def test_a_reader_that_comes_after_the_end_finds_the_end(video: Path) -> None:
    clock = ManualClock()
    with video_file(video, clock=clock) as source:
        clock.sleep(60)
        with pytest.raises(EndOfStreamError):
            source.read(WAIT_S)


@pytest.mark.parametrize("pace", ["real_time", "as_fast_as_possible"])
def test_a_looped_file_begins_again(video: Path, pace: str) -> None:
    with video_file(video, pace=pace, loop=True, clock=ManualClock()) as source:
        frames = [source.read(WAIT_S) for _ in range(3 * FRAMES)]
    assert [number_of(frame.image) for frame in frames] == list(range(FRAMES)) * 3
    assert [frame.sequence for frame in frames] == list(range(3 * FRAMES))
    assert all(a.boottime_ns <= b.boottime_ns for a, b in itertools.pairwise(frames))


def test_a_late_reader_of_a_looped_file_goes_on_with_the_next_pass(video: Path) -> None:
    clock = ManualClock()
    with video_file(video, loop=True, clock=clock) as source:
        source.read(WAIT_S)
        clock.sleep(60)
        frame = source.read(WAIT_S)
        assert number_of(frame.image) == 0
        assert frame.sequence == FRAMES


def damaged(video: Path, path: Path, frames: Iterable[int]) -> Path:
    """The video with these frames overwritten."""
    content = bytearray(video.read_bytes())
    # The index names the frames' kind once before the first of them.
    chunks = [found.end() for found in re.finditer(b"00dc", bytes(content))][1:]
    for number in frames:
        start = chunks[number] + 4
        size = int.from_bytes(content[chunks[number] : start], "little")
        content[start : start + size] = bytes(size)
    path.write_bytes(content)
    return path


_open = cv2.VideoCapture


class ByFfmpeg:
    """It says of a damaged frame what it says of the end."""

    backend = cv2.CAP_FFMPEG

    def __init__(self) -> None:
        self._capture = _open()

    def open(self, path: str) -> bool:
        return self._capture.open(path, self.backend)

    def __getattr__(self, name: str) -> object:
        return getattr(self._capture, name)


class ByOpencv(ByFfmpeg):
    """It finds the damage only when the frame is fetched."""

    backend = cv2.CAP_OPENCV_MJPEG


@pytest.mark.parametrize("decoder", [ByFfmpeg, ByOpencv])
@pytest.mark.parametrize("pace", ["real_time", "as_fast_as_possible"])
def test_what_comes_after_a_damaged_frame_is_shown(
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    decoder: type[ByFfmpeg],
    pace: str,
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", decoder)
    clock = ManualClock()
    left = [number for number in range(FRAMES) if number != 2]
    path = damaged(video, tmp_path / "door.avi", [2])
    with video_file(path, pace=pace, loop=True, clock=clock) as source:
        began_ns = clock.boottime_ns()
        frames = [source.read(WAIT_S) for _ in range(2 * len(left))]
    assert [number_of(frame.image) for frame in frames] == left * 2
    assert [frame.sequence for frame in frames[: len(left)]] == left
    assert frames[len(left)].sequence == FRAMES
    if pace == "real_time":
        due_ns = [round(number * NS / FPS) for number in left]
        assert [frame.boottime_ns - began_ns for frame in frames[: len(left)]] == due_ns


@pytest.mark.parametrize("decoder", [ByFfmpeg, ByOpencv])
def test_a_file_without_a_good_frame_is_an_error_and_no_end(
    video: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    decoder: type[ByFfmpeg],
) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", decoder)
    path = damaged(video, tmp_path / "ruin.avi", range(FRAMES))
    with (
        pytest.raises(CameraError, match=r"ruin\.avi (holds no frame|is not a video)"),
        video_file(path, pace="as_fast_as_possible", loop=True) as source,
    ):
        source.read(WAIT_S)


@pytest.mark.parametrize("content", [b"", b"not a video\n" * 50], ids=["empty", "text"])
def test_a_file_that_is_no_video_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "door.mp4"
    path.write_bytes(content)
    with pytest.raises(CameraError, match=r"door\.mp4 is not a video"):
        video_file(path).open()


@pytest.mark.parametrize(
    ("url", "path"),
    [
        pytest.param("clips/door.mp4", Path("clips/door.mp4"), id="path"),
        pytest.param("file:///tmp/my%20door.mp4", Path("/tmp/my door.mp4"), id="file url"),
        pytest.param("rtsp://camera/stream", None, id="rtsp"),
        pytest.param("http://camera:8080/video", None, id="http"),
    ],
)
def test_paths_are_told_from_addresses(url: str, path: Path | None) -> None:
    assert file_of(url) == path


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://admin:hunter2@192.0.2.7:554/h264@25", "rtsp://***@192.0.2.7:554/h264@25"),
        ("rtsp://admin:hunt@r2@192.0.2.7/a", "rtsp://***@192.0.2.7/a"),
        ("rtsp://admin@192.0.2.7/a", "rtsp://***@192.0.2.7/a"),
        ("http://192.0.2.7/v?user=admin&password=hunter2", "http://192.0.2.7/v?***"),
        ("http://192.0.2.7?user=hunter2@b", "http://***"),
        ("rtsp://admin:hunt@er#2@192.0.2.7/a", "rtsp://***"),
        ("rtsp://admin:12/hunter2@192.0.2.7/a", "rtsp://***"),
        ("rtsp://admin:12?hunter2@192.0.2.7/a", "rtsp://***"),
        ("rtsp://192.0.2.7:554/a", "rtsp://192.0.2.7:554/a"),
        ("file:///clips/a@b.mp4", "file:///clips/a@b.mp4"),
        ("clips/a@b.mp4", "clips/a@b.mp4"),
    ],
)
def test_what_is_secret_in_an_address_is_not_shown(url: str, shown: str) -> None:
    assert redacted(url) == shown
    said = without_secrets(f'cannot open "{url}" (1)')
    assert "hunt" not in said
    assert said == (f'cannot open "{shown}" (1)')


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("rtsp://192.0.2.7/a", "rtsp://ad%40min:p%40ss%23w@192.0.2.7/a"),
        ("http://c/v?user={username}&pwd={password}", "http://c/v?user=ad%40min&pwd=p%40ss%23w"),
    ],
)
def test_a_password_comes_from_a_file(tmp_path: Path, url: str, address: str) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss#w\n")
    file.chmod(0o600)
    camera = StreamCamera(source="stream", url=url, username="ad@min", password_file=file)
    assert address_of(camera) == address
    file.chmod(0o644)
    with pytest.raises(CameraError, match="chmod 600"):
        address_of(camera)


def test_the_password_is_never_shown() -> None:
    url = f"http://admin:hunter2@127.0.0.1:{unused_port()}/video"
    source = network(url)
    with pytest.raises(CameraError) as caught:
        source.open()
    assert "hunter2" not in str(caught.value)
    assert "camera.url" in str(caught.value)


def ends_with(error: type[Exception], read: Callable[[], object]) -> bool:
    """Read until it raises, 1,000 times at most."""
    for _ in range(1000):
        try:
            read()
        except error:
            return True
    return False


@pytest.fixture
def server() -> Iterator[MjpegServer]:
    server = MjpegServer()
    yield server
    server.close()


def test_a_network_stream_keeps_the_contract(server: MjpegServer) -> None:
    source = network(server.url, stall_timeout_s=2.0, name="yard")
    with source:
        frames = [source.read(WAIT_S) for _ in range(5)]
        assert {frame.source for frame in frames} == {"yard"}
        assert all(a.sequence < b.sequence for a, b in itertools.pairwise(frames))
        assert all(a.boottime_ns < b.boottime_ns for a, b in itertools.pairwise(frames))
        assert frames[0].image.shape == (48, 64, 3)
    source.close()
    with pytest.raises(ClosedError):
        source.read(WAIT_S)


def test_a_silent_network_stream_times_out_and_goes_on(server: MjpegServer) -> None:
    with network(server.url, stall_timeout_s=8.0) as source:
        source.read(WAIT_S)
        server.stalled.set()
        # What was under way when the stall began still arrives.
        assert ends_with(FrameTimeoutError, lambda: source.read(0.1))
        server.stalled.clear()
        source.read(WAIT_S)


def test_a_damaged_picture_of_a_network_stream_is_left_out(server: MjpegServer) -> None:
    with network(server.url, stall_timeout_s=2.0) as source:
        before = source.read(WAIT_S)
        for _ in range(3):
            server.damage.set()
            while server.damage.is_set():
                source.read(WAIT_S)
            for _ in range(10):
                after = source.read(WAIT_S)
        assert after.sequence >= before.sequence + 33


def test_a_network_stream_that_was_cut_is_opened_again(server: MjpegServer) -> None:
    inner = network(server.url, stall_timeout_s=2.0)
    with reopening(inner, reopen_min_s=0.01, reopen_max_s=0.05) as source:
        source.read(WAIT_S)
        server.cut.set()
        while source.health.connected:
            with suppress(FrameTimeoutError):
                source.read(0.05)
        server.cut.clear()
        source.read(WAIT_S)
        assert source.health.reopened >= 1
    assert not [t for t in threading.enumerate() if t.name.startswith("read http")]


CHILD = """
import sys, time
import psutil
from edgeface.base.errors import CameraError, FrameTimeoutError
from tests.support.cameras import network
me = psutil.Process()
source = network(sys.argv[1])
source.open()
source.read(10)
before, end = me.memory_info().rss, time.monotonic() + 30
most, said = before, "nothing"
import threading
def look():
    global most
    while True:
        most = max(most, me.memory_info().rss)
        time.sleep(0.02)
threading.Thread(target=look, daemon=True).start()
print("ready", flush=True)
try:
    while time.monotonic() < end:
        try:
            source.read(1)
        except FrameTimeoutError:
            pass
except CameraError:
    said = "lost"
print((most - before) / 2**20, said)
"""


def test_a_picture_without_an_end_takes_no_memory_without_an_end(server: MjpegServer) -> None:
    """Without a bound it took 100 MB each second, until the stall time was over."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    server.endless.set()
    out, err = child.communicate(timeout=60)
    growth, said = out.split()

    assert said == "lost"
    assert float(growth) < 200
    assert "sent 64 MiB without a picture: cut off" in err
