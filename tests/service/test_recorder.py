"""The recorder: which frames it keeps, how many, and for whose eyes."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeface.base.errors import StateError
from edgeface.recognition.values import Embedding
from edgeface.service.annotation import LINE_PX
from edgeface.service.recorder import Recorder
from tests.support.doorstep import IMAGE, Scene
from tests.support.people import gallery, identity


@pytest.fixture
def anna() -> Embedding:
    return identity(np.random.default_rng(11))


@pytest.fixture
def scene(anna: Embedding) -> Scene:
    return Scene(gallery([anna], ["p_annaannaaa"]))


def play(scene: Scene, recorder: Recorder, frames: int) -> None:
    for _ in range(frames):
        frame = scene.frame()
        recorder.observe(frame, scene.pipeline.process(frame, scene.gallery))


def recorded(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def test_frames_with_faces_are_kept_annotated_and_described(
    scene: Scene, anna: Embedding, tmp_path: Path
) -> None:
    folder = tmp_path / "frames"
    with Recorder(folder, max_queued=20) as recorder:
        play(scene, recorder, 4)
        scene.play(0, (500, anna))
        play(scene, recorder, 5)
    found = recorded(folder)
    # At 10 frames a second every other one is due, and the third good frame is decided on.
    assert [item["sequence"] for item in found] == [5, 7, 9]
    assert [face["track"] for item in found for face in item["faces"]] == [1, 1, 1]
    (decision,) = [decision for item in found for decision in item["decisions"]]
    assert (decision["outcome"], decision["person_id"]) == ("recognized", "p_annaannaaa")
    pictures = sorted(folder.glob("*.jpg"))
    assert [path.stem for path in pictures] == [path.stem for path in sorted(folder.glob("*.json"))]
    picture = cv2.imread(str(pictures[-1]))
    assert picture is not None
    assert picture.shape[0] > IMAGE.shape[0] + 2 * LINE_PX
    assert IMAGE.shape == (720, 1280, 3)
    assert {path.suffix for path in folder.iterdir()} == {".jpg", ".json"}


def test_only_the_newest_frames_are_kept(scene: Scene, anna: Embedding, tmp_path: Path) -> None:
    scene.play(0, (500, anna))
    with Recorder(tmp_path, max_frames=3, max_queued=20) as recorder:
        play(scene, recorder, 12)
    with Recorder(tmp_path, max_frames=2) as recorder:
        play(scene, recorder, 1)
    assert [item["sequence"] for item in recorded(tmp_path)] == [11, 13]
    assert len(list(tmp_path.iterdir())) == 4


def test_what_the_recorder_did_not_write_is_never_removed(
    scene: Scene, anna: Embedding, tmp_path: Path
) -> None:
    for name in ("0-plan.json", "0-plan.jpg", "holiday.json"):
        (tmp_path / name).write_text("mine")
    orphan = tmp_path / "20200101T000000.000-000001.jpg"
    orphan.write_text("a frame whose description a power cut prevented")
    scene.play(0, (500, anna))
    with Recorder(tmp_path, max_frames=2, max_queued=20) as recorder:
        play(scene, recorder, 9)
    assert len(list(tmp_path.glob("20*.json"))) == 2
    assert {path.name for path in tmp_path.iterdir() if path.read_bytes() == b"mine"} == {
        "0-plan.json",
        "0-plan.jpg",
        "holiday.json",
    }
    assert not orphan.exists()


def test_only_the_owner_may_look(scene: Scene, anna: Embedding, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    scene.play(0, (500, anna))
    with Recorder(folder, max_queued=20) as recorder:
        play(scene, recorder, 1)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_vanishes_costs_frames_and_nothing_else(
    scene: Scene, anna: Embedding, tmp_path: Path
) -> None:
    folder = tmp_path / "frames"
    scene.play(0, (500, anna))
    with Recorder(folder, max_queued=20) as recorder:
        folder.rmdir()
        play(scene, recorder, 1)
    assert recorder.left_out == 1


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot make the folder"):
        Recorder(tmp_path / "file" / "frames")
