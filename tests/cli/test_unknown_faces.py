"""Strangers from their sealed pictures: grouped by likeness, and enrolled from an event."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from edgeface.base.ids import uuid7
from edgeface.cli.main import main
from edgeface.demo.photographs import COLLINS, HOPPER, in_other_light
from edgeface.recognition.values import Image
from edgeface.security.sealing import AdministratorSecret
from edgeface.service.commanding.picturing import jpeg as encoded
from tests.support.kept_pictures import SECRET, kept_picture

Edgeface = Callable[..., tuple[int, str, str]]
DAY_S = 86_400.0
ANNA = "p_annaannaaa"


def jpeg(image: Image, *, mirrored: bool = False, shrink: float = 1.0) -> bytes:
    """As a device makes it."""
    small = cv2.resize(image, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    return encoded(np.asarray(cv2.flip(small, 1) if mirrored else small, np.uint8))[0]


def photograph(path: Path) -> Image:
    image = cv2.imread(str(path))
    assert image is not None
    return np.asarray(image, np.uint8)


COLLINS_PICTURE, HOPPER_PICTURE = photograph(COLLINS), photograph(HOPPER)


@pytest.fixture
def device(tmp_path: Path) -> Path:
    """The folder of a device that keeps pictures of strangers, and of the administrator's key."""
    SECRET.save(tmp_path / "admin.key")
    write_settings(tmp_path)
    return tmp_path


def write_settings(folder: Path, **snapshots: Any) -> None:
    content = {
        "site": "hq",
        "device": "door-1",
        "state_dir": "state",
        "camera": {"source": "images", "folder": "."},
        "commands": {"administrator_key_file": "admin.key.pub"},
        "snapshots": {"events": "unknown"} | snapshots,
    }
    (folder / "edgeface.yaml").write_text(yaml.safe_dump(content))


@pytest.fixture
def edgeface(device: Path, capsys: pytest.CaptureFixture[str]) -> Edgeface:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = main([*map(str, arguments), "-c", str(device / "edgeface.yaml")])
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_strangers_are_grouped_by_likeness_with_times_and_a_sheet_for_their_owner_alone(
    device: Path, edgeface: Edgeface
) -> None:
    folder = device / "state" / "snapshots"
    collins = [
        kept_picture(folder, age_s=2 * DAY_S, picture=jpeg(COLLINS_PICTURE, shrink=0.25)),
        kept_picture(folder, age_s=DAY_S, picture=jpeg(COLLINS_PICTURE)),
        kept_picture(folder, picture=jpeg(in_other_light(COLLINS_PICTURE))),
    ]
    hopper = [
        kept_picture(folder, age_s=3600, picture=jpeg(HOPPER_PICTURE)),
        kept_picture(folder, age_s=1800, picture=jpeg(HOPPER_PICTURE, mirrored=True)),
    ]
    kept_picture(folder, ANNA, picture=jpeg(COLLINS_PICTURE), outcome="recognized")
    nobody = kept_picture(folder, picture=jpeg(np.full((80, 80, 3), 127, np.uint8)))
    sheet = device / "strangers.png"
    cluster = ("events", "unknown", "--cluster", "--open-with", device / "admin.key")
    code, out, _ = edgeface(*cluster, "--json", "--out", sheet)
    assert code == 0
    found = json.loads(out)
    assert [group["events"] for group in found["groups"]] == [collins, hopper]
    assert (found["groups"][0]["count"], found["pictures"]) == (3, 6)
    assert found["groups"][0]["first"] < found["groups"][1]["first"] < found["groups"][1]["last"]
    assert found["groups"][0]["best"] != collins[0], "the small one"
    assert found["troubles"] == [f"{nobody}: no face found"]
    assert stat.S_IMODE(sheet.stat().st_mode) == 0o600
    drawn = cv2.imread(str(sheet))
    assert drawn is not None

    code, out, err = edgeface(*cluster, "--since", "2000-01-01")
    assert code == 0
    assert out.startswith("6 pictures of strangers in 2 groups: one face from a mean cosine of 0.")
    assert f"     {found['groups'][1]['best']}  best picture\n" in out
    assert "no face found" in err
    code, out, _ = edgeface(*cluster, "--until", "2000-01-01")
    assert (code, out.startswith("0 pictures of strangers in 0 groups")) == (0, True)


