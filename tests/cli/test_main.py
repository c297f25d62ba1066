"""The command line: verbs, errors and exit codes."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from edgeface import __version__
from edgeface.base.errors import ClosedError, EdgefaceError, ModelError, SettingsError
from edgeface.cli import main as main_module
from edgeface.cli.main import VERBS, main
from edgeface.cli.plain import plain_json


@pytest.fixture
def verb(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A verb `try`, whose `run` the test sets."""
    module = ModuleType("edgeface.cli.try", "What it does.")
    module.add_arguments = lambda parser: parser.add_argument("--code", type=int)  # type: ignore[attr-defined]
    module.run = lambda args: args.code  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(VERBS, "try", "a line of help")
    return module


@pytest.mark.parametrize("name", list(VERBS))
def test_every_verb_has_its_module(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([name, "--help"])
    assert caught.value.code == 0
    module = importlib.import_module(f"edgeface.cli.{name}")
    assert str(module.__doc__).splitlines()[0] in capsys.readouterr().out


def test_help_has_a_line_for_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert all(f"{name} " in shown and text in shown for name, text in VERBS.items())


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert (caught.value.code, capsys.readouterr().out) == (0, f"edgeface {__version__}\n")


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["fly"], id="unknown-verb"),
        pytest.param(["config", "eat"], id="unknown-action"),
        pytest.param(["--loud", "config", "check"], id="unknown-option"),
    ],
)
def test_a_wrong_command_line_ends_in_usage_and_2(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 2
    assert "usage: edgeface" in capsys.readouterr().err


def test_no_verb_at_all_is_2_and_shows_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    shown = capsys.readouterr().err
    assert all(f"{name} " in shown for name in VERBS)


def test_the_verbs_code_is_the_exit_code(verb: ModuleType) -> None:
    assert main(["try", "--code", "7"]) == 7


@pytest.mark.parametrize(
    ("error", "code", "shown"),
    [
        pytest.param(SettingsError("a: x\nb: y"), 2, ["a: x", "b: y"], id="two-faults"),
        pytest.param(ModelError("no such model"), 3, ["no such model"], id="model"),
        pytest.param(ClosedError(), 1, ["ClosedError"], id="no-message"),
        pytest.param(
            ModelError("Zoë \x1b[2J\x9b!"), 3, ["Zoë ?[2J?!"], id="what-steers-a-terminal"
        ),
    ],
)
def test_an_error_is_one_line_and_its_code(
    verb: Any,
    capsys: pytest.CaptureFixture[str],
    error: EdgefaceError,
    code: int,
    shown: list[str],
) -> None:
    def fail(args: object) -> int:
        raise error

    verb.run = fail
    assert main(["try"]) == code
    assert capsys.readouterr().err.splitlines() == [f"edgeface: error: {line}" for line in shown]


def test_json_for_people_has_names_as_they_are_and_nothing_that_steers_a_terminal() -> None:
    value = {"name": "Zoë", "text": "\x1b\x7f\x9b\u202e\U000e0001\n"}
    shown = plain_json(value)
    assert '"Zoë"' in shown
    assert all(letter.isprintable() for letter in shown.replace("\n", ""))
    assert json.loads(shown) == value


def test_ctrl_c_is_130_without_a_traceback(verb: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(args: object) -> int:
        raise KeyboardInterrupt

    verb.run = interrupt
    assert main(["try"]) == 130
    assert capsys.readouterr().err == ""


def test_ctrl_c_while_the_verb_is_imported_is_130_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(name: str) -> ModuleType:
        raise KeyboardInterrupt

    monkeypatch.setattr(main_module.importlib, "import_module", interrupt)
    assert main(["doctor"]) == 130
    assert capsys.readouterr().err == ""


def test_a_reader_that_leaves_early_causes_no_traceback() -> None:
    command = [sys.executable, "-m", "edgeface", "config", "schema"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["--help"], id="help"),
        pytest.param(["--version"], id="version"),
        pytest.param(["config", "--help"], id="config-help"),
        pytest.param(["fleet", "--help"], id="fleet-help"),
    ],
)
def test_nothing_heavy_is_imported_before_the_verb_is_known(argv: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "edgeface", *argv],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "edgeface.cli.main" in imported
    assert imported.isdisjoint({"numpy", "cv2", "paho", "cryptography", "sqlite3"})


@pytest.mark.parametrize(
    ("given", "verb", "expected"),
    [
        pytest.param({}, "run", "1 1", id="run"),
        pytest.param({}, "bench", "1 1", id="bench"),
        pytest.param({"OPENBLAS_NUM_THREADS": "3"}, "run", "3", id="the user's wish stands"),
        pytest.param({}, "evaluate", "None", id="others use the cores"),
    ],
)
def test_the_daemon_multiplies_with_one_thread_however_it_was_started(
    given: dict[str, str], verb: str, expected: str
) -> None:
    script = f"""
import os, sys
from edgeface.cli.main import main
assert "numpy" not in sys.modules
try:
    main(["{verb}", "--no-such-option"])
except SystemExit:
    pass
import numpy as np
ones = np.ones((600, 600), np.float32)
assert (ones @ ones)[0, 0] == 600
print(os.environ.get("OPENBLAS_NUM_THREADS"), len(os.listdir("/proc/self/task")))
"""
    environ = {k: v for k, v in os.environ.items() if k != "OPENBLAS_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=environ | given,
    )
    assert done.stdout.startswith(expected), done.stdout
