"""Keys and floor that are copied onto a running device: taken without a restart."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeface.fleet.admin.master import Master
from edgeface.fleet.admin.standing import applied_version, read_reported
from edgeface.fleet.device.trusted import load_provision
from edgeface.inference.package import load_package
from edgeface.security.keys import SigningKey
from edgeface.settings.places import shipped_models
from tests.support.broker import Arrival, Witness, running_broker
from tests.support.daemon import DaemonProcess, write_config
from tests.support.fleet_device import (
    DAY_S,
    GRACE_S,
    FleetDevice,
    follow,
    ids,
    published,
)
from tests.support.fleet_site import PASSPHRASE, FleetSite, new_site
from tests.support.memory_broker import MemoryBroker


@pytest.fixture
def device(memory: Path, broker: MemoryBroker) -> FleetDevice:
    """It has everybody, and is connected."""
    return follow(memory / "door-1", published(memory / "site", broker), broker)


def prepare(site: FleetSite) -> None:
    with site.fleet() as fleet:
        fleet.prepare_rekey(lambda: PASSPHRASE)


def rekey(site: FleetSite) -> None:
    with site.fleet() as fleet:
        fleet.rekey(lambda: PASSPHRASE)


def drop_old(site: FleetSite) -> None:
    with site.fleet() as fleet:
        fleet.drop_old_keys()


def reload(device: FleetDevice) -> bool:
    """As the daemon does on SIGHUP."""
    folder = device.path / "fleet"
    return device.replica.use_provision(load_provision(folder, device.path / "floor.json"))


def test_the_same_files_change_nothing(device: FleetDevice) -> None:
    assert device.client is not None
    before = list(device.client.asked)
    assert not reload(device)
    assert device.client.asked == before


def test_keys_that_came_too_late_are_caught_up_with(device: FleetDevice) -> None:
    prepare(device.site)
    rekey(device.site)
    device.settle()
    assert device.refusals()["manifest"] == "unknown_key"
    assert device.people() == ids(1, 2, 3), "the last good gallery goes on"
    device.provision()
    assert reload(device)
    assert device.people() == ids(1, 2, 3)
    device.settle()
    assert device.equals_master()
    assert device.replica.trouble is None


def test_a_late_encryption_key_opens_what_was_refused(device: FleetDevice) -> None:
    prepare(device.site)
    device.provision()
    for path in sorted((device.path / "fleet").glob("encryption-*.key")):
        if path.name not in {key.name for key in old_encryption(device)}:
            path.unlink()
    assert reload(device)
    rekey(device.site)
    device.settle()
    assert set(device.refusals().values()) == {"unknown_key"}
    device.provision()
    assert reload(device)
    device.settle()
    assert device.equals_master()


def old_encryption(device: FleetDevice) -> list[Path]:
    """The encryption key that is in use at the administrator's."""
    with device.site.fleet() as fleet:
        kid = fleet.master.ledger.state().keys.encryption
    return [Path(f"encryption-{kid}.key")]


def test_the_three_steps_of_a_rekey_without_a_restart(device: FleetDevice) -> None:
    prepare(device.site)
    with Master(device.site.folder) as master:
        keys = master.ledger.state().next_keys
    assert keys is not None
    wanted = {keys.signing, keys.encryption}
    assert not wanted & set(device.reported().keys or ())
    device.provision()
    assert reload(device)
    assert wanted <= set(device.reported().keys or ()), "the administrator sees it before step 3"
    rekey(device.site)
    device.settle()
    assert device.equals_master()
    drop_old(device.site)
    device.provision()
    assert reload(device)
    device.settle()
    assert device.equals_master()
    assert device.replica.trouble is None


def test_a_gallery_whose_key_is_pinned_no_more_goes_on_but_is_not_prolonged(
    device: FleetDevice,
) -> None:
    prepare(device.site)
    device.disconnect()  # the broker holds the new gallery back
    rekey(device.site)
    drop_old(device.site)
    device.provision()
    assert reload(device)
    device.replica.work()
    assert device.people() == ids(1, 2, 3)
    assert "not pinned any more" in str(device.replica.trouble)
    good_until_s = device.replica.trusted.good_until_s
    device.times.pass_s(DAY_S + GRACE_S)
    device.replica.work()
    assert device.people() == (), "for freshness and grace time, no longer"
    assert device.replica.trusted.good_until_s == good_until_s
    device.times.utc_s = device.site.now_s
    device.times.floor_s = 0.0
    device.connect()
    device.settle()
    assert device.equals_master()


