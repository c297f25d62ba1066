"""What a verb needs to reach a broker is looked at before the broker is asked: status 2 for all."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeface.cli.main import main
from edgeface.mqtt.localbroker import free_port
from edgeface.security.keys import SigningKey
from tests.support.door import pin
from tests.support.hardened import make_authority

USER, OTHER = "door.hq.front", "door.hq.back"
VERBS = {
    "door": ["door", "--site", "hq", "--device", "door-1"],
    "door --verify": ["door", "--site", "hq", "--device", "door-1", "--verify", "p_e11een0000"],
    "call": ["call", "hq/door-1", "ping"],
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_authority(tmp_path_factory.mktemp("access") / "certs", USER, OTHER)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("flag", "value", "said"),
    [
        pytest.param("--ca", "nosuch.pem", "nosuch.pem: cannot be used for TLS", id="no authority"),
        pytest.param("--cert-key", f"{OTHER}.key", "does not belong", id="another's key"),
        pytest.param("--cert-key", "open.key", "chmod 600", id="a key that others may read"),
        pytest.param("--password-file", "nosuch", "cannot read the broker's password", id="none"),
        pytest.param("--port", "70000", "65535", id="no port"),
        pytest.param("--port", "0", "greater than or equal to 1", id="port 0"),
    ],
)
def test_what_gives_no_access_to_any_broker_is_a_fault_of_the_configuration(
    certificates: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    flag: str,
    value: str,
    said: str,
) -> None:
    (certificates / "open.key").write_bytes((certificates / f"{USER}.key").read_bytes())
    (certificates / "open.key").chmod(0o644)
    flags = {"--ca": "ca.pem", "--cert": f"{USER}.pem", "--cert-key": f"{USER}.key", flag: value}
    files = {
        name: word if name == "--port" else str(certificates / word) for name, word in flags.items()
    }
    access = {"--host": "localhost", "--port": str(free_port()), "--tls": "required", **files}
    words = [word for pair in ({"--username": "u"} | access).items() for word in pair]
    key = str(pin(tmp_path, SigningKey.generate()))
    assert main([*VERBS[verb], "--key", key, *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("verb", VERBS)
def test_a_key_that_cannot_be_used_is_no_no(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    (tmp_path / "empty.pub").touch()
    for name, said in {
        "nosuch.pub": "cannot read the key",
        "empty.pub": "not a public key",
    }.items():
        assert main([*VERBS[verb], "--key", str(tmp_path / name)]) == 2
        err = capsys.readouterr().err
        assert said in err
        assert "device.key.pub, in its state_dir: the daemon makes it at its first start" in err
    opens = ["--key", str(pin(tmp_path, SigningKey.generate()))]
    opens += ["--open-with", str(tmp_path / "nosuch.key"), "--out", str(tmp_path / "out")]
    assert main(["call", "hq/door-1", "enroll", *opens]) == 2
    assert "nosuch.key: cannot read the key" in capsys.readouterr().err


def test_an_administrators_files_are_looked_at_first_as_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / "passphrase"
    secret.write_text("long enough for it\n")
    secret.chmod(0o600)
    where = ["--site-dir", str(tmp_path / "hq")]
    access = ["--tls", "required", "--ca", str(tmp_path / "nosuch.pem")]
    assert main(["fleet", "init", "hq", *where, *access, "--passphrase-file", str(secret)]) == 0
    assert main(["fleet", "status", *where]) == 2
    assert "nosuch.pem: cannot be used for TLS" in capsys.readouterr().err
