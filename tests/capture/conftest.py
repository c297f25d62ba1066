"""One source of each kind, built the same way, for the contract tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.base.clock import Clock
from edgeface.capture.source import FrameSource
from tests.support.cameras import images, picamera2, simulated, v4l2, video_file
from tests.support.picamera2_standin import Rig
from tests.support.pictures import FPS, FRAMES, SIZE, picture


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of FRAMES pictures at FPS."""
    path = tmp_path_factory.mktemp("video") / "door.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, SIZE)
    assert writer.isOpened()
    for number in range(FRAMES):
        writer.write(picture(number))
    writer.release()
    return path


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of FRAMES pictures, and a file that is none."""
    path = tmp_path_factory.mktemp("pictures")
    for number in range(FRAMES):
        cv2.imwrite(str(path / f"{number:03}.png"), picture(number))
    (path / "notes.txt").write_text("not a picture\n")
    return path


@pytest.fixture(scope="session")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bright portrait without a face: what the simulated camera does needs none."""
    path = tmp_path_factory.mktemp("photographs") / "visitor.png"
    image = np.full((300, 240, 3), (60, 120, 235), np.uint8)
    cv2.circle(image, (120, 110), 50, (235, 235, 245), -1)
    cv2.imwrite(str(path), image)
    return path


@pytest.fixture
def rig(monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """The stand-in in the place of picamera2; no buffer may be lost at the end."""
    rig = Rig()
    monkeypatch.setitem(sys.modules, "picamera2", rig.module())
    yield rig
    rig.let_go.set()
    for camera in list(rig.open_cameras.values()):
        camera.cancel_all_and_flush()
        camera.close()
    assert rig.lost_buffers == 0


Make = Callable[..., FrameSource]


@pytest.fixture(params=["simulated", "images", "stream", "picamera2"])
def make(request: pytest.FixtureRequest, photograph: Path, folder: Path, video: Path) -> Make:
    """Builds a source of one kind, closed: `make(name=..., clock=...)`."""
    kind = request.param
    if kind == "picamera2":
        request.getfixturevalue("rig")

    def build(name: str = "door", clock: Clock | None = None) -> FrameSource:
        if kind == "simulated":
            return simulated(
                photograph,
                fps=FPS,
                visit_s=0.2,
                gap_s=0.05,
                loop=True,
                size=(160, 96),
                name=name,
                clock=clock,
            )
        if kind == "images":
            return images(folder, fps=FPS, loop=True, name=name, clock=clock)
        if kind == "stream":
            return video_file(video, loop=True, name=name, clock=clock)
        return picamera2(size=(160, 96), detect_size=(80, 48), name=name, clock=clock)

    return build


@pytest.fixture(params=["simulated", "images", "stream", "picamera2", "v4l2"])
def make_missing(
    request: pytest.FixtureRequest, tmp_path: Path
) -> tuple[Callable[[], FrameSource], str]:
    """A source whose camera or file is not there, and a word its error has to contain."""
    missing = tmp_path / "missing"
    kind = request.param
    if kind == "picamera2":
        request.getfixturevalue("rig").models = ()
    table: dict[str, tuple[Callable[[], FrameSource], str]] = {
        "simulated": (lambda: simulated(missing), "camera.photographs"),
        "images": (lambda: images(missing), "camera.folder"),
        "stream": (lambda: video_file(missing), "camera.url"),
        "picamera2": (picamera2, "camera.index"),
        "v4l2": (lambda: v4l2(str(missing)), "camera.device"),
    }
    return table[kind]
