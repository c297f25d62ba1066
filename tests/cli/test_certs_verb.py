"""`edgeface certs`."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeface.cli.main import main
from edgeface.security.roles import User, acl_file
from tests.support.hardened import Caller, HardenedBroker, certified, resign

HERE = ["--dir", "ca"]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def certs(*arguments: str) -> int:
    return main(["certs", *arguments, *HERE])


@pytest.fixture
def fleet(_here: None, capsys: pytest.CaptureFixture[str]) -> Path:
    assert certs("init") == 0
    assert certs("broker", "127.0.0.1") == 0
    assert certs("device", "hq", "door-1") == 0
    assert certs("door", "hq", "front") == 0
    capsys.readouterr()
    return Path("ca").resolve()


def test_from_nothing_to_a_broker_that_knows_its_device(
    fleet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert certs("acl") == 0
    written = capsys.readouterr().out
    assert written == acl_file([User("device", "hq", "door-1"), User("door", "hq", "front")])
    with HardenedBroker(tmp_path / "broker", fleet) as broker:
        broker.acl.write_text(written)
        broker.stop()
        broker.start()
        with Caller(certified(broker, "device.hq.door-1")) as device:
            assert device.publish("edgeface/v1/hq/door-1/event") < 0x80
            assert device.publish("edgeface/v1/hq/door-2/event") >= 0x80


def test_show_lists_what_there_is(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert certs("show") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [
        "edgeface",
        "broker",
        "device.hq.door-1",
        "door.hq.front",
    ]
    assert lines[1].endswith("729 days left  for 127.0.0.1")
    assert certs("show", "ca/broker.pem") == 0
    assert "sha256 " in capsys.readouterr().out


@pytest.mark.parametrize("days", [40, -1], ids=["soon", "expired"])
def test_show_says_what_has_to_be_renewed_and_exits_with_1(
    fleet: Path, capsys: pytest.CaptureFixture[str], days: int
) -> None:
    from datetime import UTC, datetime, timedelta

    now = datetime.now(UTC)
    resign(fleet, "door.hq.front", now - timedelta(days=9), now + timedelta(days=days, hours=1))
    assert certs("show") == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.endswith("RENEW SOON" if days > 0 else "EXPIRED")
    assert certs("renew", "door.hq.front", "--days", "90") == 0
    assert certs("show") == 0


def test_revoke_and_issue_again(fleet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert certs("revoke", "device.hq.door-1") == 0
    assert "1 certificates of device.hq.door-1 revoked" in capsys.readouterr().out
    assert certs("acl") == 0
    assert "door-1" not in capsys.readouterr().out
    assert certs("device", "hq", "door-1") == 0


def test_acl_takes_users_that_have_a_password_instead(capsys: pytest.CaptureFixture[str]) -> None:
    assert certs("acl", "--user", "log.hq.archive") == 0
    assert capsys.readouterr().out == acl_file([User("log", "hq", "archive")])


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["init"], "ca/ca.pem: is there already, and nothing is overwritten"),
        (["device", "hq", "door-1"], "ca/device.hq.door-1.pem: is there already"),
        (["broker", "a b"], "ca/broker.pem: is there already"),
        (["log", "hq", "archive", "--days", "9000"], "ca: the authority itself ends on"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    fleet: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], error: str
) -> None:
    assert certs(*arguments) == 1
    assert capsys.readouterr().err.startswith(f"edgeface: error: {error}")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["renew", "log.hq.archive"], "ca: no certificate of 'log.hq.archive' there"),
        (["revoke", "log.hq.archive"], "ca: no certificate of 'log.hq.archive' there"),
        (["show", "ca/ca.key"], "ca/ca.key: no certificate in PEM form"),
        (["device", "hq", "d", "--passphrase-file", "ca/none"], "ca/none: cannot read the"),
    ],
)
def test_what_was_named_and_is_not_there_is_status_2(
    fleet: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], error: str
) -> None:
    assert certs(*arguments) == 2
    assert capsys.readouterr().err.startswith(f"edgeface: error: {error}")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["device", "hq", "Door"], "device 'Door': 1 to 64 of a-z, 0-9 and - are allowed"),
        (["device", "hq", "gallery"], "device 'gallery': this name is reserved"),
        (["door", "h.q", "front"], "site 'h.q': 1 to 64 of"),
        (["acl", "--user", "archive"], "user 'archive': not ROLE.SITE.NAME"),
    ],
)
def test_a_name_of_the_wrong_form_is_a_wrong_command_line(
    fleet: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], error: str
) -> None:
    assert certs(*arguments) == 2
    assert capsys.readouterr().err.startswith(f"edgeface: error: {error}")


@pytest.mark.parametrize("days", ["0", "-1", "x", "40000"])
def test_a_wrong_number_of_days_is_a_wrong_command_line(
    capsys: pytest.CaptureFixture[str], days: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        certs("init", "--days", days)
    assert caught.value.code == 2
    assert "invalid number of days" in capsys.readouterr().err


def test_a_passphrase_of_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    secret = Path("secret")
    secret.write_text("long and secret\n")
    secret.chmod(0o600)
    assert certs("init", "--passphrase-file", "secret") == 0
    assert certs("device", "hq", "door-1") == 2
    assert "protected by a passphrase" in capsys.readouterr().err
    assert certs("device", "hq", "door-1", "--passphrase-file", "secret") == 0
    secret.write_text("\n")
    assert certs("door", "hq", "front", "--passphrase-file", "secret") == 2
    assert "is empty" in capsys.readouterr().err
