"""The command line: verbs, errors and exit codes."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
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


def streams_of(shell: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and standard error of `edgeface ARGUMENTS` with the streams that `shell` gives."""
    done = subprocess.run(
        ["sh", "-c", f'"$0" -m edgeface "$@" {shell}', sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize(
    ("shell", "verb", "status", "told"),
    [
        pytest.param(">&-", ["config", "schema"], 0, "", id="stdout-closed"),
        pytest.param(">&- 2>&-", ["config", "schema"], 0, "", id="both-closed"),
        pytest.param("<&- >&- 2>&-", ["config", "schema"], 0, "", id="all-closed"),
        pytest.param("2>&-", ["config", "check", "absent"], 2, "", id="stderr-closed"),
        pytest.param("2>/dev/full", ["config", "check", "absent"], 2, "", id="stderr-full"),
        pytest.param(
            ">/dev/full",
            ["config", "schema"],
            1,
            "edgeface: error: the output cannot be written: No space left on device\n",
            id="stdout-full",
        ),
    ],
)
def test_closed_and_full_outputs_are_no_traceback(
    shell: str, verb: list[str], status: int, told: str
) -> None:
    assert streams_of(shell, *verb) == (status, told)


def test_nothing_that_is_printed_goes_into_a_file_that_got_the_number_of_a_closed_output(
    tmp_path: Path,
) -> None:
    """SQLite, OpenCV and the runtimes write to descriptor 1 and 2 themselves."""
    code = (
        "import os, sys; from edgeface.cli import main as m; m._mend_streams();"
        "print(os.open(sys.argv[1], os.O_CREAT | os.O_WRONLY) > 2, file=open(sys.argv[2], 'w'))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "made"), str(tmp_path / "said")]
    subprocess.run(["sh", "-c", '"$@" <&- >&- 2>&-', "sh", *command], timeout=60, check=True)
    assert (tmp_path / "said").read_text() == "True\n"


def test_a_name_that_the_terminal_cannot_show_is_escaped(tmp_path: Path) -> None:
    config = tmp_path / "Jürgen.yaml"
    config.write_text("site: hq\ndevice: door-1\ncamera: {source: images, folder: .}\n")
    done = subprocess.run(
        [sys.executable, "-m", "edgeface", "config", "check", str(config)],
        capture_output=True,
        timeout=60,
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert rb"J\xfcrgen.yaml: good" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("bench events --folder /nosuch", "--folder: /nosuch is not a folder"),
        ("bench sync --folder /nosuch", "--folder: /nosuch is not a folder"),
        ("bench sync --changes -1", "--changes: -1 is less than 0"),
        ("bench sync --fps nan", "--fps: nan is not from 1 to 240"),
        ("bench sync --seconds inf", "--seconds: inf is not at least 0.1"),
        ("bench pipeline --clip a.mp4 --gallery -1", "--gallery: -1 is less than 0"),
        ("bench pipeline --clip a.mp4 --frames many", "--frames: many is not a whole number"),
        (
            "evaluate verification --pairs a --root b --report /nosuch/x.html",
            "--report: /nosuch is not a folder",
        ),
        ("evaluate verification --pairs a --root b --report /", "--report: / is a folder"),
        (
            "evaluate conditions --pairs a --root b --report /nosuch/x.html",
            "--report: /nosuch is not a folder",
        ),
        ("evaluate detection --root b --min-face-px nan", "--min-face-px: nan is not at least 1"),
        ("compare a b --fmr x", "--fmr: x is not a number"),
        ("call hq/door-1 verify p_8c1k3v9q2m --timeout nan", "--timeout: nan is not from 1 to 600"),
        ("call hq/door-1 enroll --frames 0", "--frames: 0 is less than 1"),
        ("fleet audit --strangers-a-day -1", "--strangers-a-day: -1 is not at least 0"),
        ("demo --output /nosuch/x.png", "--output: /nosuch is not a folder"),
        ("call door-1 snapshot --out /nosuch/x.jpg", "--out: /nosuch is not a folder"),
    ],
)
def test_a_place_for_the_output_and_each_number_are_looked_at_before_the_work(
    capsys: pytest.CaptureFixture[str], arguments: str, told: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments.split())
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("prepare --data /nosuch --teacher x", "/nosuch/faces.csv is missing; docs/models.md"),
        ("train chain --cache /nosuch", None),
    ],
)
def test_a_step_of_the_recipe_without_its_data_is_one_line(
    arguments: str, told: str | None
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "models.training", *arguments.split()],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(__file__).resolve().parents[2],
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        f"python -m models.training {arguments.split(maxsplit=1)[0]}: error: "
    )
    assert done.stderr.count("\n") == 1
    assert told is None or told in done.stderr
