"""`edgeface fleet enroll --from-device`: a real daemon with a camera, a real broker, one site."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from edgeface.cli.main import main
from edgeface.demo.photographs import COLLINS
from edgeface.fleet.admin.standing import read_reported
from edgeface.security.keys import SigningKey
from tests.support.broker import Arrival, Witness, eventually, running_broker
from tests.support.commands import write_person
from tests.support.daemon import DaemonProcess, edgeface, write_config

BASE = "edgeface/v1/hq/door-1"


@dataclass
class Site:
    """The administrator's side and the door's, as `fleet init` and `device add` made them."""

    folder: Path
    port: int

    def __call__(self, action: str, *arguments: str) -> tuple[int, str, str]:
        """`edgeface fleet ACTION`: exit code, standard output and standard error."""
        secret = ("--passphrase-file", str(self.folder / "passphrase"))
        options = secret if action in ("init", "publish") else ()
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["fleet", action, "-s", str(self.folder / "hq"), *options, *arguments])
        return code, out.getvalue(), err.getvalue()

    def enroll(self, *arguments: str) -> tuple[int, str, str]:
        return self("enroll", "--from-device", "door-1", "--frames", "3", *arguments)

    def people(self) -> list[dict[str, Any]]:
        code, out, _ = self("list", "--json")
        assert code == 0
        return list(json.loads(out))

    def digest(self) -> str:
        return str(json.loads(self("status", "--json")[1])["digest"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A published, empty site; door-1 is as its bundle says, door-2 was never set up."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "passphrase").write_text("correct horse\n")
    (folder / "passphrase").chmod(0o600)
    with pytest.MonkeyPatch.context() as patch, running_broker(folder / "broker") as broker:
        patch.setattr("edgeface.fleet.admin.broker.QUIET_S", 0.05)
        patch.setattr("edgeface.mqtt.caller.STATUS_S", 1.0)
        found = Site(folder, broker.port)
        assert found("init", "hq", "--host", "127.0.0.1", "--port", str(broker.port))[0] == 0
        assert found("device", "add", "door-1", "--state-dir", str(folder / "state"))[0] == 0
        assert found("device", "add", "door-2")[0] == 0
        assert found("publish")[0] == 0
        yield found


def open_door(site: Site) -> DaemonProcess:
    """The daemon, with Eileen Collins before its camera most of the time."""
    bundle = site.folder / "hq" / "bundles" / "door-1"
    shutil.copytree(bundle / "state", site.folder / "state")
    shutil.copytree(bundle / "conf.d", site.folder / "conf.d")
    pictures = write_person(site.folder / "pictures", COLLINS)
    camera = {"source": "images", "folder": str(pictures), "fps": 12, "loop": True}
    file = write_config(
        site.folder,
        site.port,
        camera=camera,
        tracking={"max_gap_s": 0.2},
        gallery={"unsynced_clock": "allow"},
        snapshots={"events": "unknown"},
    )
    return DaemonProcess(file)


def read_unknown(witness: Witness) -> list[dict[str, Any]]:
    """What a site's log has of strangers, once it has something."""

    def heard(all_: list[Arrival]) -> list[dict[str, Any]]:
        payloads = [a.message.payload for a in all_ if a.topic == f"{BASE}/event/log"]
        return [event for event in map(json.loads, payloads) if event["event_type"] == "unknown"]

    return heard(witness.wait(lambda all_: bool(heard(all_)), 30))


