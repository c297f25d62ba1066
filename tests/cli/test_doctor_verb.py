"""`edgeface doctor`: every part is tried, each fault has its line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgeface.base.clock import Clock
from edgeface.cli.main import main
from edgeface.demo.photographs import COLLINS
from edgeface.gallery.opening import open_gallery
from edgeface.mqtt.localbroker import free_port
from edgeface.settings.loading import load_settings
from tests.support.broker import running_broker
from tests.support.daemon import ROOT

CONFIG = """
site: home
device: door-1
state_dir: state
camera: {{source: images, folder: {folder}, fps: 10}}
mqtt: {{host: 127.0.0.1, port: {port}}}
"""

MACHINE = [f"--skip={name}" for name in ("temperature", "power", "root", "disk", "devices")]
"""What the machine that runs the tests is like, which they do not mind."""


def configured(folder: Path, port: int, pictures: str = "pictures") -> str:
    path = folder / "edgeface.yaml"
    path.write_text(CONFIG.format(folder=pictures, port=port))
    return str(path)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    import cv2
    import numpy as np

    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "1.png"), np.zeros((120, 160, 3), np.uint8))
    return folder


def test_nothing_is_missing_where_everything_answers(
    tmp_path: Path,
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(Clock, "sync_trouble", lambda self: None)
    with running_broker(tmp_path / "broker") as broker:
        status = main(["doctor", "-c", configured(tmp_path, broker.port), *MACHINE])
    shown = capsys.readouterr().out
    assert status == 0, shown
    assert "images" in shown
    assert "160x120" in shown
    assert "golden runs pass on cpu" in shown
    assert "FAIL" not in shown


def test_a_state_folder_that_everybody_may_change_is_told(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path, free_port())
    left_out = [*MACHINE, *(f"--skip={name}" for name in ("models", "camera", "broker", "clock"))]
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)
    assert main(["doctor", "-c", config, *left_out]) == 1
    assert f"chmod 700 {tmp_path / 'state'}" in capsys.readouterr().out
    (tmp_path / "state").chmod(0o755)
    assert main(["doctor", "-c", config, *left_out]) == 0


def test_it_counts_the_people_of_the_gallery(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path, free_port())
    with open_gallery(load_settings(Path(config))):
        pass
    skipped = [*MACHINE, *(f"--skip={name}" for name in ("models", "camera", "broker", "clock"))]
    assert main(["doctor", "-c", config, *skipped]) == 0
    assert "OK    gallery      0 people" in capsys.readouterr().out


def test_every_fault_has_its_line_and_the_rest_is_still_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Clock, "sync_trouble", lambda self: "it runs free")
    port = free_port()
    status = main(
        ["doctor", "-c", configured(tmp_path, port, "nowhere"), "--skip=models", *MACHINE]
    )
    lines = capsys.readouterr().out.splitlines()
    assert status == 1
    marks = {line[6:18].strip(): line[:4].strip() for line in lines if line[:1] != " "}
    assert marks["models"] == "--"
    assert [name for name, mark in marks.items() if mark == "FAIL"] == ["camera", "broker", "clock"]
    assert any("nowhere" in line for line in lines)
    assert any(str(port) in line for line in lines)


def test_with_a_bad_configuration_the_machine_is_still_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.yaml").write_text("site: 1\n")
    assert (
        main(["doctor", "-c", str(tmp_path / "bad.yaml"), "--skip=clock", "--json", *MACHINE]) == 1
    )
    found = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    assert "bad.yaml:1:1: site" in found["config"]["detail"]
    assert "edgeface config check" in found["config"]["cure"]
    assert [name for name, check in found.items() if check["verdict"] == "fail"] == ["config"]
    assert found["models"]["verdict"] == "ok"
    assert found["broker"] == {
        "name": "broker",
        "verdict": "not_tried",
        "detail": "there is no configuration that says what to try",
        "cure": None,
    }


def test_without_a_configuration_nothing_fails_for_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("edgeface.cli.doctor.DEFAULT_FILE", tmp_path / "none.yaml")
    assert main(["doctor", "-c", str(tmp_path / "none.yaml"), "--skip=clock", *MACHINE]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("WARN  config")
    assert main(["doctor", "-c", str(tmp_path / "other.yaml"), "--skip=clock", *MACHINE]) == 1


def test_a_check_that_is_not_there_cannot_be_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "-c", configured(tmp_path, 1), "--skip", "lens"]) == 2
    assert "one of python, " in capsys.readouterr().err


def test_every_fault_has_a_cure_and_no_secret_is_told(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configured(tmp_path, free_port())
    with Path(config).open("a") as file:
        file.write("identity: {key_file: device.key}\n")
    (tmp_path / "device.key").write_text("a secret")
    (tmp_path / "device.key").chmod(0o644)
    assert main(["doctor", "-c", config, "--skip=models", "--skip=camera", "--json", *MACHINE]) == 1
    shown = capsys.readouterr().out
    checks = json.loads(shown)["checks"]
    assert all(check["cure"] for check in checks if check["verdict"] in ("warn", "fail"))
    keys = next(check for check in checks if check["name"] == "keys")
    assert (keys["verdict"], keys["cure"]) == ("fail", f"chmod 600 {tmp_path / 'device.key'}")
    assert "a secret" not in shown


def test_a_camera_that_hangs_on_its_side_is_told_how_to_be_set(
    tmp_path: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import cv2

    photograph = cv2.imread(str(COLLINS))
    assert photograph is not None
    cv2.imwrite(str(pictures / "1.png"), cv2.rotate(photograph, cv2.ROTATE_90_CLOCKWISE))
    main(["doctor", "-c", configured(tmp_path, 1), "--skip", "broker"])
    assert "set camera.rotate: 270" in capsys.readouterr().out


def test_a_library_that_does_not_load_is_a_finding_of_the_checks_that_need_it(
    tmp_path: Path,
) -> None:
    (tmp_path / "paho").mkdir()
    (tmp_path / "paho/__init__.py").write_text("raise ImportError('built for another Python')\n")
    found = subprocess.run(
        [
            sys.executable,
            "-m",
            "edgeface",
            "doctor",
            "-c",
            configured(tmp_path, 1),
            "--skip=camera",
        ],
        env=os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "FAIL  broker       a library does not load: built for another Python" in found.stdout
    assert "OK    models" in found.stdout
    assert (found.returncode, found.stderr) == (1, "")


def test_each_check_is_there() -> None:
    from edgeface.service.doctor.checkup import CHECKS, examine
    from edgeface.service.doctor.finding import Patient

    found = dict(examine(Patient(None, root=Path("/nowhere"))))
    assert found.keys() == CHECKS.keys()
    assert {name for name, one in found.items() if one.verdict == "fail"} <= {"clock", "versions"}
