"""What a look through the camera says, by pictures of the photographs that ship."""

from __future__ import annotations

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.base.errors import CameraError
from edgeface.demo.photographs import COLLINS
from edgeface.recognition.values import Image
from edgeface.service.doctor.camera_look import camera
from edgeface.service.doctor.finding import Finding, Patient
from edgeface.settings.loading import load_settings
from tests.support.mjpeg_server import MjpegServer


def looked(folder: Path, *pictures: Image, fps: float = 10, more: str = "") -> Finding:
    """Through a camera that gives these pictures, once."""
    (folder / "pictures").mkdir()
    for number, image in enumerate(pictures):
        cv2.imwrite(str(folder / f"pictures/{number:04d}.png"), image)
    file = folder / "edgeface.yaml"
    file.write_text(
        "{site: a, device: b, state_dir: state, camera: {source: images, folder: pictures, "
        f"fps: {fps}{more}}}}}\n"
    )
    return camera(Patient(load_settings(file)))


def scene(size: int = 460) -> Image:
    """Somebody in a room of 640x480."""
    photograph = cv2.imread(str(COLLINS))
    assert photograph is not None
    scale = size / photograph.shape[0]
    person = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    image = np.full((480, 640, 3), 90, np.uint8)
    image[20 : 20 + size, 60 : 60 + person.shape[1]] = person
    return image


def test_a_face_in_view_is_measured(tmp_path: Path) -> None:
    found = looked(tmp_path, *[scene()] * 3)
    assert found.verdict == "ok", found
    assert "gives 640x480" in found.detail
    assert "10.0 frames a second" in found.detail
    assert "upright, large, sharp and lit well enough" in found.detail


def test_a_face_that_is_too_small_or_dark_is_told_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "small").mkdir()
    found = looked(tmp_path / "small", scene(150))
    assert found.verdict == "warn", found
    assert "go nearer" in found.cure
    (tmp_path / "dark").mkdir()
    found = looked(tmp_path / "dark", (scene() * 0.06).astype(np.uint8))
    assert found.verdict == "warn", found
    assert "light" in found.cure


def test_a_picture_that_hangs_otherwise_is_told(tmp_path: Path) -> None:
    found = looked(tmp_path, np.rot90(scene(), 2).copy())
    assert found.verdict == "warn"
    assert found.cure == "set camera.rotate: 180"


def test_one_turned_face_among_upright_ones_is_no_turned_camera(tmp_path: Path) -> None:
    found = looked(tmp_path, scene(), np.rot90(scene(), 2).copy(), scene(), fps=0.9)
    assert "camera.rotate" not in found.cure
    assert "upright" in found.detail


def test_nobody_in_view_and_a_black_picture(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = looked(tmp_path / "empty", np.full((480, 640, 3), 90, np.uint8))
    assert found.verdict == "ok"
    assert "nobody was in view: stand where" in found.detail
    (tmp_path / "black").mkdir()
    found = looked(tmp_path / "black", np.zeros((480, 640, 3), np.uint8))
    assert (found.verdict, found.cure) == ("warn", "uncover the lens, or light the place")


def test_too_few_frames_for_a_door_fail(tmp_path: Path) -> None:
    found = looked(tmp_path, *[scene()] * 2, fps=0.55)
    assert found.verdict == "fail", found
    assert "too few of a person" in found.detail


def test_a_camera_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(CameraError):
        looked(tmp_path)


def test_a_camera_that_stops_after_its_first_frames_is_told(tmp_path: Path) -> None:
    server = MjpegServer()
    file = tmp_path / "edgeface.yaml"
    file.write_text(
        f"{{site: a, device: b, camera: {{source: stream, url: '{server.url}', "
        "stall_timeout_s: 1}}\n"
    )
    threading.Timer(2.0, server.stalled.set).start()
    found = camera(Patient(load_settings(file)))
    server.close()
    assert found.verdict == "fail", found
    assert "no more frames came after the first" in found.detail
