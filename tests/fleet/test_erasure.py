"""Erased means gone: from the database file, its log, the index and what was set aside."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

import pytest

from edgeface.base.messages import Message
from edgeface.fleet.admin.standing import confirms
from edgeface.fleet.protocol.terms import GalleryTopics
from edgeface.gallery.database import set_aside
from tests.support.fleet_device import DAY_S, FleetDevice, Times, follow, ids, memory_site
from tests.support.fleet_site import FleetSite, person_id
from tests.support.gallery import KEY, direction, stored
from tests.support.memory_broker import MemoryBroker

TOPICS = GalleryTopics("hq")


@pytest.fixture
def site(tmp_path: Path) -> FleetSite:
    broker = MemoryBroker()
    found = memory_site(tmp_path / "site", broker)
    found.put({number: [number, 1000 + number] for number in range(60)})
    found.publish()
    return found


def device_of(site: FleetSite, path: Path, key: bytes | None) -> FleetDevice:
    return follow(path, site, site.connect.__self__, key=key)


def traces(device: FleetDevice, number: int) -> dict[str, bytes]:
    """What there is of a person that could be found again."""
    with device.store.reading() as connection:
        query = "SELECT body FROM {} WHERE person_id = ?"
        bodies = [
            connection.execute(query.format(table), (person_id(number),)).fetchone()[0]
            for table in ("people", "templates")
        ]
    wire = device.broker.retained[TOPICS.person(person_id(number))].payload
    return {
        "sealed person": bodies[0],
        "sealed templates": bodies[1],
        "start of the record": wire[:200],
        "ciphertext of the record": wire[-300:-100],
        "template": stored(direction(number)).template.codes.tobytes(),
        "other template": stored(direction(1000 + number)).template.codes.tobytes(),
        "name": f'"Person {number}"'.encode(),
    }


@pytest.mark.parametrize("key", [pytest.param(KEY, id="encrypted"), pytest.param(None, id="plain")])
def test_nothing_of_an_erased_person_is_left_in_the_state_folder(
    tmp_path: Path, site: FleetSite, key: bytes | None
) -> None:
    device = device_of(site, tmp_path / "d", key)
    order = random.Random(3).sample(range(60), 40)
    found = {number: traces(device, number) for number in order}
    before = device.files()
    assert found[order[0]]["sealed templates"] in before
    assert (found[order[0]]["template"] in before) == (key is None)
    for start in range(0, 40, 10):
        gone = order[start : start + 10]
        site.remove(*gone)
        site.put({number: [2000 + number] for number in order[start + 10 :][:5]})
        site.publish()
        device.settle()
        assert device.equals_master()
        files = device.files()
        for number in gone:
            assert [name for name, trace in found[number].items() if trace in files] == []
            confirmed = device.replica.catch_up.applied.version
            assert confirms(device.reported(), person_id(number), confirmed)
        index = device.replica.index
        for number in gone:
            assert person_id(number) not in index.people
            assert float((index.matrix @ direction(number)).max()) < 0.9
    assert len(device.reported().receipts) == 40


def test_nothing_of_a_replaced_record_is_left_either(tmp_path: Path, site: FleetSite) -> None:
    device = device_of(site, tmp_path / "d", None)
    before = traces(device, 5)
    site.put({5: [77]})
    site.publish()
    device.settle()
    files = device.files()
    assert [
        n for n in ("sealed templates", "template", "other template") if before[n] in files
    ] == []


def test_a_damaged_gallery_that_was_set_aside_goes_before_a_receipt_is_given(
    tmp_path: Path, site: FleetSite
) -> None:
    device = device_of(site, tmp_path / "d", None)
    template = traces(device, 5)["template"]
    device.disconnect()
    device.store.close()
    set_aside(device.gallery_file)
    site.remove(5)
    site.publish()
    assert template in device.files()
    device.start()
    device.connect()
    device.settle()
    assert confirms(device.reported(), person_id(5), device.replica.catch_up.applied.version)
    assert template not in device.files()


def test_there_is_no_receipt_while_another_process_holds_the_log(
    tmp_path: Path, site: FleetSite
) -> None:
    device = device_of(site, tmp_path / "d", None)
    template = traces(device, 5)["template"]
    device.store._connection().execute("PRAGMA busy_timeout = 0")
    reader = sqlite3.connect(device.gallery_file, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM people").fetchone()
    site.remove(5)
    site.publish()
    device.settle(5)
    assert person_id(5) not in device.people()
    assert template in device.files()
    assert device.reported().receipts == ()
    reader.close()
    device.times.pass_s(30)
    device.settle()
    assert template not in device.files()
    assert [receipt.person_id for receipt in device.reported().receipts] == [person_id(5)]


def test_a_crash_between_erasing_and_the_receipt_is_made_up_for(
    tmp_path: Path, site: FleetSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = device_of(site, tmp_path / "d", KEY)
    site.remove(5)
    site.publish()
    with monkeypatch.context() as patch:
        patch.setattr(device.replica.catch_up.tables, "confirm", lambda *_: False)
        device.deliver()
        device.work()
    assert device.reported().receipts == ()
    device.crash()
    device.work()
    assert [receipt.person_id for receipt in device.reported().receipts] == [person_id(5)]


def test_the_topic_is_cleared_when_every_device_has_confirmed(
    tmp_path: Path, site: FleetSite
) -> None:
    first = device_of(site, tmp_path / "one", KEY)
    second = FleetDevice(tmp_path / "two", site, first.broker, Times(site.now_s), name="door-2")
    second.connect()
    second.settle()
    site.remove(5)
    site.publish()
    second.disconnect()
    first.settle()
    topic = TOPICS.person(person_id(5))
    site.refresh()
    assert topic in first.broker.retained, "door-2 has not confirmed"
    with site.fleet() as fleet:
        unconfirmed = {j.device: j.unconfirmed for j in fleet.status()}
    assert unconfirmed == {"door-1": (), "door-2": (person_id(5),)}
    second.connect()
    second.settle()
    site.refresh()
    assert topic not in first.broker.retained
    first.settle()
    assert first.equals_master()


def test_an_expired_gallery_is_still_erased_from(tmp_path: Path, site: FleetSite) -> None:
    device = device_of(site, tmp_path / "d", None)
    template = traces(device, 5)["template"]
    device.times.utc_s += 20 * DAY_S
    site.remove(5)
    site.publish()
    device.settle()
    assert device.replica.standing == "expired"
    assert template not in device.files()


def test_a_tombstone_alone_erases_nobody(tmp_path: Path, site: FleetSite) -> None:
    device = device_of(site, tmp_path / "d", KEY)
    site.remove(5)
    site.publish()
    assert device.client is not None
    tombstone = next(m for m in device.client.queue if m.topic == TOPICS.person(person_id(5)))
    device.client.queue.clear()
    device.replica.receive(tombstone)
    device.replica.receive(Message(tombstone.topic, b"", 1, True))
    device.work()
    assert device.people() == ids(*range(60))


def test_who_is_gone_is_known_after_a_crash_before_anything_is_heard_or_told(
    tmp_path: Path, site: FleetSite
) -> None:
    """What else a device keeps of people is erased by it, whenever the power was cut."""
    device = device_of(site, tmp_path / "d", KEY)
    held, removed = ids(3, 7)
    assert not any(map(device.replica.catch_up.gone, (held, removed)))
    site.remove(7)
    site.publish()
    device.settle()
    for _ in range(2):
        assert device.replica.catch_up.gone(removed)
        assert not device.replica.catch_up.gone(held)
        device.crash()


def test_nobody_is_gone_where_the_gallery_was_lost_until_the_fleet_says_so(
    tmp_path: Path, site: FleetSite
) -> None:
    device = device_of(site, tmp_path / "d", KEY)
    device.disconnect()
    device.store.close()
    device.gallery_file.unlink()
    device.start()
    assert not any(map(device.replica.catch_up.gone, ids(3, 7)))
