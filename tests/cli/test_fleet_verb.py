"""`edgeface fleet` from the first key to the last erasure, on a real broker."""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path

import pytest

from edgeface.cli.fleet import ACTIONS
from edgeface.cli.main import main
from edgeface.contract.gallery_report import Refusal
from edgeface.fleet.admin.master import Master
from edgeface.fleet.admin.site import MIN_PASSPHRASE, SITE_FILE, SiteFolder, load_site_settings
from edgeface.fleet.admin.standing import DeviceStanding
from edgeface.fleet.protocol.keyring import KeyRing
from edgeface.fleet.protocol.terms import GalleryTopics, Version
from edgeface.mqtt.localbroker import LocalBroker
from tests.support.broker import running_broker
from tests.support.fleet_site import FleetSite
from tests.support.gallery import (
    OTHER_SPACE,
    SPACE,
    PaintedDetector,
    PaintedEmbedder,
    picture,
    portrait,
    write_photo,
)

Fleet = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with running_broker(tmp_path_factory.mktemp("broker")) as found:
        yield found


@pytest.fixture
def fleet(
    tmp_path: Path,
    broker: LocalBroker,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Fleet:
    """Runs `edgeface fleet` for a site of the test's own, made already; returns exit code, standard
    output and standard error."""
    monkeypatch.setattr("edgeface.fleet.admin.broker.QUIET_S", 0.05)
    monkeypatch.setattr(
        "edgeface.gallery.gate.open_models",
        lambda *_, **__: (PaintedDetector(), PaintedEmbedder(), 0),
    )
    for action in ("audit", "enroll", "spaces"):
        monkeypatch.setattr(
            f"edgeface.cli.fleet_{action}.load_package", lambda _: PaintedEmbedder.package
        )
    secret = tmp_path / "passphrase"
    secret.write_text("correct horse\n")
    secret.chmod(0o600)
    signing = {"init", "publish", "rekey"}

    def run(action: str, *arguments: str) -> tuple[int, str, str]:
        options = ["--passphrase-file", str(secret)] if action in signing else []
        folder = ["-s", str(tmp_path / "site")]
        code = main(["fleet", action, *options, *arguments, *folder])
        out, err = capsys.readouterr()
        return code, out, err

    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower())[:60].strip("-")
    assert run("init", name, "--host", "127.0.0.1", "--port", str(broker.port))[0] == 0
    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A tree: Grace with two good photos and a bad one, Eileen with one, Nobody without a face;
    and what is nobody's picture."""
    for name, image in {
        "Grace/1": portrait(1),
        "Grace/2": portrait(1, 300, look=1),
        "Grace/3": picture(300, 300),
        "Eileen/1": portrait(3),
        "Nobody/1": picture(300, 300),
    }.items():
        path = tmp_path / "photos" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_photo(path, image)
    (tmp_path / "photos" / "empty").mkdir()
    (tmp_path / "photos" / "Grace" / "more").mkdir()
    (tmp_path / "photos" / "Grace" / "notes.txt").write_text("no picture")
    write_photo(tmp_path / "photos" / "loose.png", portrait(4))
    return tmp_path / "photos"


@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_its_module_and_its_help(
    action: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["fleet", action, "--help"])
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"usage: edgeface fleet {action} [-h] [-s DIR]")
    assert str(import_module(f"edgeface.cli.fleet_{action}").__doc__).strip() in shown


def people(fleet: Fleet) -> dict[str, dict[str, object]]:
    code, out, _ = fleet("list", "--json")
    assert code == 0
    return {row["display_name"]: row for row in json.loads(out)}


