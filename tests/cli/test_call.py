"""`edgeface call` and `edgeface keys` without a device: what they refuse, and how they end."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from edgeface.base.errors import ContractError
from edgeface.base.messages import Message
from edgeface.cli.call import _ask, _show
from edgeface.cli.common import write_private
from edgeface.cli.main import main
from edgeface.contract.answers import AnyAnswer
from edgeface.contract.command_requests import Verb
from edgeface.mqtt.caller import Caller, read_answer
from edgeface.mqtt.localbroker import free_port
from edgeface.security.keys import SigningKey, VerifyingKey
from edgeface.security.sealing import AdministratorKey, AdministratorSecret
from tests.support.daemon import write_config

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param([], 2, "required", id="nothing"),
        pytest.param(["door-1"], 2, "required", id="no_command"),
        pytest.param(["door-1", "open"], 2, "invalid choice", id="no_such_command"),
        pytest.param(["door-1", "verify"], 2, "PERSON", id="verify_whom"),
        pytest.param(["hq/door-1", "verify", "Ann"], 2, "a name needs -c", id="verify_a_name"),
        pytest.param(["door-1", "ping"], 2, "which site", id="no_site"),
        pytest.param(["HQ/door-1", "ping"], 2, "site 'HQ'", id="bad_site"),
        pytest.param(["hq/gallery", "ping"], 2, "reserved", id="reserved_device"),
        pytest.param(["hq/door-1", "ping", "--client", "a/b"], 2, "client 'a/b'", id="bad_client"),
        pytest.param(["hq/door-1", "ping", "--cert", "x.pem"], 2, "belong together", id="half"),
        pytest.param(["hq/door-1", "ping", "--key", "nowhere"], 2, "cannot read", id="no_key"),
        pytest.param(["hq/door-1", "ping", "-c", "nowhere.yaml"], 2, "nowhere.yaml", id="no_file"),
        pytest.param(["hq/door-1", "enroll", "--open-with", "k"], 2, "--out", id="open_whereto"),
        pytest.param(
            ["hq/door-1", "enroll", "--open-with", "k", "--out", "o"],
            2,
            "--key",
            id="open_unsigned",
        ),
        pytest.param(
            ["hq/door-1", "snapshot", "--open-with", "k", "--out", "o", "--key", "p"],
            2,
            "k:",
            id="no_secret",
        ),
    ],
)
def test_a_wrong_command_line_ends_before_a_broker_is_asked(
    arguments: list[str],
    code: int,
    said: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        found = main(["call", *arguments])
    except SystemExit as ended:
        found = int(str(ended.code))
    assert found == code
    assert said in capsys.readouterr().err


def test_without_a_broker_the_reason_is_named_and_the_status_is_not_that_of_a_refusal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    file = write_config(tmp_path, port, camera={"source": "images", "folder": "."})
    assert main(["call", "door-1", "ping", "-c", str(file)]) == 4
    assert f"127.0.0.1:{port}" in capsys.readouterr().err


def test_the_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["call", "--help"])
    text = capsys.readouterr().out
    assert "4 nobody has answered" in text
    assert "no match" in text


def test_options_may_come_before_the_command_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    file = write_config(tmp_path, 1, camera={"source": "images", "folder": "."})
    arguments = ["call", "-c", str(file), "--port", str(port), "door-1", "verify", "p_0000000000"]
    assert main([*arguments, "--timeout", "3"]) == 4
    assert f"127.0.0.1:{port}" in capsys.readouterr().err


def test_the_administrators_pair_is_made_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "admin.key"
    assert main(["keys", "administrator", str(file)]) == 0
    kid = AdministratorSecret.load(file).public.kid
    assert AdministratorKey.load(tmp_path / "admin.key.pub").kid == kid
    assert kid in capsys.readouterr().out
    assert main(["keys", "administrator", str(file)]) == 1
    assert "not replaced" in capsys.readouterr().err


def test_what_was_sealed_is_written_for_nobody_else_also_over_a_file_that_all_may_read(
    tmp_path: Path,
) -> None:
    out = tmp_path / "person.export"
    out.write_text("from yesterday, and longer than what comes")
    out.chmod(0o644)
    write_private(out, b"templates")
    assert out.read_bytes() == b"templates"
    assert out.stat().st_mode & 0o777 == 0o600


def test_what_was_sealed_is_written_where_a_link_points_to(tmp_path: Path) -> None:
    stick, link = tmp_path / "stick.export", tmp_path / "person.export"
    stick.write_text("from yesterday")
    link.symlink_to(stick)
    write_private(link, b"templates")
    assert link.is_symlink()
    assert stick.read_bytes() == b"templates"
    assert stick.stat().st_mode & 0o777 == 0o600


def answer_with(verb: Verb, data: dict[str, Any]) -> AnyAnswer:
    return AnyAnswer(
        status="ok",
        verb=verb,
        transaction="a" * 22,
        session="a" * 32,
        site="hq",
        device="door-1",
        answered_at=datetime.now(UTC),
        data=data,
    )


@pytest.mark.parametrize("key", [None, SigningKey.generate().public], ids=["unchecked", "checked"])
def test_a_match_that_nobody_has_signed_for_is_told_with_a_warning(
    key: VerifyingKey | None, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = argparse.Namespace(command="verify", out=None)
    assert _show(answer_with("verify", {"outcome": "match"}), asked, key, None) == 0
    said = capsys.readouterr()
    assert ("open no door for it without --key" in said.err) == (key is None)
    assert json.loads(said.out)["signature"] == ("unchecked" if key is None else "good")


@pytest.mark.parametrize("challenged", [True, False])
def test_a_match_of_a_device_that_knows_no_challenge_is_none_where_one_was_demanded(
    challenged: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    data = json.loads((EXAMPLES / "answer-verify.json").read_text())["data"]
    if challenged:
        source = {"name": "challenge", "score": 1, "live": True}
        data["seen"]["pad"] = {"assessed": True, "live": True, "sources": [source]}
    asked = argparse.Namespace(command="verify", out=None, challenge=True)
    assert _show(answer_with("verify", data), asked, None, None) == (0 if challenged else 1)
    assert ("has put no challenge" in capsys.readouterr().err) != challenged


def test_pages_of_a_gallery_that_go_round_end() -> None:
    class Hostile:
        def call(self, verb: Verb, *_: object, **__: object) -> AnyAnswer:
            page = {"digest": "d", "next": "p_0000000000", "person_ids": []}
            return answer_with(verb, page)

    with pytest.raises(ContractError, match="never end"):
        _ask(cast("Caller", Hostile()), "gallery", {}, None)


def test_progress_of_a_verb_that_has_none_is_no_fault_of_the_command_line() -> None:
    payload = json.loads((EXAMPLES / "answer-identify.json").read_text()) | {"status": "progress"}
    message = Message("t", json.dumps(payload).encode(), 1, False)
    with pytest.raises(ContractError) as caught:
        read_answer(message, "identify", None)
    assert caught.value.reason == "inconsistent"