def test_freshness_of_a_key_that_is_pinned_no_more_is_refused(
    device: FleetDevice, broker: MemoryBroker
) -> None:
    prepare(device.site)
    for path in (device.path / "fleet").glob("administrator-*.pub"):
        path.unlink()
    with device.site.fleet() as fleet:
        keys = fleet.master.ledger.state().next_keys
    assert keys is not None
    name = f"administrator-{keys.signing}.pub"
    shutil.copy(device.site.folder.keys / name, device.path / "fleet" / name)
    assert reload(device)
    before = device.replica.trusted.good_until_s
    device.times.pass_s(3600)
    device.site.now_s += 3600
    device.site.refresh()
    device.settle()
    assert device.refusals()["freshness"] == "unknown_key"
    assert device.replica.trusted.good_until_s == before


def test_a_floor_above_the_gallery_in_use_is_for_what_comes(device: FleetDevice) -> None:
    device.disconnect()
    device.site.put({4: [4]})
    device.site.publish()
    prepare(device.site)  # writes the floor of now into the bundle
    device.provision()
    assert reload(device)
    device.replica.work()
    assert device.people() == ids(1, 2, 3)
    device.connect()
    device.settle()
    assert device.people() == ids(1, 2, 3, 4), "exactly the gallery that the floor names"
    assert device.equals_master()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[FleetSite]:
    with running_broker(tmp_path / "broker") as running:
        yield new_site(tmp_path / "site", running.port)


def test_sighup_takes_new_keys_and_refuses_broken_ones(tmp_path: Path, site: FleetSite) -> None:
    site.put({1: [1], 2: [2]}, load_package(shipped_models() / "facenet").space_id)
    site.publish()
    bundle = site.add_device("door-1") / "state"
    state = tmp_path / "state"
    shutil.copytree(bundle, state)
    (tmp_path / "street").mkdir()
    cv2.imwrite(str(tmp_path / "street" / "0.png"), np.full((240, 320, 3), 90, np.uint8))
    camera = {"source": "images", "folder": str(tmp_path / "street"), "fps": 5, "loop": True}
    file = write_config(tmp_path, site.port, camera=camera, gallery={"source": "fleet"})
    key = SigningKey.load(bundle / "device.key").public
    topic = "edgeface/v1/hq/door-1/gallery/reported"

    def last(arrivals: list[Arrival]) -> Any:
        found = [a.message for a in arrivals if a.topic == topic]
        return read_reported(found[-1], key) if found else None

    def has(version: tuple[int, int]) -> Any:
        return lambda all_: last(all_) is not None and applied_version(last(all_)) == version

    with Witness(site.port, topic) as witness, DaemonProcess(file) as daemon:
        daemon.wait_ready()
        witness.wait(has((1, 1)), 30)
        prepare(site)
        rekey(site)
        witness.wait(lambda all_: last(all_).refusals != ())
        assert last(witness.arrivals).people == 2

        (extra,) = (p for p in bundle.glob("fleet/*.pub") if not (state / "fleet" / p.name).exists()
                    and p.name.startswith("administrator"))  # fmt: skip
        (state / "fleet" / extra.name).write_text("half a key")
        daemon.send(signal.SIGHUP)
        log = daemon.wait_log(lambda text: "not reloaded" in text)
        assert extra.name in log
        assert applied_version(last(witness.arrivals)) == (1, 1)

        shutil.rmtree(state / "fleet")
        shutil.copytree(bundle / "fleet", state / "fleet")
        daemon.send(signal.SIGHUP)
        witness.wait(has((2, 2)), 30)
        assert last(witness.arrivals).people == 2
        assert "the fleet's keys were taken anew" in daemon.log
        assert daemon.stop()[0] == 0
