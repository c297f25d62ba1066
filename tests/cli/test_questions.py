"""Who asks changes nothing: no verb that reads leaves anything behind in an empty place."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest

from edgeface.demo.photographs import COLLINS
from tests.cli.conftest import Edgeface


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "edgeface.yaml").write_text(
        "site: hq\ndevice: door-1\nstate_dir: state\nmqtt: {port: 1}\n"
        "camera: {source: images, folder: .}\n"
    )
    photograph = cv2.imread(str(COLLINS))
    assert photograph is not None
    cv2.imwrite(str(tmp_path / "eileen.png"), photograph)
    return tmp_path


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ("gallery list", 0),
        ("gallery audit", 0),
        ("gallery show Ada", 2),
        ("gallery show --card 4711", 2),
        ("gallery set Ada --name Eve", 2),
        ("gallery merge Ada Eve", 2),
        ("gallery remove Ada", 2),
        ("gallery export people.export", 2),
        ("gallery export people.export --plain", 2),
        ("identify eileen.png", 2),
        ("verify eileen.png Ada", 2),
        ("inspect eileen.png", 0),
        ("config check", 0),
        ("config show", 0),
        ("doctor --skip camera", 1),
        ("call door-1 verify Ada", 2),
        ("call door-1 ping", 4),
        ("top --once", 4),
        ("events unknown --cluster --open-with no.key", 2),
    ],
)
def test_a_question_leaves_nothing_behind(
    place: Path, edgeface: Edgeface, question: str, code: int
) -> None:
    before = sorted(place.rglob("*"))
    assert edgeface(*question.split(), "-c", "edgeface.yaml")[0] == code
    assert sorted(place.rglob("*")) == before


def test_a_gallery_that_is_not_there_is_said_to_be_and_has_nobody(
    place: Path, edgeface: Edgeface
) -> None:
    code, out, err = edgeface("gallery", "list", "--json", "-c", "edgeface.yaml")
    assert (code, json.loads(out)) == (0, [])
    missing = f"{place / 'state' / 'gallery.sqlite'}: no gallery; enroll somebody with"
    assert missing in err
    code, out, err = edgeface("gallery", "export", "people.export", "-c", "edgeface.yaml")
    assert (code, out) == (2, "")
    assert missing in err


def test_a_command_line_that_is_wrong_is_told_with_the_way_out(
    place: Path, edgeface: Edgeface, monkeypatch: pytest.MonkeyPatch
) -> None:
    def told(*arguments: object) -> str:
        code, _, err = edgeface(*arguments)
        assert code == 2
        return err

    assert "usage: edgeface matrix " in told("matrix", ".", "--sort")
    assert "usage: edgeface gallery list " in told("gallery", "list", "--all")
    (place / "empty").mkdir()
    for verb in ("matrix", "map"):
        assert "empty: has no pictures (JPEG or PNG)" in told(verb, "empty")
    as_photos = ("enroll", "empty", "--name", "Ada", "-c", "edgeface.yaml")
    err = told(*as_photos)
    assert "refused  empty: a folder; --folder DIR takes one with a folder for each" in err
    assert "the photo cannot be used, so nobody was enrolled" in err
    missing = place / "etc" / "edgeface.yaml"
    monkeypatch.setattr("edgeface.settings.loading.DEFAULT_FILE", missing)
    monkeypatch.setattr("edgeface.cli.common.DEFAULT_FILE", missing)
    assert f"{missing}: there is no configuration; name one with -c FILE" in told("gallery", "list")


def test_a_picture_in_a_folder_is_looked_at_or_told_of_whatever_its_name_ends_in(
    place: Path, edgeface: Edgeface
) -> None:
    photograph = cv2.imread("eileen.png")
    assert photograph is not None
    for ending in ("webp", "bmp", "tiff"):
        cv2.imwrite(f"eileen.{ending}", photograph)
    (place / "phone.heic").write_bytes(b"\0\0\0\x18ftypheic")
    code, out, err = edgeface("matrix", ".")
    assert (code, out.splitlines()[0].split(",")[0]) == (0, "3 faces")
    assert "eileen.tiff: not a picture that can be read (use JPEG or PNG)" in err
    assert "phone.heic: HEIC, AVIF and video files cannot be read; save it as JPEG" in err
