"""Erasure with receipts, and what the administrator sees of the devices."""

from __future__ import annotations

import threading

import pytest

from edgeface.base.messages import Publication
from edgeface.contract.gallery_report import Receipt
from edgeface.contract.topics import Topics
from edgeface.fleet.protocol.bucket import bucket_number
from edgeface.fleet.protocol.framing import digest_of
from edgeface.fleet.protocol.record import TombstoneHeader, verify_person
from edgeface.fleet.protocol.terms import GalleryTopics, Version
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.options import ConnectionOptions
from edgeface.security.keys import SigningKey
from tests.support.fleet_site import (
    QUIET_S,
    FleetSite,
    counts,
    person_id,
    quick_broker,
    ring_of,
)

TOPICS = GalleryTopics("hq")
DAY_S = 86_400


class TestErasure:
    def put_and_remove(self, site: FleetSite) -> Version:
        site.put({1: [1], 2: [2]})
        site.publish()
        site.remove(1)
        return site.publish().version

    def digest(self, site: FleetSite) -> str:
        return digest_of(site.retained()[TOPICS.manifest]).hex()

    def test_a_removed_person_leaves_a_tombstone_and_an_absence(self, site: FleetSite) -> None:
        version = self.put_and_remove(site)
        assert sorted(counts(site)) == [person_id(2)]
        wire = site.retained()[TOPICS.person(person_id(1))]
        found = verify_person(wire, ring_of(site), site="hq", person_id=person_id(1))
        assert isinstance(found, TombstoneHeader)
        assert (found.epoch, found.revision) == version
        assert person_id(1).encode() not in site.folder.gallery_file.read_bytes()

    def test_the_topic_is_cleared_when_every_device_has_confirmed(self, site: FleetSite) -> None:
        site.add_device("door-1")
        site.add_device("door-2")
        version = self.put_and_remove(site)
        topic = TOPICS.person(person_id(1))
        site.report("door-1", version, self.digest(site), erased=version)
        assert site.refresh().cleared == ()
        assert topic in site.retained()
        receipt = Receipt(
            person_id=person_id(1),
            epoch=version.epoch,
            revision=version.revision,
            erased_at=site.report("door-2", version, None).reported_at,
        )
        site.report("door-2", Version(1, 1), None, receipts=(receipt,))
        assert site.refresh().cleared == (person_id(1),)
        assert topic not in site.retained()
        assert site.refresh().cleared == ()

    def test_an_earlier_confirmation_does_not_count(self, site: FleetSite) -> None:
        site.add_device("door-1")
        version = self.put_and_remove(site)
        before = Version(version.epoch, version.revision - 1)
        site.report("door-1", before, None, erased=before)
        assert site.refresh().cleared == ()

    def test_a_forged_or_unsigned_receipt_does_not_count(self, site: FleetSite) -> None:
        site.add_device("door-1")
        version = self.put_and_remove(site)
        site.report("door-1", version, None, erased=version, key=SigningKey.generate())
        assert site.refresh().cleared == ()
        with site.fleet() as fleet:
            (judged,) = fleet.status()
        assert judged.fault is not None
        assert judged.fault.startswith("unknown_key")
        assert judged.unconfirmed == (person_id(1),)

    def test_after_its_days_a_tombstone_goes_whoever_is_silent(self, site: FleetSite) -> None:
        site.add_device("door-1")
        self.put_and_remove(site)
        site.now_s += 30 * DAY_S
        assert site.refresh().cleared == (person_id(1),)
        assert TOPICS.person(person_id(1)) not in site.retained()

    def test_a_person_who_comes_back_under_the_same_id_is_not_cleared(
        self, site: FleetSite
    ) -> None:
        self.put_and_remove(site)
        site.put({1: [10]})
        site.publish()
        site.now_s += 30 * DAY_S
        assert site.refresh().cleared == ()
        assert sorted(counts(site)) == [person_id(1), person_id(2)]

    def test_an_emptied_bucket_is_cleared(self, site: FleetSite) -> None:
        self.put_and_remove(site)
        assert TOPICS.bucket(bucket_number(person_id(1))) not in site.retained()

    def test_nothing_of_the_record_stays_in_the_folder(self, site: FleetSite) -> None:
        site.put({1: [1]})
        site.publish()
        wire = site.retained()[TOPICS.person(person_id(1))]
        files = [path for path in site.path.rglob("*") if path.is_file()]
        assert any(wire[200:400] in path.read_bytes() for path in files)
        site.remove(1)
        site.publish()
        files = [path for path in site.path.rglob("*") if path.is_file()]
        assert not any(wire[200:400] in path.read_bytes() for path in files)


