"""`edgeface demo` as a newcomer runs it: real broker, daemon and door, in a reduced form."""

from __future__ import annotations

import io
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from edgeface.base.errors import EdgefaceError
from edgeface.demo.child import DemoError, environment
from edgeface.demo.demonstration import demonstrate
from edgeface.demo.photographs import COLLINS
from edgeface.demo.plan import VISITORS, Plan
from edgeface.demo.screen import LAST_LINE, Screen
from edgeface.gallery.opening import open_gallery
from edgeface.settings.loading import load_settings
from tests.support.cameras import simulated

SMALL = VISITORS | {"size": (960, 540), "fps": 12.0, "visit_s": 2.4, "gap_s": 0.6}


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def test_the_door_opens_for_the_right_face_only_and_never_for_a_late_word(tmp_path: Path) -> None:
    before = children()
    out, picture = io.StringIO(), tmp_path / "sheet.png"
    code = demonstrate(Plan(picture, again=False, visitors=SMALL), Screen(out))
    said = out.getvalue()
    assert code == 0, said
    assert children() == before
    assert re.search(r"recognized Eileen Collins: score 0\.\d\d, threshold 0\.\d\d", said)
    assert "OPEN for Eileen Collins" in said
    assert re.search(r"SHUT \(not_recognized:unknown\) for Grace Hopper", said)
    assert "OPEN for Grace Hopper" not in said
    assert "SHUT (not_recognized:rejected_pad) for a print of Eileen Collins" in said
    assert "OPEN for a print" not in said
    order = [
        "OPEN for Eileen",
        "stopped: the door",
        "waits on disk",
        "started again",
        "arrives late",
    ]
    places = [said.index(part) for part in order]
    assert places == sorted(places)
    assert said.count("\n  ok ") == 9
    assert said.rstrip().endswith(LAST_LINE)
    assert str(picture.resolve()) in said
    sheet = cv2.imread(str(picture))
    assert sheet is not None
    assert sheet.shape[1] > 1000


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A video of somebody who is at the door all the time."""
    (tmp_path / "material").mkdir()
    path = tmp_path / "material" / "clip.avi"
    source = simulated(COLLINS, fps=10, visit_s=60, gap_s=0, size=(960, 540))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (960, 540))
    for number in range(25):
        writer.write(source.render(300 + number))
    writer.release()
    return path


def test_a_film_of_somebody_who_never_steps_out_shows_it_all(clip: Path, tmp_path: Path) -> None:
    out = io.StringIO()
    code = demonstrate(Plan(tmp_path / "sheet.png", str(clip), again=False), Screen(out))
    said = out.getvalue()
    assert code == 0, said
    assert "have to show one person alone" in said
    assert said.index("edgeface door (process") < said.index("edgeface run -c")
    assert said.count("\n  ok ") == 6
    assert "step out" not in said


def test_a_real_camera_enrolls_whoever_is_there_and_ctrl_c_ends_all_of_it(
    clip: Path, tmp_path: Path
) -> None:
    place = tmp_path / "place"
    place.mkdir()
    options = ["--camera", str(clip), "--output", str(place / "sheet.png")]
    demo = subprocess.Popen(
        [sys.executable, "-m", "edgeface", "demo", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment() | {"TMPDIR": str(place)},
        text=True,
    )
    assert demo.stdout is not None
    said: list[str] = []
    for line in demo.stdout:
        said.append(line)
        if "Waiting until nobody is in view" in line:
            break
    text = "".join(said)
    assert "photograph 3 of 3 is good" in text, text
    assert "OPEN for You" in text
    of_the_demo = psutil.Process(demo.pid).children(recursive=True)
    assert len(of_the_demo) == 3
    demo.send_signal(signal.SIGINT)
    _, errors = demo.communicate(timeout=20)
    assert demo.returncode == 130
    assert "Traceback" not in errors
    assert not any(process.is_running() for process in of_the_demo)
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    ("plan", "told", "code"),
    [
        pytest.param({"camera": "97"}, "no camera at /dev/video97", 3, id="no such camera"),
        pytest.param({"camera": "nonsense"}, "neither the number of a camera", 2, id="no camera"),
        pytest.param({"camera": __file__}, "not a video that OpenCV can decode", 3, id="no film"),
        pytest.param({"output": Path("absent/sheet.png")}, "cannot be written", 1, id="no place"),
    ],
)
def test_what_keeps_it_from_beginning_is_told_and_leaves_no_process(
    plan: dict[str, object], told: str, code: int, tmp_path: Path
) -> None:
    before = children()
    wish = Plan(**({"output": tmp_path / "sheet.png"} | plan))  # type: ignore[arg-type]
    with pytest.raises(EdgefaceError, match=told) as error:
        demonstrate(wish, Screen(io.StringIO()))
    assert error.value.exit_code == code
    assert children() == before


def test_a_step_that_fails_is_told_in_its_own_words_and_leaves_no_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = children()

    def faceless(folder: Path) -> Path:
        path = folder / "faceless.png"
        cv2.imwrite(str(path), np.full((300, 300, 3), 128, np.uint8))
        return path

    monkeypatch.setattr("edgeface.demo.demonstration.write_enrollment", faceless)
    with pytest.raises(DemoError, match=r"(?s)`edgeface enroll` ended with 2:.*no face found"):
        demonstrate(Plan(tmp_path / "sheet.png", visitors=SMALL), Screen(io.StringIO()))
    assert children() == before


def test_what_does_not_come_about_in_time_is_told_with_what_was_expected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = children()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    out = io.StringIO()
    nobody = SMALL | {"gap_s": 60.0}
    plan = Plan(tmp_path / "sheet.png", keep=True, step_s=0.1, again=False, visitors=nobody)
    assert demonstrate(plan, Screen(out)) == 1
    said = out.getvalue()
    assert "NOT  the door opens for Eileen Collins, who is enrolled" in said
    assert "expected: a live, signed event 'recognized'" in said
    assert "NOT everything went as it has to" in said
    assert said.rstrip().endswith(LAST_LINE)
    assert (tmp_path / "sheet.png").exists()
    assert children() == before
    (kept,) = tmp_path.glob("edgeface-demo-*")
    assert f"Kept: {kept}" in said
    settings = load_settings(kept / "edgeface.yaml")
    with open_gallery(settings) as gallery:
        assert gallery.count() == 1
