"""What the recognizer says of its camera, and the view it keeps."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from edgeface.base.clock import ManualClock
from edgeface.capture.factory import make_source
from edgeface.capture.slot import LatestSlot
from edgeface.recognition.frame import Frame
from edgeface.recognition.pipeline import FrameResult, Sight
from edgeface.recognition.scene_watch import LEARN_S, MOVED_S, CameraView
from edgeface.recognition.values import Box, Face, Image
from edgeface.service.board import Board
from edgeface.service.capturing import Capture
from edgeface.service.view_file import read_view, write_view
from edgeface.service.watching import FORGOTTEN_EVERY_S, CameraWatch
from edgeface.service.worker import Pulse
from tests.recognition.test_scene_watch import Camera as Sensor
from tests.recognition.test_scene_watch import place
from tests.support.people import START
from tests.support.settings import settings_of

CAMERA = {"source": "v4l2"}


class Door:
    """A camera that hangs somewhere, its watch and what it says."""

    def __init__(self, folder: Path, **camera: Any) -> None:
        self.settings = settings_of(state_dir=str(folder), camera=CAMERA | camera)
        self.board = Board(self.settings)
        self.watch = CameraWatch(self.board)
        self.sensor = Sensor()
        self.file = folder / "view"
        self.time_s = 50.0

    def see(self, picture: Image, for_s: float, *, noise: bool = True) -> set[str]:
        """A frame a second; the alerts that stand at the end."""
        for _ in range(round(for_s)):
            self.time_s += 1.0
            image = self.sensor.noisy(picture) if noise else picture.copy()
            frame = Frame(image, "door", 0, START, round(self.time_s * 1e9))
            if not self.watch.is_frozen(frame):
                nobody = FrameResult((), ())
                self.watch.look(frame, nobody, cast(Any, None), resting=True)
        return {alert for alert, text in self.board.by_recognizer.picture.items() if text}


def test_a_frozen_camera_is_told_within_5_s_and_cleared_by_the_next_picture(
    tmp_path: Path,
) -> None:
    door = Door(tmp_path)
    assert door.see(place(), 5) == set()
    assert door.see(place(), 5, noise=False) == {"camera_frozen"}
    assert door.see(place(), 1) == set()


@pytest.mark.parametrize(
    "camera",
    [
        pytest.param({"source": "images", "folder": "/nowhere"}, id="a folder"),
        pytest.param({"source": "stream", "url": "/nowhere.mp4"}, id="a file"),
        pytest.param({"source": "stream", "url": "file:///nowhere.mp4"}, id="a file's address"),
        pytest.param({"source": "v4l2", "alerts": []}, id="switched off"),
    ],
)
def test_pictures_of_files_raise_nothing(tmp_path: Path, camera: dict[str, Any]) -> None:
    door = Door(tmp_path)
    door.board.by_main.settings = settings_of(state_dir=str(tmp_path), camera=camera)
    assert door.see(place(), 30, noise=False) == set()
    assert door.see(place() * 0, 30) == set()
    assert not door.file.exists()


def test_a_network_camera_may_repeat_a_picture_for_longer(tmp_path: Path) -> None:
    door = Door(tmp_path)
    camera = {"source": "stream", "url": "rtsp://camera/door"}
    door.board.by_main.settings = settings_of(state_dir=str(tmp_path), camera=camera)
    assert door.see(place(), 15, noise=False) == set()
    assert door.see(place(), 10, noise=False) == {"camera_frozen"}


def test_only_the_alerts_that_are_wanted_are_raised(tmp_path: Path) -> None:
    door = Door(tmp_path, alerts=["camera_moved"])
    assert door.see(place(), 10, noise=False) == set()
    assert door.see(place() * 0, 10) == set()


def test_the_view_outlives_a_restart_and_deleting_it_accepts_the_new_place(
    tmp_path: Path,
) -> None:
    door = Door(tmp_path)
    assert door.see(place(), LEARN_S + 5) == set()
    assert door.file.stat().st_mode & 0o777 == 0o600
    after = Door(tmp_path)
    assert after.see(place(3), MOVED_S + 60) == {"camera_moved"}
    door.file.unlink()
    assert after.see(place(3), FORGOTTEN_EVERY_S + 1) == set()
    assert after.see(place(3), LEARN_S + 60) == set()
    assert after.file.exists()
    assert after.see(place(3), MOVED_S + 60) == set()


def test_another_turn_of_the_camera_is_another_view(tmp_path: Path) -> None:
    door = Door(tmp_path)
    door.see(place(), LEARN_S + 5)
    turned = Door(tmp_path, rotate=180)
    assert turned.see(place(3), MOVED_S + LEARN_S) == set()


def test_a_view_is_read_as_it_was_written(tmp_path: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (36, 64), np.uint8)
    assert write_view(
        tmp_path / "view", "v4l2 door 0 False", CameraView((picture, 255 - picture), 1.25)
    )
    found = read_view(tmp_path / "view", "v4l2 door 0 False")
    assert found is not None
    assert found.edge_px == 1.25
    assert np.array_equal(np.stack(found.pictures), np.stack([picture, 255 - picture]))
    assert read_view(tmp_path / "view", "v4l2 yard 0 False") is None


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda text: text[: len(text) // 2], id="cut off"),
        pytest.param(lambda text: text.replace("1.25", "1.75"), id="a number"),
        pytest.param(lambda _: "[]", id="a list"),
        pytest.param(lambda _: '{"sha256": 1}', id="another file"),
        pytest.param(lambda _: "", id="empty"),
        pytest.param(lambda text: json.dumps(json.loads(text) | {"pictures": 5}), id="no pictures"),
    ],
)
def test_a_damaged_view_is_learned_anew_and_said(
    tmp_path: Path, damage: Any, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "view"
    assert read_view(file, "one") is None
    assert not caplog.records
    write_view(file, "one", CameraView((np.zeros((36, 64), np.uint8),), 1.25))
    file.write_text(damage(file.read_text()))
    assert read_view(file, "one") is None
    assert "learned anew" in caplog.text


def test_a_view_that_cannot_be_written_is_said_and_not_missed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    door = Door(tmp_path)
    door.file.mkdir()
    assert door.see(place(), LEARN_S + FORGOTTEN_EVERY_S + 30) == set()
    assert "cannot be remembered" in caplog.text
    assert door.see(place(3), MOVED_S + 60) == {"camera_moved"}


def test_a_dark_face_reaches_the_camera_as_an_exposure_and_nobody_as_rest(tmp_path: Path) -> None:
    photograph = tmp_path / "visitor.png"
    cv2.imwrite(str(photograph), np.full((300, 240, 3), 120, np.uint8))
    camera = {"source": "simulated", "photographs": [str(photograph)], "size": [160, 96]}
    clock = ManualClock()
    settings = settings_of(state_dir=str(tmp_path), camera=camera | {"face_ev_max": 1.0})
    board, slot = Board(settings), LatestSlot[Frame]()
    watch = CameraWatch(board)
    capture = Capture(board, slot, clock)
    face = Face(Box(20.0, 10.0, 60.0, 60.0), np.zeros((5, 2), np.float32), 0.9)
    sight = Sight(1, face, None, None, False)
    means = []
    with make_source(settings.camera, clock) as source:
        for _ in range(60):
            capture._step(source, Pulse(10.0))
            frame = slot.get(1.0)
            means.append(frame.image.mean())
            dark = dataclasses.replace(frame, image=frame.image // 4)
            watch.is_frozen(dark)
            watch.look(dark, FrameResult((sight,), ()), cast(Any, None), resting=True)
        board.by_recognizer.idle = True
        capture._step(source, Pulse(10.0))
        assert source._source._resting
    assert board.by_recognizer.exposure_ev == 1.0
    assert means[-1] > 1.15 * means[0]
