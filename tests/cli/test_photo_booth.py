"""`edgeface enroll --camera` and `--video`, on what the simulated camera makes of photographs."""

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
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film_visits(tmp_path_factory.mktemp("film") / "her.mp4", COLLINS, visit_s=5.0)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    camera = {
        "source": "simulated",
        "photographs": [str(COLLINS)],
        "size": [640, 480],
        "visit_s": 6.0,
        "gap_s": 0.2,
    }
    return write_config(tmp_path, 1883, camera=camera)


def test_a_person_is_enrolled_before_the_configured_camera(
    edgeface: Edgeface, config: Path
) -> None:
    code, out, err = edgeface("enroll", "--camera", "--count", 3, "--name", "Eileen", "-c", config)
    assert code == 0, err
    lines = out.splitlines()
    assert sum(line.startswith("good     picture ") for line in lines) == 3
    assert any(line.startswith("0 of 3   ") for line in lines)
    assert lines[-1].endswith("3 new of 3 templates")
    code, out, _ = edgeface("identify", COLLINS, "-c", config)
    assert (code, "Eileen, score 0.9" in out) == (0, True)


def test_of_a_film_the_most_different_pictures_are_taken_and_kept_on_request(
    edgeface: Edgeface, config: Path, film: Path, tmp_path: Path
) -> None:
    arguments = ("--video", film, "--count", 4, "--name", "Eileen", "-c", config)
    code, first, err = edgeface("enroll", *arguments, "--keep-pictures", "kept")
    assert code == 0, err
    assert "frames " in err
    kept = sorted(path.name for path in Path("kept").iterdir())
    assert kept == [f"picture-{number:02d}.png" for number in range(1, 5)]
    assert {path.stat().st_mode & 0o777 for path in Path("kept").iterdir()} == {0o600}
    code, _, err = edgeface("enroll", *arguments, "--keep-pictures", "kept")
    assert (code, "picture-01.png is there already" in err) == (2, True)
    other = tmp_path / "other"
    other.mkdir()
    again = write_config(other, 1883, camera={"source": "images", "folder": "."})
    code, out, second = edgeface("enroll", *arguments[:-1], again, "--json")
    (person,) = json.loads(out)["people"]
    assert (code, person["display_name"], person["added"]) == (0, "Eileen", 4)
    good = [line for line in first.splitlines() if line.startswith("good")]
    # The same film, the same pictures.
    assert [line for line in second.splitlines() if line.startswith("good")] == good
    assert not list(other.glob("**/*.png"))


def test_two_people_in_turn_are_nobody(edgeface: Edgeface, config: Path, tmp_path: Path) -> None:
    both = film_visits(tmp_path / "both.mp4", COLLINS, HOPPER, visit_s=4.0)
    arguments = ("--video", both, "--name", "Eileen", "-c", config)
    code, _, err = edgeface("enroll", *arguments, "--keep-pictures", "kept")
    assert (code, "somebody else stands before the camera" in err) == (1, True)
    assert "0 people" in edgeface("gallery", "list", "-c", config)[2]
    assert list(Path("kept").iterdir()) == []


def test_who_is_known_under_another_name_leaves_no_picture(
    edgeface: Edgeface, config: Path, film: Path
) -> None:
    assert edgeface("enroll", COLLINS, "--name", "Eileen", "-c", config)[0] == 0
    arguments = ("--video", film, "--name", "Somebody", "-c", config, "--keep-pictures", "kept")
    assert edgeface("enroll", *arguments)[0] == 1
    assert list(Path("kept").iterdir()) == []


def test_what_the_booth_cannot_use_is_told_in_a_line(
    edgeface: Edgeface, config: Path, film: Path, tmp_path: Path
) -> None:
    empty = cv2.VideoWriter("empty.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 5, (320, 240))
    for _ in range(4):
        empty.write(np.zeros((240, 320, 3), np.uint8))
    empty.release()
    Path("broken.mp4").write_bytes(b"x")
    for arguments, status, said in (
        (("--video", "empty.mp4"), 1, "0 of 10 pictures; nobody is in view; step before"),
        (("--video", "no.mp4"), 2, "no.mp4: no such file"),
        (("--video", "broken.mp4"), 2, "not a video that OpenCV can decode"),
        (("--camera", "77"), 3, "/dev/video77"),
        (("--camera", "--video", film), 2, "one of photos of one person, --camera"),
        ((COLLINS, "--keep-pictures", "x"), 2, "--keep-pictures goes with --camera and --video"),
        (("--video", film, "--since", "2024-01-01"), 2, "--since and --until choose among photos"),
        (("--video", film, "--count", "33"), 2, "a person has at most 32 templates"),
    ):
        code, _, err = edgeface("enroll", *arguments, "--name", "Eileen", "-c", config)
        assert (code, said in err) == (status, True), err
