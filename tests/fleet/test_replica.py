"""A device follows the master's gallery: order, loss, catching up, roll-back, freshness, spaces."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from edgeface.base.messages import Message
from edgeface.contract.topics import Topics
from edgeface.fleet.admin.standing import applied_version, read_reported
from edgeface.fleet.device.requests import MAX_OUTSTANDING
from edgeface.fleet.protocol.terms import GalleryTopics
from edgeface.gallery.database import set_aside
from edgeface.gallery.store import GalleryStore
from edgeface.recognition.templates import DIMENSIONS
from tests.support.fleet_device import DAY_S, GRACE_S, FleetDevice, Times, ids, memory_site
from tests.support.fleet_site import FleetSite, person_id
from tests.support.gallery import KEY, OTHER_SPACE, SPACE, direction
from tests.support.memory_broker import MemoryBroker

TOPICS = GalleryTopics("hq")


@pytest.fixture
def site(tmp_path: Path, broker: MemoryBroker) -> FleetSite:
    return memory_site(tmp_path / "site", broker)


@pytest.fixture
def device(tmp_path: Path, site: FleetSite, broker: MemoryBroker) -> FleetDevice:
    return new_device(tmp_path / "door-1", site, broker)


def new_device(path: Path, site: FleetSite, broker: MemoryBroker, **more: str) -> FleetDevice:
    return FleetDevice(path, site, broker, Times(site.now_s), **more)


def synced(device: FleetDevice, **people: tuple[int, ...]) -> FleetDevice:
    """Publish people 1 and 2, and let the device follow."""
    device.site.put({1: [1], 2: [2, 22]})
    device.site.publish()
    device.connect()
    device.settle()
    assert device.equals_master()
    return device


def test_a_new_device_has_the_whole_gallery_from_the_broker(device: FleetDevice) -> None:
    synced(device)
    index = device.replica.index
    assert device.people() == ids(1, 2)
    assert (index.epoch, index.revision, len(index.matrix)) == (1, 1, 3)
    best = index.matrix @ direction(22)
    assert index.people[index.owners[int(np.argmax(best))]] == person_id(2)
    assert best.max() > 0.99
    assert index.display_names[index.people.index(person_id(1))] == "Person 1"
    assert device.replica.standing == "current"
    assert device.replica.trouble is None


def test_what_it_applied_is_reported_with_a_signature(device: FleetDevice) -> None:
    synced(device)
    topic = Topics("hq", "door-1").gallery_reported
    found = read_reported(device.broker.retained[topic], device.device_key.public)
    assert (found.standing, found.people, found.templates) == ("current", 2, 3)
    assert applied_version(found) == (1, 1)
    assert found.digest == device.replica.trusted.manifest.digest.hex()  # type: ignore[union-attr]
    assert found.space == SPACE
    assert found.missing == 0


def test_a_change_comes_live_without_asking_for_anything(device: FleetDevice) -> None:
    synced(device)
    assert device.client is not None
    device.client.asked.clear()
    device.site.put({3: [3], 1: [11]})
    device.site.publish()
    device.settle()
    assert device.equals_master()
    assert device.client.asked == []
    assert device.people() == ids(1, 2, 3)


def test_nothing_takes_effect_before_the_manifest_lists_it(device: FleetDevice) -> None:
    synced(device)
    device.site.put({3: [3]})
    device.site.publish()
    assert device.client is not None
    waiting = [m for m in device.client.queue if m.topic != TOPICS.manifest]
    manifest = next(m for m in device.client.queue if m.topic == TOPICS.manifest)
    device.client.queue.clear()
    for message in waiting:
        device.replica.receive(message)
    device.work()
    assert device.people() == ids(1, 2)
    device.replica.receive(manifest)
    device.work()
    assert device.people() == ids(1, 2, 3)
    assert device.refusals() == {}


@pytest.mark.parametrize("lost", ["person", "bucket", "manifest", "freshness"])
def test_a_lost_message_is_read_again(device: FleetDevice, lost: str) -> None:
    synced(device)
    device.site.put({3: [3]})
    device.site.publish()
    assert device.client is not None
    kept = [m for m in device.client.queue if f"/{lost}" not in m.topic]
    assert len(kept) < len(device.client.queue)
    device.client.queue.clear()
    device.client.queue.extend(kept)
    device.settle()
    if lost == "manifest":
        assert device.people() == ids(1, 2)
        device.connect()
        device.settle()
    assert device.equals_master()
    assert set(device.refusals().values()) <= {"wrong_digest"} if lost == "manifest" else True


def test_reversed_order_ends_the_same(device: FleetDevice) -> None:
    synced(device)
    device.site.put({number: [number] for number in range(3, 40)})
    device.site.remove(1)
    device.site.publish()
    assert device.client is not None
    device.client.queue.reverse()
    device.settle()
    assert device.equals_master()
    assert device.refusals() == {}


def test_catching_up_asks_for_what_differs_and_for_at_most_200_at_once(
    tmp_path: Path, site: FleetSite, broker: MemoryBroker
) -> None:
    broker.queue_limit = 300
    site.put({number: [number] for number in range(700)})
    site.publish()
    device = new_device(tmp_path / "d", site, broker)
    client = device.connect()
    device.settle()
    assert device.equals_master()
    assert client.most <= MAX_OUTSTANDING + 4
    device.disconnect()
    site.put({number: [number + 1] for number in range(40)})
    site.publish()
    client = device.connect()
    device.replica.messages_received = 0
    device.settle()
    assert device.equals_master()
    people = [topic for topic in client.asked if "/person/p_" in topic]
    assert sorted(people) == sorted(TOPICS.person(person_id(number)) for number in range(40))
    assert device.replica.messages_received <= 40 + 40 + 2, "records, their buckets, both heads"


def test_a_device_that_was_off_for_a_month_catches_up_by_itself(device: FleetDevice) -> None:
    synced(device)
    device.disconnect()
    for day in range(4):
        device.site.now_s += 7 * DAY_S
        device.site.put({10 + day: [10 + day]})
        device.site.remove(1) if day == 2 else device.site.refresh()
        device.site.publish()
    device.times.pass_s(30 * DAY_S)
    device.crash()
    assert device.replica.standing == "expired"
    assert device.people() == ()
    device.connect()
    device.settle()
    assert device.equals_master()
    assert device.people() == ids(2, 10, 11, 12, 13)


def test_the_floor_outlives_a_restart_and_the_loss_of_the_gallery(device: FleetDevice) -> None:
    synced(device)
    before = dict(device.broker.retained)
    device.site.put({3: [3]})
    device.site.publish()
    device.settle()
    assert device.equals_master()
    device.broker.retained = before
    device.crash()
    device.connect()
    device.settle()
    assert device.people() == ids(1, 2, 3)
    assert device.refusals() == {"manifest": "rollback", "freshness": "rollback"}
    device.disconnect()
    device.store.close()
    for side in ("", "-wal", "-shm"):
        Path(f"{device.gallery_file}{side}").unlink(missing_ok=True)
    device.start()
    device.connect()
    device.settle()
    assert device.people() == ()
    assert device.refusals()["manifest"] == "rollback"
    assert "no manifest" in str(device.replica.trouble)


def test_a_new_device_starts_with_the_floor_it_was_set_up_with(
    tmp_path: Path, site: FleetSite, broker: MemoryBroker
) -> None:
    site.put({1: [1]})
    site.publish()
    old = dict(broker.retained)
    site.put({2: [2]})
    site.publish()
    device = new_device(tmp_path / "d", site, broker)
    broker.retained = old
    device.connect()
    device.settle()
    assert device.people() == ()
    assert device.refusals()["manifest"] == "rollback"


def test_an_empty_payload_changes_nothing(device: FleetDevice) -> None:
    synced(device)
    for topic in list(device.broker.retained):
        device.broker.put(Message(topic, b"", 1, True))
    device.settle()
    assert device.people() == ids(1, 2)
    device.crash()
    device.connect()
    device.settle()
    assert device.people() == ids(1, 2)
    assert device.replica.standing == "current"


class TestFreshness:
    def test_stale_for_the_grace_time_then_nobody_then_back(self, device: FleetDevice) -> None:
        synced(device)
        fresh_s = device.replica.trusted.fresh_until_s
        assert fresh_s is not None
        device.times.utc_s = fresh_s - 1
        device.work()
        assert device.replica.standing == "current"
        device.times.utc_s = fresh_s
        device.work()
        assert (device.replica.standing, device.people()) == ("stale", ids(1, 2))
        assert "not confirmed as current" in str(device.replica.trouble)
        device.times.utc_s = fresh_s + GRACE_S
        device.work()
        assert (device.replica.standing, device.people()) == ("expired", ())
        assert "nobody is recognized" in str(device.replica.trouble)
        assert device.reported().people == 2, "kept, and reported, but not used"
        device.site.now_s = device.times.utc_s
        device.site.refresh()
        device.settle()
        assert (device.replica.standing, device.people()) == ("current", ids(1, 2))
        assert device.replica.trouble is None

    def test_it_is_remembered_over_a_restart_without_a_broker(self, device: FleetDevice) -> None:
        synced(device)
        device.disconnect()
        device.crash()
        assert (device.replica.standing, device.people()) == ("current", ids(1, 2))
        device.times.utc_s += 3 * DAY_S
        device.work()
        assert device.replica.standing == "stale"

    def test_power_cut_and_the_clock_back_in_1970(self, device: FleetDevice) -> None:
        synced(device)
        device.disconnect()
        device.times = Times(utc_s=120.0)
        device.crash()
        assert device.replica.trusted.manifest is not None
        assert device.times.effective_s() == device.replica.trusted.manifest.header.issued
        assert device.people() == ids(1, 2)

    def test_an_old_freshness_shortens_nothing(self, device: FleetDevice) -> None:
        synced(device)
        old = device.broker.retained[TOPICS.freshness]
        device.site.now_s += DAY_S / 2
        device.site.refresh()
        device.settle()
        until_s = device.replica.trusted.fresh_until_s
        device.replica.receive(old)
        assert device.replica.trusted.fresh_until_s == until_s

    def test_one_that_is_past_is_refused(self, device: FleetDevice) -> None:
        synced(device)
        old = device.broker.retained[TOPICS.freshness]
        device.times.utc_s += 2 * DAY_S
        device.replica.receive(old)
        assert device.refusals() == {"freshness": "expired"}
        assert device.replica.standing == "stale"


class TestSpaces:
    def test_both_are_kept_and_the_report_says_which_is_used(self, device: FleetDevice) -> None:
        synced(device)
        assert not device.replica.covered_by(OTHER_SPACE)
        device.site.put({1: [101]}, OTHER_SPACE)
        device.site.publish()
        device.settle()
        assert device.people() == ids(1, 2)
        assert not device.replica.covered_by(OTHER_SPACE)
        device.site.put({2: [102]}, OTHER_SPACE)
        device.site.publish()
        device.settle()
        assert device.replica.covered_by(OTHER_SPACE)
        device.replica.catch_up.served.use_space(OTHER_SPACE, DIMENSIONS)
        device.work()
        assert device.people() == ids(1, 2)
        assert device.replica.index.space == OTHER_SPACE
        assert float((device.replica.index.matrix @ direction(101)).max()) > 0.99
        assert device.reported().space == OTHER_SPACE


def test_people_enrolled_here_before_make_room_for_the_fleets(
    tmp_path: Path, site: FleetSite, broker: MemoryBroker
) -> None:
    from tests.support.gallery import ALICE, put

    path = tmp_path / "d"
    path.mkdir()
    with GalleryStore(path / "gallery.sqlite", KEY) as store:
        put(store, ALICE, 7)
    device = new_device(path, site, broker)
    assert device.people() == (), "no manifest, nobody"
    synced(device)
    assert ALICE not in device.store


def test_the_listed_record_withheld_puts_the_old_one_out(device: FleetDevice) -> None:
    synced(device)
    device.site.put({1: [11]})
    device.site.publish()
    assert device.client is not None
    kept = [m for m in device.client.queue if "/person/" not in m.topic]
    device.client.queue.clear()
    device.client.queue.extend(kept)
    del device.broker.retained[TOPICS.person(person_id(1))]
    device.deliver()
    device.work()
    assert device.people() == ids(1, 2), "it may be on its way"
    device.settle()
    assert device.people() == ids(2)
    assert device.reported().missing == 1
    assert device.replica.standing == "catching_up"


def test_rows_that_do_not_open_are_read_again_from_the_broker(device: FleetDevice) -> None:
    synced(device)
    device.disconnect()
    device.store.close()
    with sqlite3.connect(device.gallery_file) as connection:
        connection.execute(
            "UPDATE templates SET body = zeroblob(100) WHERE person_id = ?", (person_id(1),)
        )
    connection.close()
    device.start()
    assert device.people() == ids(2)
    device.connect()
    device.settle()
    assert device.equals_master()
    assert device.people() == ids(1, 2)


def test_a_damaged_gallery_is_set_aside_and_rebuilt_and_the_rest_deleted(
    device: FleetDevice,
) -> None:
    synced(device)
    device.disconnect()
    device.store.close()
    aside = set_aside(device.gallery_file)
    assert aside.exists()
    device.start()
    device.connect()
    device.settle()
    assert device.equals_master()
    assert list(device.path.glob("*.corrupt-*")) == []


def test_a_full_disk_is_told_and_gone_on_from(device: FleetDevice) -> None:
    synced(device)
    device.site.put({3: [3]})
    device.site.publish()
    with sqlite3.connect(device.gallery_file, isolation_level=None) as other:
        device.store._connection().execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN IMMEDIATE")
        device.deliver()
        device.work()
        assert device.people() == ids(1, 2)
        assert "another process" in str(device.replica.trouble)
        other.execute("ROLLBACK")
    other.close()
    device.settle()
    assert device.equals_master()
    assert device.replica.trouble is None
