"""`edgeface events`: recorded events, and those that a broker sends."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgeface.cli.main import main
from edgeface.security.keys import SigningKey
from tests.support.broker import running_broker
from tests.support.daemon import ROOT
from tests.support.messages import TOPICS, Device

EXAMPLES = ROOT / "docs" / "examples"
Run = Callable[..., tuple[int, str, str]]


def example(kind: str, **changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXAMPLES / f"{kind}.json").read_text())
    return found | changes


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A recognition twice, a stranger and a gap."""
    seen = example("recognition.recognized")
    later = seen | {"historical": True}
    unknown, gap = example("recognition.unknown"), example("gap")
    path = tmp_path / "events.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in (seen, later, unknown, gap)))
    return path


@pytest.fixture
def events(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: object) -> tuple[int, str, str]:
        code = main(["events", *map(str, arguments)])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.mark.parametrize(
    ("more", "outcomes"),
    [
        pytest.param([], ["recognized", "unknown", "gap"], id="all_once"),
        pytest.param(
            ["--outcome", "unknown", "--outcome", "gap"], ["unknown", "gap"], id="outcome"
        ),
        pytest.param(["--person", "p_8c1k3v9q2m"], ["recognized"], id="person"),
        pytest.param(["--person", "p_0000000000"], [], id="nobody"),
        pytest.param(["--since", "2026-11-21T16:51:45+00:00"], ["unknown", "gap"], id="since"),
        pytest.param(["--until", "2026-11-21T16:51:45+00:00"], ["recognized"], id="until"),
    ],
)
def test_recorded_events_are_listed_by_what_is_asked_for(
    recorded: Path, events: Run, more: list[str], outcomes: list[str]
) -> None:
    code, out, _ = events(recorded, *more, "--json")
    assert code == 0
    assert [json.loads(line)["event_type"] for line in out.splitlines()] == outcomes
    assert len(events(recorded, *more)[1].splitlines()) == len(outcomes)


def test_a_table_has_every_column_and_no_formula(tmp_path: Path, events: Run) -> None:
    event = example("recognition.recognized")
    event["match"]["display_name"] = "=cmd|' /C calc'!A0"
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps(event))
    code, out, _ = events(path, "--csv")
    (row,) = csv.DictReader(io.StringIO(out))
    assert (code, row["person_id"], row["outcome"]) == (0, "p_8c1k3v9q2m", "recognized")
    assert row["display_name"] == "'=cmd|' /C calc'!A0"


def test_a_name_does_not_steer_the_terminal(tmp_path: Path, events: Run) -> None:
    event = example("recognition.recognized")
    event["match"]["display_name"] = "Anna\x1b[2J\u009b"
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps(event))
    for form in ([], ["--csv"], ["--json"]):
        assert not {"\x1b", "\u009b"} & set(events(path, *form)[1])


def test_a_line_that_is_no_event_is_named_and_the_rest_is_shown(
    recorded: Path, events: Run
) -> None:
    with recorded.open("a") as file:
        file.write(
            '\n{"contract_version": 1}\n' + json.dumps(example("recognition.first-of-session"))
        )
    code, out, err = events(recorded)
    assert (code, len(out.splitlines())) == (1, 4)
    assert f"{recorded}:6: no event" in err


def test_of_a_file_without_events_ten_lines_are_told_and_the_others_counted(
    tmp_path: Path, events: Run
) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"\xff\n" * 400)
    code, out, err = events(other)
    assert (code, out, err.count("no event: no UTF-8")) == (1, "", 10)
    assert err.endswith(f"{other}: 390 more lines are no events\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param([], "Name a FILE", id="nothing"),
        pytest.param(["x.jsonl", "--follow"], "Name a FILE", id="both"),
        pytest.param(["/nosuch"], "/nosuch: cannot be read", id="no_file"),
        pytest.param(["--follow"], "--site", id="no_site"),
        pytest.param(["--follow", "--site", "HQ"], "site 'HQ'", id="bad_site"),
        pytest.param(["--follow", "--site", "hq", "--key", "k"], "needs --device", id="whose"),
        pytest.param(["x.jsonl", "--person", "Anna"], "no person id", id="name"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(
    events: Run, arguments: list[str], said: str
) -> None:
    code, out, err = events(*arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_a_sites_log_is_followed_and_what_another_signed_is_left_out(tmp_path: Path) -> None:
    key = SigningKey.generate()
    (tmp_path / "door-1.pub").write_bytes(key.public.pem())
    device = ("--device", "door-1", "--key", str(tmp_path / "door-1.pub"))
    (tmp_path / "false").mkdir()
    with running_broker(tmp_path / "broker") as broker:
        command = [sys.executable, "-m", "edgeface", "events", "--follow", "--json", "--site", "hq"]
        command += ["--host", broker.host, "--port", str(broker.port), *device]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                assert process.stderr.readline() == f"following {TOPICS.event_log}\n"
                with Device(tmp_path / "false", broker.port) as false:
                    false.wait_connected()
                    false.see()
                    said = process.stderr.readline()
                    assert f"{TOPICS.event_log}: an event is left out" in said
                with Device(tmp_path, broker.port, key=key) as true:
                    true.wait_connected()
                    true.see()
                    found = json.loads(process.stdout.readline())
                    assert found["session"] == true.session
            finally:
                process.terminate()
