"""`edgeface config`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from edgeface.cli.main import main

NEEDED = "site: hq\ndevice: door-1\ncamera: {source: v4l2}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "edgeface.yaml"
    path.write_text(NEEDED)
    return path


def test_check_says_that_a_file_is_good(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "check", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}: good, for device door-1 of site hq\n"


def test_check_prints_every_fault_and_exits_with_2(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text(NEEDED + "x: 1\ny: 2\n")
    assert main(["config", "check", "-c", str(file)]) == 2
    assert capsys.readouterr().err == (
        f"edgeface: error: {file}:4:1: x: is not a known key\n"
        f"edgeface: error: {file}:5:1: y: is not a known key\n"
    )


def test_show_has_the_defaults(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", str(file)]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["decision"]["max_looks"] == 3


def test_schema_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "schema"]) == 0
    assert json.loads(capsys.readouterr().out)["type"] == "object"


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ("pad: {model: facenet}", "pad.model: facenet is for face-embedding"),
        ("models: {detector: pad}", "models.detector: pad is for attack-detection"),
        ("models: {embedder: face_detector}", "models.embedder: face_detector is for"),
        ("models: {next_embedder: pad}", "models.next_embedder: pad is for attack-detection"),
        ("pad: {model: no_such}", "no such model package"),
        ("models: {embedder: /nowhere/of_another_machine}", None),
    ],
)
def test_a_model_in_the_place_of_another_is_a_fault(
    file: Path, capsys: pytest.CaptureFixture[str], section: str, told: str | None
) -> None:
    file.write_text(f"{NEEDED}{section}\n")
    assert main(["config", "check", str(file)]) == (0 if told is None else 2)
    said = capsys.readouterr().err
    assert (said == "") if told is None else (f"{file}: " in said and told in said)
    assert told is None or "edgeface models list" in said


def test_a_model_in_the_place_of_another_is_a_fault_of_each_device(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "devices").mkdir()
    (tmp_path / "site.yaml").write_text("site: hq\ncamera: {source: v4l2}\n")
    (tmp_path / "devices" / "a.yaml").write_text("device: a\n")
    (tmp_path / "devices" / "b.yaml").write_text("device: b\npad: {model: facenet}\n")
    assert main(["config", "check", "--all", str(tmp_path)]) == 2
    out, err = capsys.readouterr()
    assert f"{tmp_path}/devices/a.yaml: good" in out
    assert f"{tmp_path}/devices/b.yaml: 1 fault" in out
    assert f"{tmp_path}/devices/b.yaml: pad.model: facenet is for face-embedding" in err
