from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from edgeface.cli.main import main
from edgeface.gallery.store import GalleryStore
from tests.support.flips import flip
from tests.support.gallery import (
    KEY,
    SPACE,
    PaintedDetector,
    PaintedEmbedder,
    picture,
    portrait,
    write_photo,
)

GIVEN = "p_8c1k3v9q2m"
Edgeface = Callable[..., tuple[int, str, str]]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "edgeface.yaml"
    path.write_text(
        "site: hq\ndevice: door-1\nstate_dir: state\ncamera: {source: images, folder: .}\n"
    )
    return path


@pytest.fixture
def edgeface(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Edgeface:
    """Runs the command line with the configuration and stand-ins for the models; returns exit
    code, standard output and standard error."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.chdir(config.parent)
    monkeypatch.setattr(
        "edgeface.gallery.gate.open_models",
        lambda *_, **__: (PaintedDetector(), PaintedEmbedder(), None),
    )
    monkeypatch.setattr("edgeface.cli.gallery.load_package", lambda _: PaintedEmbedder.package)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "-c", str(config)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def photos(tmp_path: Path) -> dict[str, str]:
    images = {
        "grace": portrait(1),
        "grace2": portrait(1, 300, look=1),
        "eileen": portrait(3),
        "nobody": picture(300, 300),
        "crowd": picture(640, 480, (20, 100, 160, 260), (250, 110, 390, 270)),
        "tiny": picture(300, 300, (100, 100, 126, 126)),
    }
    return {
        name: str(write_photo(tmp_path / f"{name}.png", image)) for name, image in images.items()
    }


def people(edgeface: Edgeface) -> dict[str, dict[str, object]]:
    code, out, _ = edgeface("gallery", "list", "--json")
    assert code == 0
    return {row["display_name"]: row for row in json.loads(out)}


def test_a_person_is_enrolled_from_the_photos_that_pass(
    edgeface: Edgeface, photos: dict[str, str], tmp_path: Path
) -> None:
    code, out, err = edgeface("enroll", *photos.values(), "--name", "Grace", "--card", "4711")
    assert code == 0
    assert f"good     {photos['grace']}" in out
    assert re.search(r"Grace enrolled as p_\w{10}, 2 new of 2 templates", out)
    assert f"refused  {photos['nobody']}: no face found" in err
    assert f"refused  {photos['crowd']}: 2 faces, and none clearly dominates" in err
    assert f"refused  {photos['tiny']}: the face is 26 px wide, at least 30" in err
    assert f"warning: {photos['eileen']} does not look like the other photos" in err
    row = people(edgeface)["Grace"]
    assert (row["card"], row["templates"], row["validity"]) == ("4711", {SPACE: 2}, "always")
    kept = {path.suffix for path in (tmp_path / "state").rglob("*") if path.is_file()}
    assert kept <= {".sqlite", ".key", ".sqlite-wal", ".sqlite-shm"}


def test_nobody_is_enrolled_when_no_photo_passes(
    edgeface: Edgeface, photos: dict[str, str]
) -> None:
    code, _, err = edgeface("enroll", photos["nobody"], "absent.jpg", "--name", "Grace")
    assert code == 2
    assert "refused  absent.jpg: cannot be read: No such file" in err
    assert "edgeface: error: none of 2 photos can be used, so nobody was enrolled" in err
    assert people(edgeface) == {}


def test_a_hand_given_id_is_warned_about_once_and_then_added_to(
    edgeface: Edgeface, photos: dict[str, str]
) -> None:
    code, out, err = edgeface("enroll", photos["grace"], "--name", "Grace", "--id", GIVEN, "--new")
    assert (code, "ids are public on the broker" in err) == (0, True)
    code, out, err = edgeface("enroll", photos["grace2"], "--id", GIVEN)
    assert (code, err) == (0, "")
    assert f"Grace is {GIVEN}, 1 new of 2 templates" in out
    code, out, err = edgeface("enroll", photos["grace2"], "--id", GIVEN, "--replace")
    assert "1 new of 1 template\n" in out


def test_somebody_who_is_there_already_is_refused_unless_forced(
    edgeface: Edgeface, photos: dict[str, str]
) -> None:
    edgeface("enroll", photos["grace"], "--name", "Grace", "--id", GIVEN, "--new")
    code, _, err = edgeface("enroll", photos["grace2"], "--name", "Grace Murray")
    assert (code, set(people(edgeface))) == (1, {"Grace"})
    assert f"looks like {GIVEN} (Grace), score 0.80: the same person twice?" in err
    code, _, err = edgeface("enroll", photos["grace2"], "--name", "Grace Murray", "--force")
    assert (code, f"warning: looks like {GIVEN} (Grace)" in err) == (0, True)
    code, out, _ = edgeface("gallery", "merge", "Grace", "Grace Murray")
    assert (code, "2 templates, 0 left out\nremoved p_" in out) == (0, True)
    assert people(edgeface)["Grace"]["templates"] == {SPACE: 2}


def test_pictures_of_two_people_enroll_nobody_and_an_audit_finds_those_that_were_forced(
    edgeface: Edgeface, photos: dict[str, str]
) -> None:
    both = ("enroll", photos["grace"], photos["eileen"], "--name", "X", "--id", GIVEN, "--new")
    code, _, err = edgeface(*both)
    assert (code, people(edgeface)) == (1, {})
    assert f"{photos['eileen']} does not look like the other photos" in err
    assert "Several people? Nobody was enrolled" in err
    assert edgeface(*both, "--force")[0] == 0
    code, out, _ = edgeface("gallery", "audit")
    assert f"{GIVEN}: templates that do not look like one person's" in out


def test_an_export_of_odd_people_is_refused_unless_forced(
    edgeface: Edgeface, photos: dict[str, str]
) -> None:
    edgeface("enroll", photos["grace"], "--name", "Grace", "--card", "7")
    edgeface("gallery", "export", "one.jsonl")
    edgeface("enroll", photos["grace2"], "--name", "Twin", "--card", "7", "--force")
    edgeface("gallery", "export", "two.jsonl")
    edgeface("gallery", "remove", "Grace")
    for file in ("one.jsonl", "two.jsonl"):
        more = ["--replace"] if file == "two.jsonl" else []
        code, _, err = edgeface("gallery", "import", file, *more)
        assert (code, set(people(edgeface))) == (1, {"Twin"})
        assert "looks like p_" in err
        assert "card '7' belongs to p_" in err
        assert "; nothing was imported, --force takes them all" in err
    assert edgeface("gallery", "import", "one.jsonl", "--force")[0] == 0
    assert set(people(edgeface)) == {"Grace", "Twin"}


def test_who_was_enrolled_at_a_door_gets_a_name(edgeface: Edgeface, photos: dict[str, str]) -> None:
    """What `call enroll` brings has none."""
    edgeface("enroll", photos["grace"], "--name", "Grace", "--id", GIVEN, "--new")
    assert edgeface("gallery", "set", "Grace", "--no-name")[0] == 0
    edgeface("gallery", "export", "door.export")
    edgeface("gallery", "remove", GIVEN)
    code, out, _ = edgeface("gallery", "import", "door.export", "--name", "Zoe\u0308")
    assert (code, set(people(edgeface))) == (0, {"Zo\u00eb"})
    code, out, _ = edgeface(
        "gallery", "set", "Zo\u00eb", "--name", "Zoe", "--card", "47", "--valid-to", "2090-01-01"
    )
    assert (code, f"{GIVEN}  Zoe  card 47  valid from always, ends 209" in out) == (0, True)
    assert edgeface("gallery", "show", "--card", "47")[1].startswith(f"{GIVEN}\n  name      Zoe\n")
    code, _, err = edgeface("gallery", "show", "--card", "48")
    assert (code, "card 48: nobody in the gallery has it" in err) == (2, True)
    edgeface("enroll", photos["eileen"], "--name", "Eileen")
    code, _, err = edgeface("gallery", "set", "Eileen", "--card", "47")
    assert (code, f"card '47' belongs to {GIVEN} (Zoe); --force" in err) == (1, True)
    code, _, err = edgeface("gallery", "set", "Eileen", "--card", "47", "--force")
    assert (code, "as well" in err) == (0, True)
    assert edgeface("gallery", "show", "--card", "47")[1].count("p_") == 2
    code, _, err = edgeface("gallery", "merge", "Zoe", "Eileen")
    assert (code, "do not look like one person" in err) == (1, True)
    edgeface("gallery", "export", "two.export")
    code, _, err = edgeface("gallery", "import", "two.export", "--replace", "--name", "Both")
    assert (code, "--name is for a file of one person, this one has 2" in err) == (1, True)
    assert set(people(edgeface)) == {"Zoe", "Eileen"}


def test_a_mistyped_id_creates_nobody(edgeface: Edgeface, photos: dict[str, str]) -> None:
    code, _, err = edgeface("enroll", photos["grace"], "--name", "Grace", "--id", GIVEN)
    assert (code, people(edgeface)) == (1, {})
    assert f"{GIVEN}: nobody has this id; leave --id out for a new person" in err


def test_a_validity_window_is_taken_in_local_time(
    edgeface: Edgeface, photos: dict[str, str]
) -> None:
    code, _, _ = edgeface(
        "enroll", photos["grace"], "--name", "Grace",
        "--valid-from", "2026-11-21T08:00+01:00", "--valid-to", "2026-11-30",
    )  # fmt: skip
    assert code == 0
    row = people(edgeface)["Grace"]
    assert row["valid_from_s"] == datetime.fromisoformat("2026-11-21T07:00Z").timestamp()
    assert row["valid_to_s"] == datetime(2026, 12, 1).astimezone().timestamp()
    assert str(row["validity"]).startswith("from 2026-11-21T07:00Z until 2026-1")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        pytest.param(["--valid-to", "tomorrow"], 2, "is no date like", id="date"),
        pytest.param(["--name", "A", "--id", "grace"], 1, "is no person id", id="id"),
        pytest.param([], 1, "needs a name", id="no name"),
        pytest.param(
            ["--name", "A", "--valid-from", "2026-11-21", "--valid-to", "2026-11-20"],
            1, "ends before it begins", id="window",
        ),
    ],
)  # fmt: skip
def test_a_wrong_wish_is_told_before_any_photo_is_read(
    edgeface: Edgeface,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    code: int,
    message: str,
) -> None:
    try:
        found, _, err = edgeface("enroll", "absent.jpg", *arguments)
    except SystemExit as exit_:
        found, err = int(str(exit_.code)), capsys.readouterr().err
    assert found == code
    assert message in err
    assert "absent.jpg" not in err


def test_people_are_shown_and_removed_by_id_or_name(
    edgeface: Edgeface, photos: dict[str, str]
) -> None:
    edgeface("enroll", photos["grace"], "--name", "Grace", "--id", GIVEN, "--new", "--card", "47")
    edgeface("enroll", photos["eileen"], "--name", "Eileen")
    code, out, err = edgeface("gallery", "list")
    assert f"{GIVEN}  Grace    1 template   always\n" in out
    assert "2 people, revision 2" in err
    code, out, _ = edgeface("gallery", "show", "Grace")
    assert (code, out.splitlines()[0]) == (0, GIVEN)
    assert "  card      47" in out
    code, out, _ = edgeface("gallery", "remove", "Eileen", GIVEN, GIVEN)
    assert (code, out.count("removed p_")) == (0, 2)
    assert people(edgeface) == {}
    code, _, err = edgeface("gallery", "remove", "Grace")
    assert (code, err) == (2, "edgeface: error: Grace: no such person in the gallery\n")


def test_a_name_of_two_people_is_not_enough(edgeface: Edgeface, photos: dict[str, str]) -> None:
    edgeface("enroll", photos["grace"], "--name", "Grace")
    _, _, err = edgeface("enroll", photos["eileen"], "--name", "Grace")
    assert "has the same name 'Grace'" in err
    code, _, err = edgeface("gallery", "remove", "Grace")
    assert (code, "2 people have this name: p_" in err) == (2, True)


@pytest.mark.parametrize("options", [[], ["--plain"], ["--key-file", "export.key"]])
def test_an_export_brings_back_what_was_removed(
    edgeface: Edgeface, photos: dict[str, str], options: list[str]
) -> None:
    edgeface("enroll", photos["grace"], "--name", "Grace")
    before = people(edgeface)
    code, out, _ = edgeface("gallery", "export", "out.jsonl", *options)
    assert (code, "1 person, 1 template, " in out) == (0, True)
    assert ("NOT encrypted" in out) == (options == ["--plain"])
    edgeface("gallery", "remove", "Grace")
    taken = [option for option in options if option != "--plain"]
    code, out, _ = edgeface("gallery", "import", "out.jsonl", *taken)
    assert (code, out) == (0, "out.jsonl: 1 person added, 0 replaced, 1 template\n")
    assert people(edgeface) == before


def test_an_audit_is_printed_for_people_and_for_programs(
    edgeface: Edgeface, photos: dict[str, str]
) -> None:
    code, out, _ = edgeface("gallery", "audit")
    assert (code, out) == (0, "0 people, 0 templates for the model in use\n")
    edgeface("enroll", photos["grace"], "--name", "Grace", "--id", GIVEN, "--new")
    edgeface("enroll", photos["grace2"], "--name", "Twin", "--force")
    edgeface("enroll", photos["eileen"], "--name", "Eileen", "--valid-to", "2020-01-01")
    code, out, _ = edgeface("gallery", "audit")
    assert code == 0
    assert "3 people, 3 templates for the model in use" in out
    assert "an identification needs a score of 0." in out
    assert "expected to be named at it: 9" in out
    assert re.search(r"confusable, a door calls them ambiguous: p_\w+ and p_\w+, score 0.\d+", out)
    assert f"{GIVEN}: one template only" in out
    assert "validity has ended" in out
    code, out, _ = edgeface("gallery", "audit", "--json")
    assert len(json.loads(out)["one_template"]) == 3
    expected = json.loads(out)["expected"]
    assert (0.8 <= expected["still"] < expected["track"], expected["extrapolated"]) == (True, False)


@pytest.mark.parametrize(
    "arguments",
    [["enroll", "a.jpg", "--name", "A"], ["gallery", "remove", GIVEN], ["gallery", "import", "f"]],
    ids=["enroll", "remove", "import"],
)
def test_a_gallery_of_the_fleet_is_not_changed_here(
    edgeface: Edgeface, config: Path, arguments: list[str]
) -> None:
    config.write_text(config.read_text() + "gallery: {source: fleet}\n")
    code, _, err = edgeface(*arguments)
    assert code == 1
    assert "takes its gallery from the fleet" in err
    assert edgeface("gallery", "list")[0] == 0


def test_a_damaged_gallery_is_set_aside_with_what_to_do(
    edgeface: Edgeface, config: Path, photos: dict[str, str]
) -> None:
    edgeface("enroll", photos["grace"], "--name", "Grace")
    edgeface("gallery", "export", "out.jsonl")
    file = config.parent / "state" / "gallery.sqlite"
    damaged = b"no database" * 1000
    file.write_bytes(damaged)
    code, _, err = edgeface("gallery", "list")
    assert code == 1
    assert "was set aside as" in err
    assert "edgeface gallery import FILE" in err
    (aside,) = file.parent.glob("gallery.sqlite.corrupt-*Z")
    assert aside.read_bytes() == damaged
    assert edgeface("gallery", "import", "out.jsonl")[0] == 0
    assert set(people(edgeface)) == {"Grace"}


def test_damage_that_is_met_after_the_opening_sets_the_gallery_aside_with_the_same_words(
    edgeface: Edgeface, config: Path, photos: dict[str, str]
) -> None:
    edgeface("enroll", photos["grace"], "--name", "Grace")
    file = config.parent / "state" / "gallery.sqlite"
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE position SET revision = 'x'")
    connection.close()
    code, _, err = edgeface("gallery", "audit")
    assert code == 1
    assert "the gallery file is damaged: the table position; it was set aside as" in err
    assert "edgeface gallery import FILE" in err
    assert not file.exists()


def test_a_bit_in_the_text_of_the_schema_sets_the_gallery_aside_with_the_same_words(
    edgeface: Edgeface, config: Path, photos: dict[str, str]
) -> None:
    edgeface("enroll", photos["grace"], "--name", "Grace")
    flip(config.parent / "state" / "gallery.sqlite", 3225, 7)
    code, _, err = edgeface("gallery", "list")
    assert (code, err.count("\n")) == (1, 1)
    assert "the gallery file is damaged" in err
    assert "was set aside as" in err
    assert edgeface("gallery", "list")[0] == 0


def test_a_lost_or_wrong_key_is_told_and_the_gallery_kept(
    edgeface: Edgeface, config: Path, photos: dict[str, str]
) -> None:
    edgeface("enroll", photos["grace"], "--name", "Grace")
    key_file = config.parent / "state" / "gallery.key"
    key = key_file.read_bytes()
    key_file.unlink()
    code, _, err = edgeface("gallery", "list")
    assert (code, "key is missing" in err) == (1, True)
    key_file.write_bytes(KEY)
    key_file.chmod(0o600)
    code, _, err = edgeface("gallery", "list")
    assert (code, "the key does not fit" in err) == (1, True)
    key_file.write_bytes(key)
    assert set(people(edgeface)) == {"Grace"}


def test_a_damaged_row_is_listed_and_audited_as_such(
    edgeface: Edgeface, config: Path, photos: dict[str, str]
) -> None:
    edgeface("enroll", photos["grace"], "--name", "Grace", "--id", GIVEN, "--new")
    state = config.parent / "state"
    with GalleryStore(
        state / "gallery.sqlite", bytes.fromhex((state / "gallery.key").read_text())
    ) as store:
        store._connection().execute("UPDATE people SET body = x'00'")
    code, out, _ = edgeface("gallery", "list")
    assert (code, "stored data DAMAGED" in out) == (0, True)
    assert "stored data damaged" in edgeface("gallery", "audit")[1]
    assert edgeface("enroll", photos["grace"], "--name", "Grace")[0] == 0
    code, _, err = edgeface("enroll", photos["grace"], "--id", GIVEN, "--new")
    assert (code, f"edgeface gallery remove {GIVEN}" in err) == (1, True)
    assert edgeface("gallery", "remove", GIVEN)[0] == 0
