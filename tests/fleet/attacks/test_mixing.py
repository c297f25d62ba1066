"""Somebody who owns the broker mixes, cuts and withholds: nobody's gallery changes but for what is
withheld, which is bounded and seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeface.base.messages import Message
from edgeface.fleet.admin import staging
from edgeface.fleet.protocol.bucket import bucket_number, encode_bucket, read_bucket
from edgeface.fleet.protocol.framing import digest_of
from edgeface.fleet.protocol.terms import Version
from edgeface.security.keys import SigningKey
from tests.support.fleet_device import DAY_S, GRACE_S, PEOPLE, FleetDevice, Times, ids, memory_site
from tests.support.fleet_site import PASSPHRASE, FleetSite, person_id
from tests.support.gallery import OTHER_SPACE, SPACE
from tests.support.mallory import (
    TOPICS,
    current,
    forged_manifest,
    insert,
    unharmed,
)
from tests.support.memory_broker import MemoryBroker


class TestMixAndMatch:
    def test_a_second_site_of_the_same_administrators(
        self, device: FleetDevice, tmp_path: Path
    ) -> None:
        annexe = MemoryBroker()
        other = memory_site(tmp_path / "annexe", annexe, site="annexe")
        other.put({1: [666], 9: [666]})
        other.publish()
        for topic, message in annexe.retained.items():
            moved = topic.replace("/annexe/", "/hq/")
            device.broker.put(Message(moved, message.payload, 1, retain=True))
        device.settle(8)
        assert set(device.refusals().values()) <= {"foreign_site"}
        assert device.refusals()["manifest"] == "foreign_site"
        assert unharmed(device)

    def test_people_whose_records_are_swapped(self, device: FleetDevice) -> None:
        one, two = (TOPICS.person(person_id(number)) for number in (1, 2))
        first, second = device.broker.retained[one].payload, device.broker.retained[two].payload
        insert(device, one, second)
        insert(device, two, first)
        assert set(device.refusals().values()) == {"wrong_topic"}
        assert unharmed(device)

    def test_buckets_that_are_swapped(self, device: FleetDevice) -> None:
        one, two = (TOPICS.bucket(bucket_number(person_id(number))) for number in (1, 2))
        first, second = device.broker.retained[one].payload, device.broker.retained[two].payload
        insert(device, one, second)
        insert(device, two, first)
        assert set(device.refusals().values()) == {"wrong_topic"}
        assert unharmed(device)

    def test_a_bucket_with_somebody_more(self, device: FleetDevice) -> None:
        number = bucket_number(person_id(1))
        wire = device.broker.retained[TOPICS.bucket(number)].payload
        entries = read_bucket(wire, digest_of(wire), site="hq", number=number)
        insert(device, TOPICS.bucket(number), encode_bucket("hq", number, entries[1:]))
        assert unharmed(device)

    def test_messages_on_topics_of_another_kind(self, device: FleetDevice) -> None:
        kept = dict(device.broker.retained)
        for topic, message in kept.items():
            for other in (TOPICS.manifest, TOPICS.freshness, TOPICS.bucket(7)):
                if topic != other:
                    device.replica.receive(Message(other, message.payload, 1, retain=True))
        device.settle(8)
        assert set(device.refusals().values()) <= {"malformed", "wrong_topic", "oversized"}
        assert unharmed(device)


class TestTruncate:
    @pytest.mark.parametrize("keep", [0.01, 0.5, 0.99])
    def test_every_message_cut_off(self, device: FleetDevice, keep: float) -> None:
        for topic, message in list(device.broker.retained.items()):
            if topic.startswith(TOPICS.base):
                part = message.payload[: max(1, int(len(message.payload) * keep))]
                device.broker.put(Message(topic, part, 1, retain=True))
        device.settle(8)
        assert set(device.refusals().values()) <= {"malformed", "bad_signature"}
        assert unharmed(device)

    def test_messages_larger_than_any(self, device: FleetDevice) -> None:
        for topic in list(device.broker.retained):
            if topic.startswith(TOPICS.base):
                device.broker.put(Message(topic, b"EFG1" + bytes(600_000), 1, retain=True))
        device.settle(8)
        assert set(device.refusals().values()) == {"oversized"}
        assert unharmed(device)


class TestFreeze:
    def test_withholding_an_erasure_ends_with_the_freshness_and_its_grace(
        self, device: FleetDevice, site: FleetSite
    ) -> None:
        device.disconnect()
        frozen = MemoryBroker()
        for message in list(device.broker.retained.values()):
            frozen.put(message)
        device.broker = frozen
        device.connect()
        device.settle()
        site.remove(1)
        site.publish()
        with site.fleet() as fleet:
            (judged,) = fleet.status()
        end_s = judged.frozen_until_s
        assert judged.unconfirmed == (person_id(1),)
        assert end_s is not None
        assert end_s <= site.now_s + DAY_S + GRACE_S
        device.times.utc_s = end_s - 1
        device.work()
        assert person_id(1) in device.people()
        assert device.replica.standing == "stale"
        device.times.utc_s = end_s
        device.settle(4)
        assert device.people() == ()
        assert device.replica.standing == "expired"

    def test_setting_the_clock_back_does_not_prolong_it(self, device: FleetDevice) -> None:
        end_s = device.replica.trusted.good_until_s
        assert end_s is not None
        device.times.reached(end_s)
        device.times.utc_s = 0.0
        device.settle(4)
        assert device.people() == ()

    def test_a_new_device_on_a_frozen_broker_is_bounded_as_well(
        self, tmp_path: Path, site: FleetSite, broker: MemoryBroker
    ) -> None:
        del broker.retained[TOPICS.freshness]
        found = FleetDevice(tmp_path / "n", site, broker, Times(site.now_s + 1), name="door-2")
        found.connect()
        found.settle()
        assert found.replica.standing == "stale"
        found.times.utc_s = site.now_s + GRACE_S
        found.settle(4)
        assert found.people() == ()

    def test_withholding_one_record_is_seen(self, device: FleetDevice, site: FleetSite) -> None:
        site.put({1: [11]})
        site.publish()
        assert device.client is not None
        held_back = TOPICS.person(person_id(1))
        device.client.queue = type(device.client.queue)(
            message for message in device.client.queue if message.topic != held_back
        )
        del device.broker.retained[held_back]
        device.settle()
        assert device.people() == ids(2, 3), "the replaced one counts no longer"
        assert device.reported().missing == 1
        assert device.reported().standing == "catching_up"


class TestKeys:
    def test_after_a_rekey_the_old_key_begins_no_epoch(
        self, device: FleetDevice, site: FleetSite
    ) -> None:
        old = current(device).signing_key
        with site.fleet() as fleet:
            fleet.prepare_rekey(lambda: PASSPHRASE)
        device.provision()
        device.crash()
        device.connect()
        with site.fleet() as fleet:
            fleet.rekey(lambda: PASSPHRASE)
        device.settle()
        assert device.equals_master()
        (path,) = site.folder.keys.glob(f"administrator-{old}.key")
        stolen = SigningKey.load(path, PASSPHRASE)
        insert(device, TOPICS.manifest, forged_manifest(device, Version(3, 1), None, stolen))
        assert device.refusals()["manifest"] == "unknown_key"
        assert unharmed(device)

    def test_records_of_a_key_that_the_device_lacks_are_not_taken(
        self, device: FleetDevice, site: FleetSite
    ) -> None:
        with site.fleet() as fleet:
            fleet.prepare_rekey(lambda: PASSPHRASE)
            fleet.rekey(lambda: PASSPHRASE)
        device.settle()
        assert device.refusals()["manifest"] == "unknown_key"
        assert device.people() == ids(*PEOPLE)


def test_templates_of_a_space_that_the_manifest_does_not_name(
    device: FleetDevice, site: FleetSite
) -> None:
    """Only an administrator could do this, by mistake; it is refused all the same."""
    original = staging.encode_manifest
    try:
        staging.encode_manifest = lambda **fields: original(  # type: ignore[assignment]
            **{**fields, "spaces": {SPACE: 4}}
        )
        site.put({5: [5]}, OTHER_SPACE)
        site.publish()
    finally:
        staging.encode_manifest = original
    device.settle(20)
    assert device.refusals() == {person_id(5): "foreign_space"}
    assert device.people() == ids(*PEOPLE)
