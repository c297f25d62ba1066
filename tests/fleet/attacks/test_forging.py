"""Somebody who owns the broker, and even keys of other kinds, forges and replays: nobody's gallery
changes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeface.base.errors import GalleryError
from edgeface.base.messages import Message
from edgeface.fleet.admin.site import key_file
from edgeface.fleet.protocol.bucket import Entry, bucket_number, encode_bucket
from edgeface.fleet.protocol.framing import digest_of
from edgeface.fleet.protocol.keyring import encryption_key_id
from edgeface.fleet.protocol.manifest import NOBODY, encode_freshness
from edgeface.fleet.protocol.record import encode_record, encode_tombstone
from edgeface.fleet.protocol.terms import Version
from edgeface.security.keys import SigningKey
from tests.support.fleet_device import DAY_S, PEOPLE, FleetDevice, ids
from tests.support.fleet_site import FleetSite, person_id
from tests.support.gallery import direction
from tests.support.mallory import (
    MALLORY,
    PAYLOAD,
    TOPICS,
    Impostor,
    current,
    fleet_key,
    forged_manifest,
    insert,
    unharmed,
)
from tests.support.memory_broker import MemoryBroker


class TestForge:
    @pytest.mark.parametrize("number", [pytest.param(1, id="known"), pytest.param(9, id="new")])
    def test_a_record_of_a_key_that_is_not_pinned(self, device: FleetDevice, number: int) -> None:
        wire = encode_record(
            PAYLOAD,
            site="hq",
            person_id=person_id(number),
            version=Version(1, 2),
            encryption_key=fleet_key(device),
            signer=MALLORY,
        )
        insert(device, TOPICS.person(person_id(number)), wire)
        assert device.refusals() == {person_id(number): "unknown_key"}
        assert unharmed(device)

    def test_a_record_that_names_a_pinned_key_but_is_signed_by_another(
        self, device: FleetDevice
    ) -> None:
        wire = encode_record(
            PAYLOAD,
            site="hq",
            person_id=person_id(9),
            version=Version(1, 2),
            encryption_key=fleet_key(device),
            signer=Impostor(current(device).signing_key),
        )
        insert(device, TOPICS.person(person_id(9)), wire)
        assert device.refusals() == {person_id(9): "bad_signature"}
        assert unharmed(device)

    @pytest.mark.parametrize("named", [pytest.param(False, id="own"), pytest.param(True, id="as")])
    def test_a_manifest_with_a_bucket_and_a_record_of_their_own(
        self, device: FleetDevice, named: bool
    ) -> None:
        signer = Impostor(current(device).signing_key) if named else MALLORY
        record = encode_record(
            PAYLOAD,
            site="hq",
            person_id=person_id(9),
            version=Version(1, 2),
            encryption_key=fleet_key(device),
            signer=signer,
        )
        number = bucket_number(person_id(9))
        bucket = encode_bucket("hq", number, [Entry(person_id(9), 2, digest_of(record))])
        buckets = [NOBODY] * 256
        buckets[number] = digest_of(bucket)
        manifest = forged_manifest(device, Version(1, 2), buckets, signer)
        insert(device, TOPICS.person(person_id(9)), record)
        insert(device, TOPICS.bucket(number), bucket)
        insert(device, TOPICS.manifest, manifest)
        assert device.refusals()["manifest"] == ("bad_signature" if named else "unknown_key")
        assert unharmed(device)

    def test_a_header_does_not_steer_the_terminal_of_who_reads_the_report(
        self, device: FleetDevice
    ) -> None:
        """Its text is read before any signature can be checked."""
        for spaces in ({"\x1b]0;owned\x07\n<3>forged": -1}, {"\U0001f600" * 900: -1}):
            header = {
                "type": "manifest", "version": 1, "site": "hq", "epoch": 9, "revision": 9,
                "issued": 1, "expires": 2, "count": 0, "spaces": spaces,
                "freshness_key": "A" * 43 + "=", "signing_key": "0" * 16,
            }  # fmt: skip
            content = json.dumps(header, ensure_ascii=False).encode()
            start = b"EFG1" + len(content).to_bytes(2, "big") + content
            insert(device, TOPICS.manifest, start + bytes(256 * 32 + 64))
            refusal = device.replica.refusals.listed[-1]
            assert refusal.reason == "malformed"
            assert "spaces." in refusal.detail
            assert refusal.detail.isprintable()
            assert len(refusal.detail.encode()) <= 500
        assert unharmed(device)

    def test_the_freshness_key_signs_neither_manifests_nor_records(
        self, device: FleetDevice, site: FleetSite
    ) -> None:
        (path,) = site.folder.keys.glob("freshness-*.key")
        stolen = SigningKey.load(path)
        assert path == key_file(site.folder.keys, "freshness", stolen.kid)
        insert(device, TOPICS.manifest, forged_manifest(device, Version(1, 2), None, stolen))
        wire = encode_tombstone(
            site="hq", person_id=person_id(1), version=Version(1, 1), signer=stolen
        )
        insert(device, TOPICS.person(person_id(1)), wire)
        assert device.refusals() == {"manifest": "unknown_key", person_id(1): "unknown_key"}
        assert unharmed(device)

    def test_a_stolen_fleet_key_signs_nothing(self, device: FleetDevice) -> None:
        key = fleet_key(device)
        assert encryption_key_id(key) in str(list((device.path / "fleet").iterdir()))
        wire = device.broker.retained[TOPICS.person(person_id(1))].payload
        insert(device, TOPICS.person(person_id(1)), wire[:-64] + bytes(64))
        assert device.refusals() == {person_id(1): "bad_signature"}
        assert unharmed(device)

    def test_freshness_signed_by_another_key(self, device: FleetDevice) -> None:
        until_s = device.replica.trusted.fresh_until_s
        manifest = current(device)
        now_s = int(device.times.utc_s)
        for signer, reason in (
            (MALLORY, "unknown_key"),
            (Impostor(manifest.freshness_key.kid), "bad_signature"),
        ):
            wire = encode_freshness(
                manifest, issued_s=now_s, expires_s=now_s + 30 * DAY_S, signer=signer
            )
            insert(device, TOPICS.freshness, wire)
            assert device.refusals()["freshness"] == reason
        assert device.replica.trusted.fresh_until_s == until_s


class TestReplay:
    def test_the_record_of_somebody_erased(self, device: FleetDevice, site: FleetSite) -> None:
        old = dict(device.broker.retained)
        site.remove(1)
        site.publish()
        device.settle()
        insert(device, TOPICS.person(person_id(1)), old[TOPICS.person(person_id(1))].payload)
        assert device.refusals() == {person_id(1): "wrong_digest"}
        assert unharmed(device, 2, 3)

    def test_a_record_that_was_replaced(self, device: FleetDevice, site: FleetSite) -> None:
        old = device.broker.retained[TOPICS.person(person_id(1))]
        site.put({1: [11]})
        site.publish()
        device.settle()
        insert(device, old.topic, old.payload)
        assert device.refusals() == {person_id(1): "rollback"}
        assert float((device.replica.index.matrix @ direction(1)).max()) < 0.9
        assert unharmed(device)

    def test_a_tombstone_of_somebody_who_was_enrolled_again(
        self, device: FleetDevice, site: FleetSite
    ) -> None:
        site.remove(1)
        site.publish()
        tombstone = device.broker.retained[TOPICS.person(person_id(1))]
        device.settle()
        site.put({1: [1]})
        site.publish()
        device.settle()
        insert(device, tombstone.topic, tombstone.payload)
        assert device.refusals() == {person_id(1): "rollback"}
        assert device.people() == ids(*PEOPLE)

    @pytest.mark.parametrize("what", ["manifest", "freshness", "person", "bucket", "all"])
    def test_rolling_back_to_before_an_erasure(
        self, device: FleetDevice, site: FleetSite, what: str
    ) -> None:
        old = dict(device.broker.retained)
        site.remove(1)
        site.publish()
        device.settle()
        assert device.equals_master()
        for topic, message in old.items():
            if what == "all" or what in topic.removeprefix(TOPICS.base):
                device.broker.put(message)
        device.settle(8)
        assert unharmed(device, 2, 3)
        if what in ("manifest", "all"):
            assert device.refusals()["manifest"] == "rollback"

    def test_two_manifests_with_one_number(
        self, device: FleetDevice, site: FleetSite, tmp_path: Path
    ) -> None:
        shutil.copytree(site.path, tmp_path / "copy")
        site.remove(1)
        site.publish()
        device.settle()
        assert device.equals_master()
        honest = device.broker.retained[TOPICS.manifest]
        other = MemoryBroker()
        twin = FleetSite(tmp_path / "copy", 1883, site.now_s, other.administrator)
        twin.put({5: [5]})
        twin.publish(everything=True)
        for message in other.retained.values():
            device.broker.put(message)
        device.settle(8)
        assert device.refusals()["manifest"] == "equivocation"
        assert "the first is kept" in str(device.replica.trouble)
        assert unharmed(device, 2, 3)
        with pytest.raises(GalleryError, match="somebody else publishes"):
            site.publish()
        device.broker.put(honest)
        site.put({8: [8]})
        site.publish(everything=True)
        device.settle()
        assert device.replica.trouble is None
        assert device.people() == ids(2, 3, 8)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_byte_of_any_message_can_be_changed(device: FleetDevice, data: st.DataObject) -> None:
    topics = sorted(t for t in device.broker.retained if t.startswith(TOPICS.base))
    topic = data.draw(st.sampled_from(topics))
    wire = bytearray(device.broker.retained[topic].payload)
    wire[data.draw(st.integers(0, len(wire) - 1))] ^= data.draw(st.integers(1, 255))
    device.replica.receive(Message(topic, bytes(wire), 1, retain=True))
    device.work()
    assert device.people() == ids(*PEOPLE)
    assert device.replica.catch_up.applied.digest == current(device).digest
