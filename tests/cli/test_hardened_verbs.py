"""The verbs that talk to a broker, through the hardened broker that ships: TLS, certificates, ACL.

A real device of a fleet, an administrator, a door and a log, each with its own certificate; each
verb is run as its user would run it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgeface.cli.main import main
from edgeface.contract.topics import Topics
from edgeface.demo.photographs import COLLINS
from edgeface.fleet.admin.master import Master
from edgeface.mqtt.localbroker import free_port
from tests.support.commands import write_person
from tests.support.daemon import DaemonProcess, edgeface, write_config
from tests.support.door import DoorProcess
from tests.support.fleet_site import PASSPHRASE, FleetSite, new_site
from tests.support.hardened import HardenedBroker, make_authority, set_password

DEVICE, DOOR = "device.home.door-1", "door.home.front"
LOG, ADMIN = "log.home.archive", "admin.home.alice"
NO_ANSWER = 4
HERE = "home/door-1"


@dataclass(frozen=True)
class Home:
    """Everything of one site."""

    folder: Path
    broker: HardenedBroker
    site: FleetSite
    daemon: DaemonProcess
    person: str

    @property
    def key(self) -> str:
        return str(self.folder / "state" / "device.key.pub")

    @property
    def secret(self) -> str:
        return str(self.folder / "passphrase")

    def access(self, user: str) -> list[str]:
        """The flags of a user."""
        settings = mqtt(self.broker, user)
        flags = {"host": "host", "port": "port", "tls": "tls", "ca_file": "ca"}
        flags |= {"cert_file": "cert", "key_file": "cert-key"}
        return [word for name, flag in flags.items() for word in (f"--{flag}", str(settings[name]))]


def mqtt(broker: HardenedBroker, user: str) -> dict[str, Any]:
    """The section of a configuration."""
    return {
        "host": broker.host,
        "port": broker.port,
        "tls": "required",
        "ca_file": str(broker.authority / "ca.pem"),
        "cert_file": str(broker.authority / f"{user}.pem"),
        "key_file": str(broker.authority / f"{user}.key"),
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Published by `edgeface fleet publish`, taken over by the daemon."""
    folder = tmp_path_factory.mktemp("home")
    authority = make_authority(folder / "ca", DEVICE, DOOR, LOG, ADMIN)
    set_password(folder / "passwords", DOOR, "correct horse")
    broker = HardenedBroker(folder / "broker", authority, passwords=folder / "passwords")
    with broker:
        site = new_site(folder / "site", 1, site="home")
        settings = {"site": "home", "mqtt": mqtt(broker, ADMIN)}
        (site.path / "site.yaml").write_text(json.dumps(settings))
        done = edgeface("fleet", "enroll", "-s", site.path, COLLINS, "--name", "Eileen")
        assert done.returncode == 0, done.stderr
        with Master(site.folder) as master:
            (person,) = master.store.ids()
        shutil.copytree(site.add_device("door-1") / "state", folder / "state")
        (folder / "passphrase").write_bytes(PASSPHRASE)
        (folder / "passphrase").chmod(0o600)
        pictures = write_person(folder / "pictures", COLLINS)
        file = write_config(
            folder,
            broker.port,
            site="home",
            camera={"source": "images", "folder": str(pictures), "fps": 12, "loop": True},
            tracking={"max_gap_s": 0.2},
            gallery={"source": "fleet"},
            mqtt=mqtt(broker, DEVICE),
        )
        with DaemonProcess(file) as daemon:
            daemon.wait_ready()
            found = Home(folder, broker, site, daemon, person)
            sent = edgeface("fleet", "publish", "-s", site.path, "--passphrase-file", found.secret)
            assert (sent.returncode, "the broker has revision 1.1" in sent.stdout) == (0, True), (
                sent
            )
            daemon.wait_log(lambda log: "gallery changed" in log)
            yield found
            assert daemon.stop()[0] == 0
            assert daemon.log.count("connected to the broker") == 1