def test_a_stranger_is_enrolled_from_the_picture_of_an_event_and_nobody_stands_there(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    with Witness(site.port, f"{BASE}/#") as witness, open_door(site) as daemon:
        daemon.wait_ready()
        unknown = read_unknown(witness)
        event_id = unknown[0]["event_id"]
        eventually((site.folder / "state" / "snapshots" / f"{event_id}.json").exists)
        log, hq = site.folder / "events.jsonl", site.folder / "hq"
        log.write_text("".join(json.dumps(event) + "\n" for event in unknown[:1]))
        device = ("--device", "door-1", "--key", str(hq / "devices" / "door-1.pub"))
        mine = ("--open-with", str(hq / "keys" / "sealing.key"))
        broker = ("-c", str(site.folder / "edgeface.yaml"), "--json")
        cluster = ["events", "unknown", str(log), "--cluster", *device, *mine, *broker]
        assert main(cluster) == 0
        (group,) = json.loads(capsys.readouterr().out)["groups"]
        assert (group["count"], group["best"], group["events"]) == (1, event_id, [event_id])

        from_event = ("enroll", "--from-device", "door-1", "--name", "Visitor", "--dry-run")
        code, out, err = site(*from_event, "--from-event", event_id)
        assert (code, "Visitor would be enrolled, 1 new of 1 template" in out) == (0, True), err
        from_event = tuple(option for option in from_event if option != "--dry-run")
        assert site(*from_event, "--from-event", event_id)[0] == 0
        assert main([*cluster, "--site-dir", str(hq)]) == 0
        found = json.loads(capsys.readouterr().out)
        assert (found["groups"], found["enrolled"][0]["display_name"]) == ([], "Visitor")
        assert site("remove", "Visitor")[0] == 0
        gone = "0199f3c2-7d1e-7a3b-9c4d-5e6f708192a3"
        code, _, err = site(*from_event, "--from-event", gone)
        assert code == 2
        assert f"event {gone}: hq/door-1 refuses (not_found): " in err
    shutil.rmtree(site.folder / "state")
    for name in ("conf.d", "pictures"):
        shutil.rmtree(site.folder / name)


def test_somebody_enrolled_at_one_door_is_known_to_the_fleet(site: Site) -> None:
    with Witness(site.port, f"{BASE}/#") as witness, open_door(site) as daemon:
        daemon.wait_ready()
        ask = ("call", "hq/door-1", "gallery", "--host", "127.0.0.1", "--port", str(site.port))
        before = json.loads(edgeface(*ask).stdout)["data"]

        code, out, err = site.enroll("--name", "Eileen", "--dry-run")
        assert (code, "nothing was stored" in out) == (0, True), err
        assert site.people() == []

        code, out, err = site.enroll(
            "--name", "Eileen", "--card", "4711", "--valid-to", "2090-01-31"
        )
        assert code == 0, err
        assert "door-1: 1 of 3 frames; " in err, "what the next frame should be is told"
        assert re.search(r"(\d) new of \1 templates?; not published yet", out)
        assert "next: edgeface fleet publish" in err
        (person,) = site.people()
        assert (person["display_name"], person["card"]) == ("Eileen", "4711")
        assert (person["state"], sum(person["templates"].values())) == ("new", 3)
        assert person["valid_to_s"] is not None
        assert json.loads(edgeface(*ask).stdout)["data"] == before, "the door has kept nobody"
        assert "Eileen" not in daemon.log

        assert site("publish")[0] == 0
        digest, key = site.digest(), SigningKey.load(site.folder / "state" / "device.key").public

        def applied(all_: list[Arrival]) -> bool:
            reports = [a.message for a in all_ if a.topic == f"{BASE}/gallery/reported"]
            return bool(reports) and read_reported(reports[-1], key).digest == digest

        def recognized(all_: list[Arrival]) -> bool:
            events = [json.loads(a.message.payload) for a in all_ if a.topic == f"{BASE}/event/log"]
            names = [event["match"]["person_id"] for event in events if event.get("match")]
            return person["person_id"] in names

        witness.wait(applied, 30)
        witness.wait(recognized, 30)
        code, _, err = site.enroll("--name", "Somebody", "--dry-run")
        assert f"door-1 would take this person for {person['person_id']}" in err

        # Another key is pinned: what this device says is not believed.
        pinned = site.folder / "hq" / "devices" / "door-1.pub"
        pinned.write_bytes(SigningKey.generate().public.pem())
        code, _, err = site.enroll("--name", "Nobody")
        assert (code, "not signed by the key" in err) == (1, True)
        assert [row["display_name"] for row in site.people()] == ["Eileen"]
        assert daemon.stop()[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "fits"),
    [
        pytest.param(
            ("--name", "A", "--from-device", "door-2"), 4, "no device of this name", id="away"
        ),
        pytest.param((), 1, "needs a name", id="nameless"),
        pytest.param(("--name", "A", "--from-device", "door-9"), 1, "registered", id="unknown"),
        pytest.param(("--name", "A", "--from-device", "Door"), 2, "a-z", id="impossible id"),
        pytest.param(("--name", "A", "--frames", "99"), 2, "1 to 16", id="too many frames"),
        pytest.param(("--name", "A", "--timeout", "0.5"), 2, "1 to 600", id="no time"),
        pytest.param(("--name", "A", "--folder", "x"), 2, "either", id="two sources"),
        pytest.param(
            ("--name", "A", "--open-with", "/nowhere"), 1, "edgeface keys administrator", id="key"
        ),
    ],
)
def test_without_an_answer_the_master_gallery_stays_as_it_is(
    site: Site, arguments: tuple[str, ...], code: int, fits: str
) -> None:
    before = site.people()
    found, _, err = site.enroll(*arguments)
    assert (found, fits in err) == (code, True), err
    assert err.splitlines()[-1].startswith("edgeface: error: ")
    assert site.people() == before
