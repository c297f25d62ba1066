"""`edgeface identify` and `verify`, and what `compare` draws, on the photographs that ship."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.demo.photographs import COLLINS, HOPPER, write_enrollment
from edgeface.recognition.values import Image
from tests.cli.conftest import Edgeface


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Eileen Collins alone, in other light than on the photograph."""
    folder = tmp_path / "people"
    (folder / "Eileen Collins").mkdir(parents=True)
    write_enrollment(folder / "Eileen Collins")
    return folder


@pytest.fixture
def group(tmp_path: Path) -> Path:
    """Both, Grace Hopper on the right."""
    left, right = (np.asarray(cv2.imread(str(path)), np.uint8) for path in (COLLINS, HOPPER))
    path = tmp_path / "group.png"
    assert cv2.imwrite(str(path), np.concatenate([left, _as_high(right, left)], axis=1))
    return path


def _as_high(image: Image, as_this: Image) -> Image:
    height = as_this.shape[0]
    size = (round(image.shape[1] * height / image.shape[0]), height)
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def test_each_face_of_a_photograph_is_named_or_nobody(
    edgeface: Edgeface, people: Path, group: Path, tmp_path: Path
) -> None:
    code, out, err = edgeface("identify", group, "--gallery", people, "-o", "marked.png")
    first, second = out.splitlines()
    assert code == 0, err
    assert first.startswith(f"{group} face 1 of 2: Eileen Collins, score 0.")
    assert second.startswith(f"{group} face 2 of 2: nobody; nearest is Eileen Collins")
    picture, plain = cv2.imread("marked.png"), cv2.imread(str(group))
    assert picture is not None
    assert plain is not None
    assert picture.shape[1] == plain.shape[1]
    assert picture.shape[0] > plain.shape[0]
    assert edgeface("identify", HOPPER, "--gallery", people)[0] == 1


def test_everybody_and_the_nearest_templates_are_shown(edgeface: Edgeface, people: Path) -> None:
    shutil.copytree(people / "Eileen Collins", people / "Twin")
    (people / "Grace Hopper").mkdir()
    shutil.copy(HOPPER, people / "Grace Hopper")
    code, out, err = edgeface("identify", COLLINS, "--gallery", people, "--all", "--knn", "2")
    assert code == 0
    assert [line.split()[-2:] for line in out.splitlines()[1:3]] == [
        ["Eileen", "Collins"],
        ["Grace", "Hopper"],
    ]
    assert out.splitlines()[3] == "  nearest templates: Eileen Collins 1, Grace Hopper 1"
    assert "Twin: left out" in err
    code, out, _ = edgeface("identify", COLLINS, "--gallery", people, "--all", "--json")
    (face,) = json.loads(out)["photos"][0]["faces"]
    assert face["outcome"] == "recognized"
    assert [person["display_name"] for person in face["candidates"]] == [
        "Eileen Collins",
        "Grace Hopper",
    ]


def test_what_cannot_be_used_is_told_at_the_end_and_the_rest_goes_on(
    edgeface: Edgeface, people: Path, tmp_path: Path
) -> None:
    blank = tmp_path / "blank.png"
    cv2.imwrite(str(blank), np.full((200, 200, 3), 200, np.uint8))
    code, out, err = edgeface("identify", "no.jpg", blank, COLLINS, "--gallery", people)
    assert code == 0
    assert out.splitlines()[:2] == ["no.jpg: not looked at", f"{blank}: not looked at"]
    assert "no.jpg: cannot be read: No such file or directory" in err
    assert f"{blank}: no face found" in err
    assert edgeface("identify", "no.jpg", "--gallery", people)[0] == 2
    code, _, err = edgeface("identify", COLLINS, "--gallery", "nowhere")
    assert (code, "nowhere: no such folder" in err) == (2, True)
    code, _, err = edgeface("identify", COLLINS, HOPPER, "--gallery", people, "-o", "x.png")
    assert (code, "-o takes one photo" in err) == (2, True)


def test_the_door_opens_for_the_right_person_alone(
    edgeface: Edgeface, people: Path, group: Path, tmp_path: Path
) -> None:
    code, out, _ = edgeface("verify", COLLINS, "Eileen Collins", "--gallery", people)
    assert (code, out.startswith("door open: Eileen Collins, score 0.9")) == (0, True)
    code, out, _ = edgeface("verify", HOPPER, "Eileen Collins", "--gallery", people)
    assert (code, out.startswith("door shut: not Eileen Collins, score 0.0")) == (1, True)
    code, out, _ = edgeface("verify", HOPPER, "Eileen Collins", "--gallery", people, "--json")
    assert (code, json.loads(out)["outcome"]) == (1, "no_match")
    for arguments, said in (
        ((COLLINS, "Nobody"), "Nobody: no such person in the gallery"),
        (("no.jpg", "Eileen Collins"), "no.jpg: cannot be read"),
        ((group, "Eileen Collins"), "2 faces, and none clearly dominates"),
    ):
        code, _, err = edgeface("verify", *arguments, "--gallery", people)
        assert (code, said in err) == (2, True), err


def test_the_daemons_own_gallery_is_asked(edgeface: Edgeface, tmp_path: Path) -> None:
    config = tmp_path / "edgeface.yaml"
    config.write_text(
        "site: hq\ndevice: door-1\nstate_dir: state\ncamera: {source: images, folder: .}\n"
    )
    code, _, err = edgeface("identify", COLLINS, "-c", config)
    assert (code, "no gallery; enroll somebody" in err) == (2, True)
    assert edgeface("enroll", COLLINS, "--name", "Eileen", "-c", config)[0] == 0
    code, out, _ = edgeface("identify", COLLINS, "-c", config)
    assert (code, f"{COLLINS}: Eileen, score" in out) == (0, True)
    assert edgeface("verify", COLLINS, "Eileen", "-c", config)[0] == 0
    until = ("gallery", "set", "Eileen", "--valid-to", "2020-01-01", "-c", config)
    assert edgeface(*until)[0] == 0
    code, out, _ = edgeface("identify", COLLINS, "-c", config)
    assert (code, "nobody in the gallery may be recognized now" in out) == (1, True)
    code, out, _ = edgeface("verify", COLLINS, "Eileen", "-c", config)
    assert (code, "door shut: Eileen may not be recognized now" in out) == (1, True)


def test_compare_takes_a_face_of_several_and_draws_both(edgeface: Edgeface, group: Path) -> None:
    code, _, err = edgeface("compare", group, HOPPER)
    assert (code, "choose one with --face N, from the left" in err) == (2, True)
    code, out, _ = edgeface("compare", group, HOPPER, "--face", "2", "-o", "beside.png", "--json")
    answer = json.loads(out)
    assert (code, answer["verdict"]) == (0, "the same person")
    assert answer["distance"] == pytest.approx((2 - 2 * answer["similarity"]) ** 0.5, abs=1e-3)
    picture = cv2.imread("beside.png")
    assert picture is not None
    assert picture.shape[1] > 700
    assert edgeface("compare", group, HOPPER, "--face", "1")[0] == 1
    code, _, err = edgeface("compare", group, HOPPER, "--face", "3")
    assert (code, "2 faces, so there is no face 3" in err) == (2, True)
