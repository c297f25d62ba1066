"""`edgeface inspect` on the photographs that ship, on a clip made of them, and on what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.demo.photographs import COLLINS, HOPPER
from tests.cli.conftest import Edgeface
from tests.support.clips import film_visits
from tests.support.daemon import write_config


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film_visits(tmp_path_factory.mktemp("clip") / "visits.mp4", COLLINS, HOPPER)


@pytest.fixture
def blurred(tmp_path: Path) -> Path:
    photograph = cv2.imread(str(COLLINS))
    assert photograph is not None
    path = tmp_path / "blurred.png"
    cv2.imwrite(str(path), cv2.GaussianBlur(photograph, (0, 0), 4))
    return path


def frames_of(film: Path) -> tuple[int, tuple[int, int]]:
    capture = cv2.VideoCapture(str(film))
    count = 0
    while capture.grab():
        count += 1
    size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    return count, size


def test_every_value_of_a_face_is_told_and_drawn(edgeface: Edgeface) -> None:
    code, out, err = edgeface("inspect", COLLINS, "--values", "0,127", "-o", "page.png")
    assert (code, err) == (0, "")
    first, *lines = out.splitlines()
    assert first.startswith("face 1 at ")
    assert first.endswith(": good; compared at a door, and may be enrolled")
    assert [line.split()[0] for line in lines] == [
        *("size", "yaw", "pitch", "roll", "inside", "exposure", "sharpness", "eyes", "contrast"),
        *("score", "embedding"),
    ]
    assert "127: " in lines[-1]
    page = cv2.imread("page.png")
    assert page is not None
    assert page.shape[1] == 1240
    assert edgeface("inspect", COLLINS, "-o", "hog.jpg", "--hog")[0] == 0
    with_gradients = cv2.imread("hog.jpg")
    assert with_gradients is not None
    assert np.abs(with_gradients.astype(int) - page.astype(int)).max() > 100


def test_a_refused_face_is_a_no_with_its_gate_in_words(edgeface: Edgeface, blurred: Path) -> None:
    code, out, _ = edgeface("inspect", blurred)
    assert code == 1
    assert ": blurred; the face is blurred (sharpness 0." in out
    refused = [line for line in out.splitlines() if "refused: " in line]
    assert len(refused) == 1
    assert refused[0].split()[0] == "sharpness"
    code, out, _ = edgeface("inspect", blurred, "--json")
    (line,) = out.splitlines()
    face = json.loads(line)
    assert (code, face["face"], face["gate"]) == (1, 1, "blurred")
    assert len(face["embedding"]) == 128


def test_what_may_be_compared_and_not_be_enrolled_is_said(
    edgeface: Edgeface, tmp_path: Path
) -> None:
    photograph = cv2.imread(str(COLLINS))
    assert photograph is not None
    cv2.rectangle(photograph, (190, 95), (270, 120), (20, 20, 20), -1)
    cv2.imwrite("covered.png", photograph)
    code, out, _ = edgeface("inspect", "covered.png")
    assert code == 0
    assert ": good at a door; not to be enrolled: eyes_covered, the eyes are covered" in out
    (marked,) = [line for line in out.splitlines() if line.endswith("   not to be enrolled")]
    assert marked.split()[0] == "eyes"


def test_a_video_is_drawn_frame_by_frame_and_told_by_tracks(edgeface: Edgeface, clip: Path) -> None:
    total, _ = frames_of(clip)
    code, out, err = edgeface("inspect", clip, "-o", "seen.mp4")
    assert code == 0
    assert f"frames {total}/{total}" in err
    assert out.startswith(f"{clip}: {total} frames, ")
    assert "\ntrack 1: frames " in out
    count, size = frames_of(Path("seen.mp4"))
    assert (count, size[1]) == (total, 640)
    assert [path.name for path in Path().iterdir()] == ["seen.mp4"]
    code, out, _ = edgeface("inspect", clip, "-o", "best.png", "--json")
    faces = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [face["frame"] for face in faces] == sorted(face["frame"] for face in faces)
    assert {face["track"] for face in faces} >= {1, 2}
    assert cv2.imread("best.png") is not None


def test_the_configured_camera_is_looked_through_for_so_long(
    edgeface: Edgeface, tmp_path: Path
) -> None:
    camera = {
        "source": "simulated",
        "photographs": [str(COLLINS)],
        "size": [320, 240],
        "visit_s": 1.0,
        "gap_s": 0.0,
        "loop": True,
    }
    config = write_config(tmp_path, 1883, camera=camera)
    code, out, err = edgeface(
        "inspect", "--camera", "-c", config, "--seconds", "2", "-o", "seen.mp4"
    )
    assert code == 0, err
    assert out.startswith("camera door: ")
    count, _ = frames_of(Path("seen.mp4"))
    assert 20 <= count <= 32  # 15 a second, whatever was left out


def test_what_cannot_be_inspected_ends_with_two_and_one_line(
    edgeface: Edgeface, tmp_path: Path
) -> None:
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((200, 200, 3), 200, np.uint8))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    for arguments, said in (
        (("no.jpg",), "no.jpg: no such file"),
        ((tmp_path,), "a folder"),
        (("/dev/null",), "/dev/null: no regular file"),
        ((blank,), "blank.png: no face found"),
        ((broken,), "is not a video that OpenCV can decode"),
        ((COLLINS, "-o", "x.mp4"), "a picture is drawn as PNG or JPEG"),
        ((COLLINS, "-o", "x.gif"), "ends in .png, .jpg or .mp4"),
        ((COLLINS, "--values", "128"), "the embedding's numbers are 0 to 127"),
        ((COLLINS, "--values", "a"), "numbers from 0, with commas"),
        ((), "one of IMAGE, VIDEO and --camera"),
        (("--camera",), "--camera: give a number"),
    ):
        code, out, err = edgeface("inspect", *arguments)
        assert (code, out, said in err) == (2, "", True), err
    code, _, err = edgeface("inspect", "--camera", "77")
    assert (code, "/dev/video77" in err) == (3, True)
    assert not Path("x.mp4").exists()


def test_a_film_of_nobody_leaves_no_file(edgeface: Edgeface, tmp_path: Path) -> None:
    film = cv2.VideoWriter("dark.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 5, (320, 240))
    for _ in range(3):
        film.write(np.zeros((240, 320, 3), np.uint8))
    film.release()
    code, _, err = edgeface("inspect", "dark.mp4", "-o", "seen.mp4")
    assert (code, "dark.mp4: no face in 3 frames" in err) == (2, True)
    assert [path.name for path in tmp_path.iterdir()] == ["dark.mp4"]
