"""Every command of docs/cookbook.md runs, and ends as the page says."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from edgeface.cli.main import main
from edgeface.demo.photographs import COLLINS, HOPPER

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "cookbook.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"```(python|sh)\n(.*?)```", re.DOTALL)
STATUS = re.compile(r"#\s*(\d)")
"""The comment behind a command that does not end with 0."""
SIMULATED = f"""
site: test
device: bench-1
state_dir: state
camera: {{source: simulated, photographs: [{COLLINS}, {HOPPER}]}}
mqtt: {{port: 1883}}
"""


def test_the_page_from_top_to_bottom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "simulated.yaml").write_text(SIMULATED)
    ran = 0
    for language, block in BLOCK.findall(PAGE):
        if language == "python":
            exec(compile(block, "cookbook.md", "exec"), {})
            continue
        for line in block.splitlines():
            verb, *arguments = shlex.split(line, comments=True)
            if verb != "edgeface":
                continue
            expected = STATUS.search(line)
            assert main(arguments) == (int(expected[1]) if expected else 0), line
            ran += 1
    assert ran >= 18
    assert {path.name for path in tmp_path.iterdir()} >= {
        "compared.png",
        "facenet.svg",
        "inspected.png",
        "map.png",
        "matrix.csv",
        "matrix.png",
        "people.html",
        "people.npz",
        "small.npz",
    }
