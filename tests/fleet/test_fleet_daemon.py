"""The real daemon in a fleet: enrolled at the administrator's, followed, reported, erased."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeface.contract.gallery_report import Reported
from edgeface.fleet.admin.standing import applied_version, confirms, read_reported
from edgeface.fleet.protocol.terms import Version
from edgeface.inference.package import load_package
from edgeface.mqtt.localbroker import LocalBroker, free_port
from edgeface.security.keys import SigningKey
from edgeface.settings.places import shipped_models
from tests.support.broker import Arrival, Witness, eventually, running_broker
from tests.support.daemon import DaemonProcess, write_config
from tests.support.fleet_site import FleetSite, new_site, person_id
from tests.support.kept_pictures import kept_picture
from tests.support.packages import edit_description, seal
from tests.support.scraping import samples, scrape, value

BASE = "edgeface/v1/hq/door-1"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalBroker]:
    with running_broker(tmp_path / "broker") as running:
        yield running


@pytest.fixture
def site(tmp_path: Path, broker: LocalBroker) -> FleetSite:
    return new_site(tmp_path / "site", broker.port)


def empty_street(folder: Path) -> dict[str, Any]:
    import cv2
    import numpy as np

    folder.mkdir()
    cv2.imwrite(str(folder / "0.png"), np.full((240, 320, 3), 90, np.uint8))
    return {"source": "images", "folder": str(folder), "fps": 5, "loop": True}


def last(arrivals: list[Arrival], topic: str) -> Any:
    found = [a for a in arrivals if a.topic == topic and a.message.payload]
    return json.loads(found[-1].message.payload) if found else {}


def test_the_daemon_follows_reports_and_erases(
    tmp_path: Path, broker: LocalBroker, site: FleetSite
) -> None:
    space = load_package(shipped_models() / "facenet").space_id
    site.put({1: [1], 2: [2]}, space)
    site.publish()
    bundle = site.add_device("door-1")
    shutil.copytree(bundle / "state", tmp_path / "state")
    key = SigningKey.load(bundle / "state" / "device.key").public
    file = write_config(
        tmp_path, broker.port, camera=empty_street(tmp_path / "street"), gallery={"source": "fleet"}
    )
    topic = f"{BASE}/gallery/reported"
    snapshots = tmp_path / "state" / "snapshots"
    hers = [kept_picture(snapshots, person_id(1)), kept_picture(snapshots, *map(person_id, (1, 2)))]
    others = [kept_picture(snapshots, person_id(2)), kept_picture(snapshots)]

    def reports(arrivals: list[Arrival]) -> list[Reported]:
        return [read_reported(a.message, key) for a in arrivals if a.topic == topic]

    def state(arrivals: list[Arrival]) -> Any:
        return last(arrivals, f"{BASE}/state").get("gallery") or {}

    with Witness(broker.port, f"{BASE}/#") as witness, DaemonProcess(file) as daemon:
        daemon.wait_ready()
        seen = witness.wait(lambda all_: [r for r in reports(all_) if r.people == 2] != [], 30)
        found = reports(seen)[-1]
        assert (found.standing, found.people, applied_version(found)) == ("current", 2, (1, 1))
        witness.wait(lambda all_: state(all_).get("people") == 2)
        assert state(witness.arrivals)["source"] == "fleet"
        assert {path.stem for path in snapshots.iterdir()} == {*hers, *others}
        witness.wait(lambda all_: state(all_).get("digest") == found.digest)

        site.put({3: [3]}, space)
        site.remove(1)
        site.publish()
        seen = witness.wait(
            lambda all_: any(confirms(r, person_id(1), Version(1, 2)) for r in reports(all_)), 30
        )
        # Whoever has the receipt may rely on it.
        assert {path.stem for path in snapshots.iterdir()} == set(others)
        found = reports(seen)[-1]
        assert [receipt.person_id for receipt in found.receipts] == [person_id(1)]
        witness.wait(lambda all_: state(all_).get("revision") == 2)
        assert "gallery_stale" not in last(witness.arrivals, f"{BASE}/state")["alerts"]
        assert daemon.stop()[0] == 0
    (judged,) = _status(site)
    assert (judged.lag, judged.digest_agrees, judged.unconfirmed) == (0, True, ())


def test_the_exporter_says_how_far_the_device_is_behind(
    tmp_path: Path, broker: LocalBroker, site: FleetSite
) -> None:
    """A record that the broker does not have, until it has it."""
    site.put({1: [1], 2: [2]}, load_package(shipped_models() / "facenet").space_id)
    site.publish()
    bundle = site.add_device("door-1")
    shutil.copytree(bundle / "state", tmp_path / "state")
    port = free_port()
    file = write_config(
        tmp_path,
        broker.port,
        camera=empty_street(tmp_path / "street"),
        gallery={"source": "fleet"},
        metrics={"listen": f"127.0.0.1:{port}"},
    )
    record = f"edgeface/v1/hq/gallery/person/{person_id(1)}"

    def has(name: str, number: float) -> bool:
        return samples(scrape(port)).get((f"edgeface_gallery_{name}", ())) == number

    with Witness(broker.port, record) as witness:
        (sent,) = witness.wait_on(record, 1)
        witness.publish(record, b"", retain=True)
        with DaemonProcess(file) as daemon:
            daemon.wait_ready()
            eventually(lambda: has("missing_records", 1), 30)
            assert value(scrape(port), "gallery_published_revision") == 1
            assert value(scrape(port), "gallery_revision") == 0
            began_s = value(scrape(port), "gallery_sync_lag_seconds")
            eventually(lambda: value(scrape(port), "gallery_sync_lag_seconds") > began_s > 0)
            witness.publish(record, sent.message.payload, retain=True)
            eventually(lambda: has("revision", 1), 30)
            eventually(lambda: has("sync_lag_seconds", 0) and has("missing_records", 0))
            assert daemon.stop()[0] == 0


def test_the_daemon_changes_to_the_next_model_when_everybody_fits_it_and_stays_there(
    tmp_path: Path, broker: LocalBroker, site: FleetSite
) -> None:
    first = shipped_models() / "facenet"
    second = tmp_path / "second"
    shutil.copytree(first, second)
    edit_description(second, lambda it: it["input"].update(mean=127.4))
    seal(second)
    before, after = (load_package(folder).space_id for folder in (first, second))
    site.put({1: [1], 2: [2]}, before)
    site.put({1: [101]}, after)
    site.publish()
    bundle = site.add_device("door-1")
    shutil.copytree(bundle / "state", tmp_path / "state")
    key = SigningKey.load(bundle / "state" / "device.key").public
    file = write_config(
        tmp_path,
        broker.port,
        camera=empty_street(tmp_path / "street"),
        gallery={"source": "fleet"},
        models={"next_embedder": str(second)},
    )
    topic = f"{BASE}/gallery/reported"

    def uses(space: str, revision: int) -> Any:
        reports = lambda all_: [  # noqa: E731
            read_reported(a.message, key) for a in all_ if a.topic == topic
        ]
        return lambda all_: any(
            (r.space, r.revision, r.templates) == (space, revision, 2) for r in reports(all_)
        )

    with Witness(broker.port, f"{BASE}/#") as witness, DaemonProcess(file) as daemon:
        witness.wait(uses(before, 1), 30)
        site.put({2: [102]}, after)
        site.publish()
        witness.wait(uses(after, 2), 30)
        assert daemon.stop()[0] == 0
    with Witness(broker.port, f"{BASE}/state") as witness, DaemonProcess(file) as daemon:
        daemon.wait_ready()
        # Until the models and the gallery are there, the state says null for them.
        witness.wait(
            lambda all_: (
                (last(all_, f"{BASE}/state")["models"] or {}).get("space") == after
                and (last(all_, f"{BASE}/state")["gallery"] or {}).get("templates") == 2
            )
        )
        assert daemon.stop()[0] == 0


def _status(site: FleetSite) -> Any:
    with site.fleet() as fleet:
        return fleet.status()


def test_a_device_without_its_keys_says_what_to_copy(tmp_path: Path, broker: LocalBroker) -> None:
    file = write_config(
        tmp_path, broker.port, camera=empty_street(tmp_path / "street"), gallery={"source": "fleet"}
    )
    with DaemonProcess(file) as daemon:
        assert daemon.process.wait(30) == 1
        assert "edgeface fleet device add" in daemon.log
