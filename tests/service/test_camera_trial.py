"""Another camera by a reload: it is opened first, and what works is kept when it cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import yaml

from edgeface.base.clock import Clock
from edgeface.base.errors import CameraError, FrameTimeoutError
from edgeface.capture import factory
from edgeface.capture.images import ImagesSource
from edgeface.capture.slot import LatestSlot
from edgeface.recognition.frame import Frame
from edgeface.service.board import Board
from edgeface.service.capturing import CameraTrial, Capture
from edgeface.service.commanding.admission import CommandRefusedError
from edgeface.service.commanding.reloads import Reloaded, told
from edgeface.service.composition import CAPTURE
from edgeface.service.reload import reload
from edgeface.service.supervisor import Supervisor
from edgeface.service.worker import WorkerSpec
from edgeface.settings.loading import load_settings
from tests.support.broker import eventually


class Door:
    """The camera's worker, its supervisor and a board; pictures of one shade in every folder."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "edgeface.yaml"
        for shade in (10, 200):
            (folder / str(shade)).mkdir()
            cv2.imwrite(str(folder / str(shade) / "a.png"), np.full((32, 32, 3), shade, np.uint8))
        self.write("10")
        self.board = Board(load_settings(self.file))
        self.board.by_recognizer.models = self.board.by_gallery.index = cast(Any, object())
        self.slot: LatestSlot[Frame] = LatestSlot()
        self.supervisor = Supervisor(self.board.settings.service, draw=min)
        self._capture = Capture(self.board, self.slot, Clock())

    def write(self, folder: str) -> None:
        camera = {"source": "images", "folder": folder, "loop": True, "fps": 50}
        camera |= {"reopen_min_s": 0.01, "reopen_max_s": 0.02}
        content = {"site": "hq", "device": "door-1", "state_dir": "state", "camera": camera}
        self.file.write_text(yaml.safe_dump(content))

    def capture(self, trial: CameraTrial | None = None) -> WorkerSpec:
        return WorkerSpec(CAPTURE, lambda pulse: self._capture.run(pulse, trial))

    def reload(self, folder: str, *, ending: bool = False) -> Reloaded:
        self.write(folder)
        done = reload(cast(Any, self), self.file, ending=lambda: ending)
        with suppress(FrameTimeoutError):
            self.slot.get(0)  # it may be one of before
        return done

    def shows(self, shade: int) -> bool:
        """Whether the next frame is of that folder; nothing may have failed meanwhile."""
        assert self.supervisor.check() is None
        with suppress(FrameTimeoutError):
            return int(self.slot.get(0.2).image[0, 0, 0]) == shade
        return False


@pytest.fixture
def door(tmp_path: Path, root_logger: None) -> Iterator[Door]:
    door = Door(tmp_path)
    door.supervisor.start(door.capture())
    eventually(lambda: door.shows(10))
    yield door
    door.slot.close()
    assert door.supervisor.stop(10) == ()


def test_a_camera_that_can_be_opened_takes_the_place_of_the_other(door: Door) -> None:
    assert door.reload("200")
    assert door.board.settings == load_settings(door.file)
    eventually(lambda: door.shows(200))
    assert door.supervisor.restarts == 0


def test_a_camera_that_cannot_be_opened_leaves_everything_as_it_was(
    door: Door, caplog: pytest.LogCaptureFixture
) -> None:
    before = door.board.settings
    for _ in range(3):
        refused = door.reload("nowhere")
        assert not refused
        assert "cannot read the folder" in refused.faults[0]
        assert door.board.settings is before
        eventually(lambda: door.shows(10))
    assert door.supervisor.restarts == 0
    assert "not reloaded: camera: cannot read the folder" in caplog.text
    with pytest.raises(CommandRefusedError, match="the camera before is used on") as caught:
        told(refused)
    assert caught.value.code == "not_reloaded"
    assert door.reload("200")
    eventually(lambda: door.shows(200))


def test_a_camera_before_that_does_not_come_back_at_once_is_opened_when_it_can_be(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []

    class Busy(ImagesSource):
        def _start(self) -> None:
            attempts.append(1)
            if len(attempts) < 20:
                raise CameraError("the device is busy")
            super()._start()

    monkeypatch.setattr("edgeface.capture.images.ImagesSource", Busy)
    assert not door.reload("nowhere")
    eventually(lambda: len(attempts) == 20 and door.shows(10))
    eventually(
        lambda: (
            door.board.by_capture.camera is not None
            and door.board.by_capture.camera.last_error is None
        )
    )
    assert door.board.by_capture.camera is not None
    assert door.board.by_capture.camera.losses == 18
    assert door.supervisor.restarts == 0


def start_with(monkeypatch: pytest.MonkeyPatch, start: Callable[[], object]) -> None:
    """Have `start` be what the camera of the folder 200 does when it is opened."""
    make = factory.make_backend

    def made(camera: Any, clock: Any = None) -> Any:
        source = make(camera, clock)
        if camera.folder.name == "200":
            monkeypatch.setattr(source, "_start", start)
        return source

    monkeypatch.setattr(factory, "make_backend", made)


def test_an_error_that_no_back_end_should_raise_is_a_refusal_too(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_with(monkeypatch, lambda: 1 // 0)
    assert "by zero" in door.reload("200").faults[0]
    eventually(lambda: door.shows(10))
    assert door.supervisor.restarts == 0


def test_the_end_of_the_process_does_not_wait_for_a_camera(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[str] = []
    start_with(monkeypatch, lambda: eventually(lambda: waited == ["over"]))
    refused = door.reload("200", ending=True)
    waited.append("over")
    assert "told to stop" in refused.faults[0]
    eventually(lambda: door.shows(10))


@pytest.mark.usefixtures("root_logger")
def test_before_any_camera_was_opened_the_new_one_is_simply_the_first(tmp_path: Path) -> None:
    door = Door(tmp_path)
    door.board.by_gallery.index = None
    door.supervisor.start(door.capture())
    assert door.reload("200")
    door.board.by_gallery.index = cast(Any, object())
    eventually(lambda: door.shows(200))
    door.slot.close()
    assert door.supervisor.stop(10) == ()


def test_a_trial_ends_once() -> None:
    trial = CameraTrial(cast(Any, None))
    assert trial.wait(lambda: False, timeout_s=0.0) == "it does not open within 0 s"
    assert not trial.pending
    assert not trial.settle(None)
    assert trial.wait(lambda: False) == "it does not open within 0 s"