def test_from_photos_to_a_published_gallery(fleet: Fleet, photos: Path, tmp_path: Path) -> None:
    code, out, _ = fleet("enroll", "--folder", str(photos))
    assert code == 1, "somebody could not be enrolled"
    assert f"refused  {photos / 'Grace' / '3.png'}: " in out
    assert "FAILED   Nobody: no usable photo" in out
    assert "FAILED   empty: no picture in the folder" in out
    for name, why in (
        ("loose.png", "lies in no person's folder"),
        ("Grace/more", "a folder in a person's folder is not looked into"),
        ("Grace/notes.txt", "no picture by its name"),
    ):
        assert f"unused   {photos / name}: {why}" in out
    assert "2 enrolled, 0 skipped, 2 failed; 2 photos refused, 3 unused; not published yet" in out
    assert people(fleet)["Grace"]["templates"] == {SPACE: 2}
    code, out, _ = fleet("enroll", "--folder", str(photos))
    assert "0 enrolled, 2 skipped, 2 failed" in out, "an interrupted run can be repeated"

    code, out, _ = fleet("diff")
    assert (code, len(re.findall("^new ", out, re.MULTILINE))) == (0, 2)
    code, out, _ = fleet("publish", "--dry-run")
    assert (code, len(re.findall("^new ", out, re.MULTILINE))) == (0, 2)
    site = FleetSite(tmp_path / "site", SiteFolder.open(tmp_path / "site").settings.mqtt.port)
    assert site.retained() == {}
    code, out, _ = fleet("publish")
    assert code == 0
    assert "the broker has revision 1.1" in out
    assert {row["state"] for row in people(fleet).values()} == {"published"}
    topics = GalleryTopics(site.folder.site)
    assert len(site.retained(topics.everyone)) == 2
    assert fleet("diff")[1] == "nothing to publish\n"


def test_one_person_with_card_and_validity(fleet: Fleet, photos: Path) -> None:
    photo = str(photos / "Grace" / "1.png")
    code, out, _ = fleet(
        "enroll", photo, "--name", "Grace", "--card", "4711", "--valid-to", "2030-01-31"
    )
    assert code == 0
    person_id = str(people(fleet)["Grace"]["person_id"])
    assert f"Grace is {person_id}, 1 new of 1 template; not published yet" in out
    fleet("publish")
    code, out, _ = fleet("set", "Grace", "--name", "Hopper", "--no-card", "--valid-to", "never")
    assert code == 0
    assert people(fleet)["Hopper"] | {"created_s": 0} == {
        "person_id": person_id,
        "state": "changed",
        "templates": {SPACE: 1},
        "display_name": "Hopper",
        "valid_from_s": None,
        "valid_to_s": None,
        "card": None,
        "created_s": 0,
    }
    fleet("enroll", str(photos / "Grace" / "2.png"), "--id", person_id)
    assert people(fleet)["Hopper"]["templates"] == {SPACE: 2}
    assert "Hopper  always" in fleet("list")[1]


