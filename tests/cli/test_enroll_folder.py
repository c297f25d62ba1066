"""`edgeface enroll --folder` with the shipped models and the two photographs of the demo."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeface import demo
from edgeface.cli.main import main

PICTURES = Path(demo.__file__).parent / "pictures"
GRACE = PICTURES / "grace-hopper.jpg"
EILEEN = PICTURES / "eileen-collins.png"
Enroll = Callable[..., tuple[int, str, str]]


@pytest.fixture
def enroll(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Enroll:
    """Runs `edgeface enroll`; returns exit code, standard output and standard error."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    config = tmp_path / "edgeface.yaml"
    config.write_text(
        "site: hq\ndevice: door-1\nstate_dir: state\ncamera: {source: images, folder: .}\n"
    )

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["enroll", *arguments, "-c", str(config)])
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """As Instaloader lays it down: a folder for each profile."""
    tree = tmp_path / "team"
    for name, photo in {
        "grace/2024-05-01_12-00-00_UTC.jpg": GRACE,
        "grace/2023-05-01_12-00-00_UTC_1.jpg": GRACE,
        "grace/2025-05-01_12-00-00_UTC.jpg": GRACE,
        "grace/undated.jpg": GRACE,
        "eileen/2024-12-31_11-00-00_UTC_2.png": EILEEN,
        "ida/2023-01-01_00-00-00_UTC.png": EILEEN,
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photo, tree / name)
    for name in ("2024-05-01_12-00-00_UTC.mp4", "2024-05-01_12-00-00_UTC.json.xz"):
        (tree / "grace" / name).touch()
    return tree


def test_every_folder_is_a_person_and_every_file_is_accounted_for(
    enroll: Enroll, team: Path
) -> None:
    given = ("--folder", str(team), "--since", "2024-01-01", "--until", "2024-12-31")
    code, out, _ = enroll(*given)
    assert code == 1
    assert "2023-05-01_12-00-00_UTC_1.jpg: is of 2023-05-01, before --since" in out
    assert "2025-05-01_12-00-00_UTC.jpg: is of 2025-05-01, after --until" in out
    assert "undated.jpg: has no date in its name" in out
    assert "FAILED   ida: no usable photo" in out
    assert "2024-05-01_12-00-00_UTC.mp4: no picture by its name" in out
    assert "2 enrolled, 0 skipped, 1 failed; 4 photos refused, 2 unused\n" in out
    code, out, _ = enroll(*given)
    assert "skipped  grace: is enrolled already" in out
    code, out, _ = enroll("--folder", str(team))
    assert code == 1
    assert "FAILED   ida: looks like" in out


def test_what_became_of_everybody_is_one_json_object(enroll: Enroll, team: Path) -> None:
    code, out, err = enroll("--folder", str(team), "--since", "2024-01-01", "--json")
    found = json.loads(out)
    people = {person["display_name"]: person for person in found["people"]}
    assert (code, sorted(people)) == (1, ["eileen", "grace", "ida"])
    assert people["grace"]["added"] == 1
    assert {one["reason"] for one in people["grace"]["refused"]} == {"other_time", "undated"}
    assert (people["ida"]["person_id"], people["ida"]["failed"]) == (None, "no usable photo")
    assert len(found["unused"]) == 2
    assert "FAILED   ida" in err


def test_photos_of_one_person_are_chosen_by_date_as_well(enroll: Enroll, team: Path) -> None:
    photos = [str(photo) for photo in sorted((team / "grace").glob("*.jpg"))]
    code, out, err = enroll(*photos, "--name", "Grace", "--since", "2025-01-01")
    assert code == 0
    assert err.count("before --since") == 2
    assert "Grace enrolled as" in out
    assert "1 new of 1 template" in out


def test_narrow_faces_are_refused_on_request(enroll: Enroll) -> None:
    code, _, err = enroll(str(GRACE), "--name", "Grace", "--min-face-px", "1900")
    assert code == 2
    assert "at least 1900 are needed" in err


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param((), 2, "one of photos of one person, --camera", id="nothing"),
        pytest.param(("a.png", "--folder", "."), 2, "one of photos", id="both"),
        pytest.param(("--folder", ".", "--name", "A"), 2, "are of one person", id="name"),
        pytest.param(("--folder", "nowhere"), 2, "nowhere: cannot be read", id="no tree"),
        pytest.param(
            ("a.png", "--since", "2024-02-01", "--until", "2024-01-01"), 2, "later than", id="dates"
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    enroll: Enroll, arguments: tuple[str, ...], code: int, said: str
) -> None:
    result, _, err = enroll(*arguments)
    assert result == code
    assert said in err
