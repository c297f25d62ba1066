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