@pytest.mark.parametrize(
    ("arguments", "fits"),
    [
        pytest.param(("enroll",), "either photos", id="no photos"),
        pytest.param(("enroll", "--folder", "x", "--name", "A"), "no other option", id="both"),
        pytest.param(("enroll", "nowhere.png", "--name", "A"), "nobody was enrolled", id="no file"),
        pytest.param(("enroll", "--folder", "nowhere"), "cannot be read", id="no tree"),
        pytest.param(("set", "Ann"), "nothing to change", id="no change"),
        pytest.param(("set", "Ann", "--card", "1"), "no such person", id="nobody to change"),
        pytest.param(("remove", "Ann"), "no such person", id="nobody to remove"),
        pytest.param(("device", "add", "Door 1"), "a-z", id="impossible id"),
        pytest.param(("device", "add", "gallery"), "reserved", id="reserved id"),
        pytest.param(("device", "remove", "door-9"), "no such device", id="unknown device"),
        pytest.param(("device", "add", "a", "--cert", "x"), "belong together", id="half a pair"),
        pytest.param(("refresh",), "nothing has been published", id="early refresh"),
        pytest.param(("rekey",), "--prepare", id="unprepared rekey"),
        pytest.param(("spaces", "--forget", SPACE), "nobody", id="unknown space"),
        pytest.param(("init", "hq"), "there already", id="init twice"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    fleet: Fleet, arguments: tuple[str, ...], fits: str
) -> None:
    code, _, err = fleet(*arguments)
    assert code != 0
    assert fits in err
    assert err.splitlines()[-1].startswith("edgeface: error: ")


def test_devices_erasure_and_status(fleet: Fleet, photos: Path, tmp_path: Path) -> None:
    code, out, _ = fleet("device", "add", "door-1")
    assert code == 0
    assert str(tmp_path / "site" / "bundles" / "door-1") in out
    assert re.fullmatch(r"door-1  key [0-9a-f]{16}\n", fleet("device", "list")[1])
    assert main(["fleet", "device", "-s", str(tmp_path / "site"), "list"]) == 0
    fleet("enroll", str(photos / "Eileen" / "1.png"), "--name", "Eileen")
    fleet("publish")
    person_id = str(people(fleet)["Eileen"]["person_id"])
    assert fleet("remove", "Eileen")[1] == f"removed {person_id}; not published yet\n"
    fleet("publish")
    code, out, _ = fleet("status")
    assert code == 1
    assert "door-1: never seen, has reported nothing" in out
    assert "1 erasure not confirmed" in out
    assert "stops recognizing at" in out
    assert f"removed {person_id}: not confirmed by door-1" in out
    site = FleetSite(tmp_path / "site", 0)
    with site.fleet() as opened:
        floor = opened.master.ledger.state().floor
    site.report("door-1", floor.version, floor.digest, erased=floor.version)
    code, out, _ = fleet("status", "--json")
    assert code == 0
    (device,) = json.loads(out)["devices"]
    assert (device["device"], device["lag"], device["digest_agrees"]) == ("door-1", 0, True)
    assert device["reported"]["standing"] == "current"
    code, out, _ = fleet("refresh")
    assert f"{person_id}: erasure is confirmed" in out
    assert fleet("status")[0] == 0
    assert "freshness for 24 hours" in fleet("refresh", "--dry-run")[1]
    assert "is forgotten" in fleet("device", "remove", "door-1")[1]


def test_keys_are_replaced_in_steps(fleet: Fleet, photos: Path, tmp_path: Path) -> None:
    fleet("device", "add", "door-1")
    fleet("enroll", str(photos / "Eileen" / "1.png"), "--name", "Eileen")
    fleet("publish")
    bundle = tmp_path / "site" / "bundles" / "door-1" / "state" / "fleet"
    assert fleet("rekey", "--prepare")[0] == 0
    assert len(KeyRing.load(bundle).administrators) == 2
    code, out, err = fleet("rekey", "--dry-run")
    assert (code, "1 person and 0 tombstones" in out) == (0, True)
    assert "door-1 has not confirmed the prepared keys" in err
    assert "  has not confirmed the prepared keys" in fleet("status")[1]
    code, out, _ = fleet("rekey")
    assert (code, "revision 2.2" in out) == (0, True)
    assert "prepared keys" not in fleet("status")[1]
    assert fleet("rekey", "--drop-old")[0] == 0
    assert len(KeyRing.load(bundle).administrators) == 1


def test_audit_and_spaces_say_what_is_weak(fleet: Fleet, photos: Path, tmp_path: Path) -> None:
    fleet("enroll", "--folder", str(photos))
    code, out, _ = fleet("audit", "--strangers-a-day", "50")
    assert code == 0
    assert "2 people, 3 templates" in out
    assert "one template only" in out
    assert "50 strangers a day: up to " in out
    assert "of the people by one photograph, " in out
    report = json.loads(fleet("audit", "--json")[1])
    per_track = 0.001
    assert 0 < report["false_accepts_a_year"] <= 100 * 365 * per_track * 1.001
    site = FleetSite(tmp_path / "site", 0)
    site.put({1: [1]}, OTHER_SPACE)
    code, out, _ = fleet("spaces")
    assert f"{SPACE} (painted, in site.yaml): 2 of 3 people, 3 templates" in out
    assert "has to be enrolled again" in out
    assert f"{OTHER_SPACE}: 1 of 3 people, 1 template\n" in out
    assert fleet("spaces", "--forget", OTHER_SPACE)[0] == 0
    assert len(json.loads(fleet("spaces", "--json")[1])) == 1
    assert "left out" in fleet("publish")[1]


def test_a_passphrase_is_needed_and_kept_secret(
    fleet: Fleet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    site = str(tmp_path / "site")
    other = str(tmp_path / "lab")
    for words in (["publish", "-s", site], ["rekey", "--prepare", "-s", site]):
        assert main(["fleet", *words]) == 2
        assert "--passphrase-file" in capsys.readouterr().err
    assert main(["fleet", "init", "lab", "-s", other]) == 2
    assert "--passphrase-file" in capsys.readouterr().err
    assert not (tmp_path / "lab").exists()
    (tmp_path / "passphrase").chmod(0o644)
    code, _, err = fleet("publish")
    assert (code, "chmod 600" in err) == (2, True)
    (tmp_path / "passphrase").chmod(0o600)
    assert [fleet("publish")[0] for _ in range(2)] == [0, 0]
    (tmp_path / "passphrase").write_text("wrong horse\n")
    assert fleet("publish")[:2] == (2, ""), "though nothing is to be signed"
    with pytest.raises(SystemExit):
        main(["fleet", "init", "--help"])
    rule = f"at least {MIN_PASSPHRASE} characters"
    assert rule in " ".join(capsys.readouterr().out.split())
    assert rule in (Path(__file__).parents[2] / "docs" / "fleet.md").read_text()


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("enroll",), id="nobody"),
        pytest.param(("enroll", "--folder", "x", "--name", "A"), id="tree and name"),
        pytest.param(("enroll", "a.png", "--from-device", "door-1"), id="photo and door"),
        pytest.param(("enroll", "a.png", "--frames", "3"), id="frames without a door"),
        pytest.param(("set", "Ann"), id="nothing to set"),
        pytest.param(("device", "add", "a", "--cert", "x"), id="half a pair"),
    ],
)
def test_a_wrong_command_line_is_status_2(fleet: Fleet, arguments: tuple[str, ...]) -> None:
    assert fleet(*arguments)[0] == 2