def test_the_gallery_reaches_the_device_and_its_report_the_administrator(home: Home) -> None:
    done = edgeface("fleet", "status", "-s", home.site.path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "door-1: online, revision 1.1, current, 1 person" in done.stdout


def test_an_administrator_asks_everything(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    for verb in ("ping", "gallery", "why"):
        assert main(["call", HERE, verb, "--key", home.key, *home.access(ADMIN)]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert (answer["status"], answer["signature"]) == ("ok", "good")
    assert main(["call", HERE, "reload", *home.access(ADMIN)]) == 0


def test_a_door_asks_for_the_person_of_a_card(
    home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["call", HERE, "verify", "--key", home.key, *home.access(DOOR)]
    assert main([*asked, home.person]) == 0
    assert json.loads(capsys.readouterr().out)["data"]["outcome"] == "match"
    assert main([*asked, "p_0000000000"]) == 1
    where = ["--site", "home", "--device", "door-1", "--key", home.key, *home.access(DOOR)]
    assert main(["door", *where, "--verify", home.person]) == 0
    assert main(["door", *where, "--verify", "p_0000000000"]) == 1


def test_a_door_opens_for_what_the_device_says(home: Home) -> None:
    with following(home, DOOR) as door:
        kinds = [door.next()["door"]]
        while kinds[-1] != "open":
            kinds.append(door.next()["door"])
        assert kinds[0] == "ready"
        assert "silent" not in kinds


@pytest.mark.parametrize(
    ("user", "arguments", "said"),
    [
        pytest.param(LOG, ["ping"], "or this user may not read its status", id="a log pings"),
        pytest.param(
            DOOR,
            ["gallery"],
            "the broker does not take edgeface/v1/home/door-1/cmd/gallery from this user: "
            "Not authorized",
            id="a door asks for the gallery",
        ),
        pytest.param(
            DOOR,
            ["enroll", "--timeout", "3"],
            "cmd/enroll from this user: Not authorized",
            id="a door enrolls",
        ),
    ],
)
def test_who_may_not_ask_is_told(
    home: Home, user: str, arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["call", HERE, *arguments, *home.access(user)]) == NO_ANSWER
    assert said in capsys.readouterr().err


def test_a_door_that_may_not_listen_is_told(home: Home) -> None:
    with following(home, LOG) as door:
        assert door.next()["door"] == "ready"
        silent = door.next()
        assert silent["door"] == "silent"
        assert "this user may not read it" in silent["reason"]


def test_who_may_not_publish_the_gallery_is_told(home: Home, tmp_path: Path) -> None:
    shutil.copytree(home.site.path, tmp_path / "site")
    settings = {"site": "home", "mqtt": mqtt(home.broker, DOOR)}
    (tmp_path / "site" / "site.yaml").write_text(json.dumps(settings))
    done = edgeface(
        *("fleet", "publish", "-s", tmp_path / "site", "--passphrase-file", home.secret, "--all")
    )
    assert done.returncode == NO_ANSWER, done.stdout + done.stderr
    assert "from this user: Not authorized" in done.stderr


def _with_password(home: Home, password: str) -> list[str]:
    file = home.folder / f"{password}.txt"
    file.write_text(password)
    file.chmod(0o600)
    access = ["--host", home.broker.host, "--port", str(home.broker.password_port)]
    access += ["--tls", "required", "--ca", str(home.broker.authority / "ca.pem")]
    return [*access, "--username", DOOR, "--password-file", str(file)]


def test_a_user_with_a_password_asks_as_well(home: Home) -> None:
    assert main(["call", HERE, "ping", *_with_password(home, "correct horse")]) == 0


@pytest.mark.parametrize("verb", ["call", "door --verify"])
@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("nobody listens", "Connection refused"),
        ("another authority", "its certificate is refused: it is not signed by an authority in"),
        ("no certificate", "a certificate of this client"),
        ("wrong password", "wrong user name"),
    ],
)
def test_a_broker_that_is_away_or_refuses_has_a_status_of_its_own(
    home: Home,
    verb: str,
    case: str,
    said: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    access = home.access(DOOR)
    match case:
        case "nobody listens":
            access[access.index("--port") + 1] = str(free_port())
        case "another authority":
            access[access.index("--ca") + 1] = str(make_authority(tmp_path / "ca") / "ca.pem")
        case "no certificate":
            access = access[: access.index("--cert")]
        case _:
            access = _with_password(home, "wrong")
    command = ["call", HERE, "verify", home.person, *access]
    if verb != "call":
        where = ["--site", "home", "--device", "door-1", "--key", home.key]
        command = ["door", *where, *access, "--verify", home.person]
    assert main(command) == NO_ANSWER
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


@contextmanager
def following(home: Home, user: str) -> Iterator[DoorProcess]:
    """A door, which ends in order."""
    access = ["--same-clock", *home.access(user)]
    with DoorProcess(home.key, *access, topics=Topics("home", "door-1")) as door:
        yield door
        assert door.end() == 0
