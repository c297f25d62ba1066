"""A device whose floor is damaged or comes from a backup, and an administrator's wrong clock."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest

from edgeface.base.errors import StateError
from edgeface.contract import codec
from edgeface.fleet.protocol.floor import DamagedFloorError, Floor
from tests.support.fleet_device import DAY_S, GRACE_S, FleetDevice, follow, ids, memory_site
from tests.support.flips import flip
from tests.support.memory_broker import MemoryBroker


@pytest.fixture
def device(tmp_path: Path, broker: MemoryBroker) -> FleetDevice:
    """It follows, and has people 1 and 2."""
    site = memory_site(tmp_path / "site", broker)
    site.put({1: [1], 2: [2, 22]})
    site.publish()
    return follow(tmp_path / "door-1", site, broker)


def test_a_floor_of_the_devices_own_that_is_garbage_is_told_and_found_in_the_gallery(
    device: FleetDevice, broker: MemoryBroker
) -> None:
    old = dict(broker.retained)
    device.site.put({3: [3]})
    device.site.publish()
    device.settle()
    (device.path / "floor.json").write_bytes(b"{")
    device.crash()
    assert "floor.json: damaged" in str(device.replica.trouble)
    assert device.people() == ids(1, 2, 3)
    new, broker.retained = broker.retained, old
    device.connect()
    device.settle()
    assert device.refusals()["manifest"] == "rollback"
    assert "floor.json: damaged" in str(device.replica.trouble)
    assert Floor.load(device.path / "floor.json").revision == 2
    broker.retained = new
    device.connect()
    device.settle()
    assert device.replica.trouble is None


def test_no_bit_of_the_floors_file_makes_another_floor(device: FleetDevice) -> None:
    device.site.put({3: [3]})
    device.site.publish()
    device.settle()
    file = device.path / "floor.json"
    content, known = file.read_bytes(), Floor.load(file)
    for byte in range(len(content)):
        for bit in range(8):
            file.write_bytes(content)
            flip(file, byte, bit)
            with contextlib.suppress(DamagedFloorError):
                assert Floor.load(file) == known, (byte, bit)
    file.write_text(json.dumps(codec.to_mapping(known)))
    assert Floor.load(file) == known, "as an edgeface from before wrote it"


def test_a_floor_of_the_bundle_that_is_garbage_says_the_way_out(device: FleetDevice) -> None:
    (device.path / "fleet" / "floor.json").write_bytes(b"{")
    with pytest.raises(StateError, match=r"floor\.json.*copy the bundle's state/fleet"):
        device.crash()


def test_a_restored_backup_and_a_broker_that_was_rolled_back_with_it_bring_somebody_back_no_longer(
    tmp_path: Path, device: FleetDevice, broker: MemoryBroker
) -> None:
    """The bound that docs/security.md gives: freshness and grace time, from the backup on."""
    kept, backup = dict(broker.retained), tmp_path / "backup"
    device.store.close()
    shutil.copytree(device.path, backup)
    device.crash()
    device.site.remove(2)
    device.site.publish()
    device.connect()
    device.settle()
    assert device.people() == ids(1)
    device.disconnect()
    device.store.close()
    shutil.rmtree(device.path)
    shutil.copytree(backup, device.path)
    broker.retained = kept
    device.start()
    device.connect()
    device.settle()
    assert device.people() == ids(1, 2), "nothing on the device or the broker knows better"
    device.times.pass_s(DAY_S + GRACE_S)
    device.settle()
    assert device.people() == ()
    assert device.replica.standing == "expired"


def test_a_manifest_far_beyond_a_synchronized_clock_is_refused_and_lifts_no_floor(
    device: FleetDevice,
) -> None:
    """An administrator's clock was wrong."""
    site, now_s = device.site, device.site.now_s
    device.times.synced = True
    site.now_s = now_s + 9 * 365 * DAY_S
    site.put({3: [3]})
    site.publish()
    device.settle()
    assert device.refusals()["manifest"] == "ahead"
    assert device.people() == ids(1, 2)
    assert device.times.floor_s <= now_s
    site.now_s = now_s + 60
    site.put({4: [4]})
    site.publish()
    device.settle()
    assert device.equals_master()


def test_a_manifest_of_the_future_that_nobody_could_tell_is_got_over_by_the_next(
    device: FleetDevice,
) -> None:
    site, now_s = device.site, device.site.now_s
    site.now_s = now_s + 9 * 365 * DAY_S
    site.put({3: [3]})
    site.publish()
    device.settle()
    assert device.people() == ids(1, 2, 3), "its clock is not synchronized"
    device.times.synced, device.times.floor_s = True, 0.0  # as `TimeFloor` gives it up
    site.now_s = now_s + 60
    site.publish()
    device.settle()
    assert device.equals_master()
    fresh_until_s = device.replica.trusted.fresh_until_s
    assert fresh_until_s is not None
    assert fresh_until_s <= now_s + 32 * DAY_S