def test_a_dry_run_stores_nobody(fleet: Fleet, photos: Path) -> None:
    code, out, _ = fleet("enroll", str(photos / "Eileen" / "1.png"), "--name", "E", "--dry-run")
    assert (code, out) == (0, "E would be enrolled, 1 new of 1 template; nothing was stored\n")
    code, out, _ = fleet("enroll", "--folder", str(photos), "--dry-run")
    assert "2 enrolled, 0 skipped" in out
    assert "nothing was stored" in out
    assert people(fleet) == {}
    assert fleet("diff")[1] == "nothing to publish\n"


def test_no_site_here(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fleet", "list", "-s", str(tmp_path)]) == 2
    assert "fleet init" in capsys.readouterr().err


def test_init_writes_how_the_administrator_reaches_the_broker(tmp_path: Path) -> None:
    (tmp_path / "passphrase").write_text("correct horse\n")
    (tmp_path / "passphrase").chmod(0o600)
    flags = []
    for flag, name in (("--ca", "ca.pem"), ("--cert", "desk.pem"), ("--cert-key", "desk.key")):
        (tmp_path / name).write_text("")
        flags += [flag, str(tmp_path / name)]
    secret = ["--passphrase-file", str(tmp_path / "passphrase")]
    site = tmp_path / "lab"
    done = main(["fleet", "init", "lab", "-s", str(site), "--host", "broker.lab", *flags, *secret])
    assert done == 0
    broker = load_site_settings(site / SITE_FILE).mqtt
    assert (broker.host, broker.ca_file) == ("broker.lab", tmp_path / "ca.pem")
    assert (broker.cert_file, broker.key_file) == (tmp_path / "desk.pem", tmp_path / "desk.key")


def test_what_a_broker_says_does_not_steer_the_terminal(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alerts and the `kid` of a report are told although nobody has signed for them."""
    judged = DeviceStanding(
        device="door-1",
        status=None,
        reported=None,
        fault="unknown_key: by \x1b[2J",
        alerts=("\x1b]0;\x07",),
    )
    monkeypatch.setattr("edgeface.fleet.admin.administration.Fleet.status", lambda _: (judged,))
    code, out, _ = fleet("status")
    assert code == 1
    assert "unknown_key: by ?[2J" in out
    assert out.replace("\n", "").isprintable()


def test_status_says_who_has_confirmed_and_leaves_resolved_refusals_out(
    fleet: Fleet, photos: Path, tmp_path: Path
) -> None:
    fleet("device", "add", "door-1")
    fleet("enroll", str(photos / "Eileen" / "1.png"), "--name", "Eileen")
    fleet("publish")
    gone = str(people(fleet)["Eileen"]["person_id"])
    fleet("remove", "Eileen")
    fleet("publish")
    site = FleetSite(tmp_path / "site", 0)
    now = datetime.fromtimestamp(site.now_s, UTC)
    refusals = tuple(
        Refusal(topic=topic, reason="rollback", detail="older", count=1, last_at=now - before)
        for topic, before in (("old", timedelta(days=3)), ("new", timedelta(hours=3)))
    )
    with Master(site.folder) as master:
        floor = master.ledger.state().floor
    for revision, shown in ((floor.revision - 1, ["old", "new"]), (floor.revision, ["new"])):
        behind = revision != floor.revision
        version, digest = Version(floor.version.epoch, revision), None if behind else floor.digest
        site.report("door-1", version, digest or "0" * 64, erased=version, refusals=refusals)
        code, out, _ = fleet("status")
        assert (code == 1) == behind
        told = [line for line in out.splitlines() if line.startswith("  refused 1 time, last ")]
        assert [line.split(": ")[1].split(", ")[1] for line in told] == shown
        assert ("1 older refusal, since resolved" in out) != behind
    assert f"removed {gone}: confirmed by every device" in out