class TestStatus:
    def test_it_compares_every_device_with_the_master(self, site: FleetSite) -> None:
        for device in ("door-1", "door-2", "door-3"):
            site.add_device(device)
        site.put({1: [1]})
        first = site.publish().version
        first_digest = digest_of(site.retained()[TOPICS.manifest]).hex()
        fresh_until_s = site.now_s + DAY_S
        site.now_s += 60
        site.put({2: [2]})
        version = site.publish().version
        digest = digest_of(site.retained()[TOPICS.manifest]).hex()
        site.report("door-1", version, digest)
        site.report("door-2", first, first_digest)
        with quick_broker(site.folder.connection()) as broker:
            topics = Topics("hq", "door-2")
            items = [
                Publication(topics.status, b'{"status":"online","session":"00"}', retain=True),
                Publication(topics.alert("gallery_stale"), b"{}", retain=True),
            ]
            broker.send_all([(0, item) for item in items], lambda _: None)
        with site.fleet() as fleet:
            one, two, three = fleet.status()
        assert (one.lag, one.digest_agrees, one.frozen_until_s) == (0, True, None)
        assert (two.lag, two.digest_agrees) == (1, True)
        assert two.frozen_until_s == fresh_until_s + 7 * DAY_S
        assert (two.status, two.alerts) == ("online", ("gallery_stale",))
        assert (three.applied, three.lag) == (None, None)
        assert three.frozen_until_s == fresh_until_s + 7 * DAY_S

    def test_another_gallery_under_the_same_number_is_told(self, site: FleetSite) -> None:
        site.add_device("door-1")
        version = site.publish().version
        site.report("door-1", version, "ab" * 32)
        with site.fleet() as fleet:
            (judged,) = fleet.status()
        assert (judged.lag, judged.digest_agrees) == (0, False)


class TestADeviceThatNeverFallsSilent:
    def test_it_does_not_keep_the_administrator_waiting(
        self, site: FleetSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An alert that flaps, or somebody with the device's certificate; the lock of the site is
        held meanwhile, so that the next refresh could not run either."""
        monkeypatch.setattr("edgeface.fleet.admin.broker.LONGEST_S", 0.5)
        site.add_device("door-1")
        version = site.publish().version
        stop = threading.Event()

        def flap() -> None:
            connection = Connection(ConnectionOptions("127.0.0.1", site.port, "flapping"))
            connection.open()
            topic = Topics("hq", "door-1").alert("camera_stalled")
            while not stop.wait(QUIET_S / 5):
                connection.publish(Publication(topic, b"{}", qos=0, retain=True))
                connection.poll(0)
            connection.close()

        found: list[Version] = []
        flapping = threading.Thread(target=flap)
        refreshing = threading.Thread(
            target=lambda: found.append(self.refreshed(site)), daemon=True
        )
        flapping.start()
        try:
            refreshing.start()
            refreshing.join(8)
        finally:
            stop.set()
            flapping.join()
            refreshing.join(8)
        assert found == [version]

    def refreshed(self, site: FleetSite) -> Version:
        with site.fleet() as fleet:
            (judged,) = fleet.status()
        assert judged.alerts == ("camera_stalled",)
        return site.refresh().version
