from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from edgeface.cli.main import main
from edgeface.settings.places import shipped_models

Edgeface: TypeAlias = Callable[..., tuple[int, str, str]]


@pytest.fixture
def edgeface(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Edgeface:
    """Runs the command line with the models that ship, in a folder of its own; returns exit code,
    standard output and standard error."""
    if not (shipped_models() / "facenet" / "model.yaml").is_file():
        pytest.skip("no model package facenet")
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:  # argparse's
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run