def test_somebody_is_enrolled_from_events_by_the_rules_of_photographs(
    device: Path, edgeface: Edgeface
) -> None:
    folder = device / "state" / "snapshots"
    first = kept_picture(folder, picture=jpeg(COLLINS_PICTURE))
    second = kept_picture(folder, picture=jpeg(in_other_light(COLLINS_PICTURE)))
    small = kept_picture(folder, picture=jpeg(HOPPER_PICTURE, shrink=0.04))
    key = ("--open-with", device / "admin.key")
    code, out, _ = edgeface(
        "enroll", "--from-event", first, "--from-event", second, "--name", "Eileen", *key
    )
    assert code == 0
    assert f"good     event {first}: face " in out
    assert "Eileen enrolled as p_" in out
    assert "2 new of 2 templates" in out

    cluster = ("events", "unknown", "--cluster", *key)
    code, out, _ = edgeface(*cluster)
    assert code == 0
    assert out.startswith("1 picture of strangers in 1 group")
    left = re.search(r"left out: 2 pictures of Eileen \((p_\w{10})\), who is enrolled by now", out)
    assert left is not None
    stranger = kept_picture(folder, picture=jpeg(HOPPER_PICTURE))
    code, out, _ = edgeface(*cluster, "--json", "--out", device / "strangers.png")
    found = json.loads(out)
    assert {one for group in found["groups"] for one in group["events"]} == {small, stranger}
    (enrolled,) = found["enrolled"]
    assert (enrolled["person_id"], enrolled["display_name"]) == (left[1], "Eileen")
    assert enrolled["events"] == sorted([first, second])
    (alone,) = (group for group in found["groups"] if group["events"] == [stranger])
    assert f"  1 time, {alone['first']}\n     {stranger}  best picture" in edgeface(*cluster)[1]
    assert edgeface("gallery", "remove", left[1])[0] == 0
    assert json.loads(edgeface(*cluster, "--json")[1])["enrolled"] == []
    assert edgeface("enroll", "--from-event", first, "--name", "Eileen", *key)[0] == 0

    code, _, err = edgeface("enroll", "--from-event", second, "--name", "Impostor", *key)
    assert code == 1
    assert "the same person twice?" in err
    code, _, err = edgeface("enroll", "--from-event", small, "--name", "Grace", *key)
    assert code == 2
    assert f"refused  event {small}: the face is " in err
    assert "nobody was enrolled; `edgeface events unknown --cluster` names those" in err


def test_a_picture_that_is_not_to_be_had_names_the_way_out(
    device: Path, edgeface: Edgeface
) -> None:
    folder = device / "state" / "snapshots"
    event_id = kept_picture(folder, picture=jpeg(COLLINS_PICTURE))
    known = kept_picture(folder, ANNA, picture=jpeg(COLLINS_PICTURE))
    key = ("--open-with", device / "admin.key")
    AdministratorSecret.generate().save(device / "other.key")
    assert edgeface("enroll", COLLINS, "--name", "Anna", "--id", ANNA, "--new")[0] == 0
    assert edgeface("gallery", "remove", ANNA)[0] == 0

    def said(*arguments: object) -> str:
        code, _, err = edgeface("enroll", "--name", "A", *arguments)
        assert code == 2
        return err

    assert "--open-with KEY go together" in said("--from-event", event_id)
    assert "--open-with KEY go together" in said(COLLINS, *key)
    assert "is no id of an event" in said("--from-event", "4711", *key)
    assert "admin.key.no" in said("--from-event", event_id, "--open-with", "/admin.key.no")
    other = said("--from-event", event_id, "--open-with", device / "other.key")
    assert "sealed to the key " in other
    assert "commands.administrator_key_file" in other
    assert "with a person who was removed" in said("--from-event", known, *key)
    old = uuid7(1_700_000_000 * 10**9)
    assert "kept longer than 259200 s (snapshots.keep_s)" in said("--from-event", old, *key)
    write_settings(device, events="off")
    off = said("--from-event", uuid7(1_700_000_000 * 10**9), *key)
    assert "no pictures of decisions are kept (snapshots.events: off)" in off


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("unknown", "--cluster"), "--open-with KEY: pictures are sealed"),
        (("events.jsonl", "--cluster"), "edgeface events unknown --cluster"),
        (("unknown", "--cluster", "--csv"), "do not go with --cluster"),
        (("unknown", "e.jsonl", "--cluster", "--open-with", "k"), "--device ID"),
        (("unknown", "--open-with", "k"), "go with --cluster"),
        (("unknown", "--cluster", "--open-with", "/no/key"), "/no/key"),
    ],
)
def test_what_does_not_go_together_is_a_wrong_command_line(
    edgeface: Edgeface, arguments: tuple[str, ...], words: str
) -> None:
    code, _, err = edgeface("events", *arguments)
    assert (code, words in err) == (2, True), err


def test_pictures_that_are_sealed_to_another_key_are_said_to_be(
    device: Path, edgeface: Edgeface
) -> None:
    event_id = kept_picture(device / "state" / "snapshots")
    AdministratorSecret.generate().save(device / "other.key")
    cluster = ("events", "unknown", "--cluster", "--open-with", device / "other.key")
    code, _, err = edgeface(*cluster)
    assert code == 2
    assert f"event {event_id}: its picture cannot be opened: sealed to the key" in err


def test_unknown_without_its_option_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["events", "unknown"]) == 2
    assert "unknown goes with --cluster" in capsys.readouterr().err
