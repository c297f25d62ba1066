"""The administrator's side with a real broker: publish, interrupt, refuse, remove, rekey."""

from __future__ import annotations

import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeface.errors import BrokerError, GalleryError, StateError
from edgeface.fleet.adminkeys import encryption_file, load_signing_key, make_keys
from edgeface.fleet.bucket import bucket_number, read_bucket
from edgeface.fleet.devices import registered, remove_device
from edgeface.fleet.envelope import digest_of
from edgeface.fleet.freshness import read_freshness
from edgeface.fleet.keyring import KeyRing
from edgeface.fleet.manifest import NOBODY, Manifest, read_manifest
from edgeface.fleet.master import Master, find_people
from edgeface.fleet.payload import Payload
from edgeface.fleet.position import Floor, Version
from edgeface.fleet.record import SignedRecord, Tombstone, open_record, verify_person
from edgeface.fleet.reported import Receipt
from edgeface.fleet.site import SiteFolder
from edgeface.fleet.topics import GalleryTopics
from edgeface.messaging.keys import DeviceKey
from edgeface.messaging.localbroker import LocalBroker
from edgeface.messaging.topics import Topics
from edgeface.messaging.wire import Publication
from tests.support.broker import Witness, running_broker
from tests.support.fleet_site import (
    PASSPHRASE,
    BreakingBroker,
    FleetSite,
    new_site,
    person_id,
    quick_broker,
)
from tests.support.gallery import OTHER_SPACE, SPACE

TOPICS = GalleryTopics("hq")
DAY_S = 86_400


@pytest.fixture(scope="module")
def shared_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalBroker]:
    with running_broker(tmp_path_factory.mktemp("broker")) as found:
        yield found


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is such a place: the syncs of so many commands take time."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else tmp_path) as found:
        yield Path(found)


@pytest.fixture
def site(memory: Path, shared_broker: LocalBroker) -> FleetSite:
    """A new site on an emptied broker."""
    found = new_site(memory / "site", shared_broker.port)
    clear(found)
    return found


def clear(site: FleetSite) -> None:
    with quick_broker(site.folder.connection()) as broker:
        topics = [t for t, m in broker.retained(["edgeface/#"]).items() if m.payload]
        broker.send([(0, Publication(t, b"", retain=True)) for t in topics], lambda _: None)


def ring_of(site: FleetSite) -> KeyRing:
    """As the device `door-1`, which is registered on the way."""
    bundle = site.folder.bundles / "door-1"
    if not bundle.exists():
        site.add_device("door-1")
    return KeyRing.load(bundle / "state" / "fleet")


def seen(site: FleetSite) -> tuple[Manifest, dict[str, Payload]]:
    """The gallery as a new device finds it on the broker, everything verified."""
    retained, ring = site.retained(), ring_of(site)
    manifest = read_manifest(retained[TOPICS.manifest], ring, site="hq")
    fresh = read_freshness(retained[TOPICS.freshness], manifest)
    assert fresh is not None
    fresh.check_time(site.now_s)
    people = {}
    listed = [number for number, digest in enumerate(manifest.buckets) if digest != NOBODY]
    for number in listed:
        wire = retained[TOPICS.bucket(number)]
        for entry in read_bucket(wire, manifest.buckets[number], site="hq", number=number):
            wire = retained[TOPICS.person(entry.person_id)]
            record = verify_person(wire, ring, site="hq", person_id=entry.person_id)
            assert isinstance(record, SignedRecord)
            assert (record.digest, record.version.revision) == (entry.digest, entry.revision)
            people[entry.person_id] = open_record(record, ring)
    assert len(people) == manifest.header.count
    buckets = {topic for topic in retained if TOPICS.bucket_of(topic) is not None}
    assert buckets == {TOPICS.bucket(number) for number in listed}
    return manifest, people


def counts(site: FleetSite) -> dict[str, list[int]]:
    return {person: sorted(map(len, p.templates.values())) for person, p in seen(site)[1].items()}


class TestPublishing:
    def test_what_is_enrolled_is_on_the_broker_after_publish(self, site: FleetSite) -> None:
        site.put({1: [1, 2], 2: [3]})
        assert not site.retained()
        published = site.publish()
        assert published.sent.messages == {
            "records": 2,
            "buckets": len({bucket_number(person_id(n)) for n in (1, 2)}),
            "manifest": 1,
            "freshness": 1,
        }
        manifest, people = seen(site)
        assert manifest.version == published.version == Version(1, 1)
        assert manifest.header.spaces == {SPACE: 2}
        assert people[person_id(1)].display_name == "Person 1"
        assert counts(site) == {person_id(1): [2], person_id(2): [1]}

    def test_the_order_is_records_buckets_manifest_freshness(self, site: FleetSite) -> None:
        site.put({number: [number] for number in range(5)})
        with Witness(site.port, f"{TOPICS.base}/#") as witness:
            site.publish()
            witness.wait_on(TOPICS.freshness, 1)
            kinds = [
                item.topic.removeprefix(TOPICS.base).split("/")[1] for item in witness.arrivals
            ]
        order = ["person", "bucket", "manifest", "freshness"]
        assert [order.index(kind) for kind in kinds] == sorted(order.index(kind) for kind in kinds)
        assert set(kinds) == set(order)

    def test_a_change_costs_its_record_and_its_bucket(self, site: FleetSite) -> None:
        site.put({number: [number] for number in range(30)})
        site.publish()
        before = site.retained()
        site.put({7: [7, 70]})
        published = site.publish()
        assert published.sent.messages == {
            "records": 1,
            "buckets": 1,
            "manifest": 1,
            "freshness": 1,
        }
        after = site.retained()
        changed = {topic for topic in after if after[topic] != before.get(topic)}
        assert len(changed) == 4
        assert counts(site)[person_id(7)] == [2]

    def test_without_changes_only_freshness_is_sent_by_refresh(self, site: FleetSite) -> None:
        site.put({1: [1]})
        site.publish()
        assert site.publish().sent.messages == {}
        site.put({1: [1]})
        assert site.publish().staged is None, "touched, but the same as before"
        before = site.retained()
        site.now_s += 3600
        assert site.refresh().sent.messages == {"freshness": 1}
        after = site.retained()
        assert {topic for topic in after if after[topic] != before[topic]} == {TOPICS.freshness}

    def test_a_gallery_of_nobody_can_be_published(self, site: FleetSite) -> None:
        site.publish()
        assert seen(site)[1] == {}

    def test_refresh_needs_something_published(self, site: FleetSite) -> None:
        with pytest.raises(GalleryError, match="nothing has been published"):
            site.refresh()

    def test_a_manifest_is_renewed_before_it_ends(self, site: FleetSite) -> None:
        site.put({1: [1]})
        site.publish()
        site.now_s += 200 * DAY_S
        published = site.publish()
        assert published.staged is not None
        assert published.sent.messages == {"manifest": 1, "freshness": 1}
        with site.fleet() as fleet:
            assert fleet.manifest_expires_s() == site.now_s + 365 * DAY_S

    def test_a_rehearsal_changes_nothing(self, site: FleetSite) -> None:
        site.put({1: [1]})
        with site.fleet() as fleet:
            draft = fleet.rehearse()
        assert [(change.kind, change.person_id) for change in draft.changes] == [
            ("new", person_id(1))
        ]
        assert not site.retained()
        assert site.publish().version == Version(1, 1)

    def test_people_without_templates_are_not_published(self, site: FleetSite) -> None:
        site.put({1: [], 2: [2]})
        with site.fleet() as fleet:
            assert fleet.rehearse().without_templates == (person_id(1),)
        site.publish()
        assert counts(site) == {person_id(2): [1]}

    def test_two_models_may_coexist_but_not_three(self, site: FleetSite) -> None:
        site.put({1: [1], 2: [2]})
        site.put({1: [11]}, OTHER_SPACE)
        site.publish()
        manifest, people = seen(site)
        assert manifest.header.spaces == {SPACE: 2, OTHER_SPACE: 1}
        assert sorted(people[person_id(1)].templates) == [SPACE, OTHER_SPACE]
        site.put({1: [1]}, "7" * 64)
        with pytest.raises(GalleryError, match="--forget"):
            site.publish()
        with Master(site.folder) as master:
            assert master.forget_space(SPACE) == 2
        site.publish()
        assert counts(site) == {person_id(1): [1, 1]}

    def test_name_validity_and_card_are_published(self, site: FleetSite) -> None:
        site.put({1: [1]})
        site.publish()
        with Master(site.folder) as master:
            master.update(person_id(1), card="77", valid_to_s=2e9, display_name=None)
            with pytest.raises(GalleryError, match="no such person"):
                master.update(person_id(2), card="1")
        site.publish()
        payload = seen(site)[1][person_id(1)]
        assert (payload.card, payload.valid_to_s, payload.display_name) == ("77", 2e9, None)


class TestInterruption:
    @pytest.mark.parametrize(
        ("after", "noted"),
        [
            pytest.param(0, False, id="before the first record"),
            pytest.param(3, True, id="amid records"),
            pytest.param(3, False, id="amid records, none noted"),
            pytest.param(8, False, id="amid buckets"),
            pytest.param(12, False, id="after the manifest"),
            pytest.param(13, True, id="before clearing"),
        ],
    )
    def test_the_next_publish_finishes_an_interrupted_one(
        self, site: FleetSite, after: int, noted: bool
    ) -> None:
        site.put({number: [number] for number in range(3)})
        site.publish()
        site.put({number: [number, 100 + number] for number in range(1, 6)})
        site.remove(0)
        site.connect = lambda options: BreakingBroker(options, after, noted=noted)
        with pytest.raises(BrokerError, match="power"):
            site.publish()
        site.connect = quick_broker
        site.put({9: [9]})
        published = site.publish()
        assert published.finished
        assert published.version == Version(1, 3)
        assert counts(site) == {person_id(n): [2] for n in range(1, 6)} | {person_id(9): [1]}
        tombstone = site.retained()[TOPICS.person(person_id(0))]
        found = verify_person(tombstone, ring_of(site), site="hq", person_id=person_id(0))
        assert isinstance(found, Tombstone)

    def test_refresh_finishes_it_too_and_sends_the_same_bytes(self, site: FleetSite) -> None:
        site.put({1: [1], 2: [2]})
        with Witness(site.port, f"{TOPICS.base}/person/+") as witness:
            site.connect = lambda options: BreakingBroker(options, 1, noted=False)
            with pytest.raises(BrokerError):
                site.publish()
            site.connect = quick_broker
            assert site.refresh().finished
            first, second = witness.wait_on(TOPICS.person(person_id(1)), 2)
        assert first.message.payload == second.message.payload
        assert counts(site) == {person_id(1): [1], person_id(2): [1]}

    def test_an_unreachable_broker_changes_nothing(self, tmp_path: Path) -> None:
        site = new_site(tmp_path / "site", 1)
        site.put({1: [1]})
        with pytest.raises(BrokerError):
            site.publish()
        with site.fleet() as fleet:
            assert fleet.master.ledger.state().version == Version(1, 0)

    def test_one_command_at_a_time_works_on_a_site(self, site: FleetSite) -> None:
        with Master(site.folder), pytest.raises(StateError, match="another"):
            site.publish()
        site.publish()


class TestForeignManifests:
    def test_a_manifest_of_somebody_else_is_not_replaced(
        self, site: FleetSite, tmp_path: Path
    ) -> None:
        other = new_site(tmp_path / "other", site.port)
        other.put({5: [5]})
        other.publish()
        before = site.retained()
        site.put({1: [1]})
        with pytest.raises(GalleryError, match="somebody else"):
            site.publish()
        assert site.retained() == before

    def test_an_old_copy_of_the_folder_does_not_publish(
        self, site: FleetSite, tmp_path: Path
    ) -> None:
        site.put({1: [1]})
        site.publish()
        copy = FleetSite(Path(shutil.copytree(site.path, tmp_path / "copy")), site.port)
        site.put({2: [2]})
        site.publish()
        copy.put({3: [3]})
        with pytest.raises(GalleryError, match="old copy"):
            copy.publish()
        with pytest.raises(GalleryError, match="old copy"):
            copy.refresh()
        assert sorted(counts(site)) == [person_id(1), person_id(2)]

    def test_one_that_appears_while_records_are_sent_stops_it(self, site: FleetSite) -> None:
        site.put({1: [1]})

        class Crossed(type(quick_broker(site.folder.connection()))):  # type: ignore[misc]
            def send(self, items: Any, acknowledged: Any) -> None:
                super().send(items, acknowledged)
                with quick_broker(site.folder.connection()) as other:
                    strange = Publication(TOPICS.manifest, b"theirs", retain=True)
                    other.send([(0, strange)], lambda _: None)
                self.retained([TOPICS.base + "/nothing"])

        site.connect = lambda options: Crossed(options, quiet_s=0.15)
        with pytest.raises(GalleryError, match="somebody else"):
            site.publish()
        assert site.retained()[TOPICS.manifest] == b"theirs"

    def test_a_broker_that_lost_everything_gets_the_same_bytes_again(self, site: FleetSite) -> None:
        site.put({number: [number] for number in range(4)})
        site.publish()
        site.remove(3)
        site.publish()
        before = site.retained()
        clear(site)
        with pytest.raises(GalleryError, match="--all"):
            site.publish()
        with pytest.raises(GalleryError, match="--all"):
            site.refresh()
        site.publish(everything=True)
        after = site.retained()
        assert {t: w for t, w in after.items() if t != TOPICS.freshness} == {
            t: w for t, w in before.items() if t != TOPICS.freshness
        }

    def test_a_broker_restored_from_a_copy_is_repaired(self, site: FleetSite) -> None:
        site.put({1: [1]})
        site.publish()
        old = site.retained()
        site.put({2: [2]})
        site.publish()
        clear(site)
        with quick_broker(site.folder.connection()) as broker:
            items = [(0, Publication(topic, wire, retain=True)) for topic, wire in old.items()]
            broker.send(items, lambda _: None)
        with pytest.raises(GalleryError, match=r"manifest 1\.1.*--all"):
            site.publish()
        site.publish(everything=True)
        assert sorted(counts(site)) == [person_id(1), person_id(2)]


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
        assert isinstance(found, Tombstone)
        assert found.version == version
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
        site.report("door-1", version, None, erased=version, key=DeviceKey.generate())
        assert site.refresh().cleared == ()
        with site.fleet() as fleet:
            (judged,) = fleet.status()
        assert judged.standing.fault is not None
        assert judged.standing.fault.startswith("unknown_key")
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
            broker.send([(0, item) for item in items], lambda _: None)
        with site.fleet() as fleet:
            one, two, three = fleet.status()
        assert (one.lag, one.digest_agrees, one.frozen_until_s) == (0, True, None)
        assert (two.lag, two.digest_agrees) == (1, True)
        assert two.frozen_until_s == fresh_until_s + 7 * DAY_S
        assert (two.standing.status, two.standing.alerts) == ("online", ("gallery_stale",))
        assert (three.applied, three.lag) == (None, None)
        assert three.frozen_until_s == fresh_until_s + 7 * DAY_S

    def test_another_gallery_under_the_same_number_is_told(self, site: FleetSite) -> None:
        site.add_device("door-1")
        version = site.publish().version
        site.report("door-1", version, "ab" * 32)
        with site.fleet() as fleet:
            (judged,) = fleet.status()
        assert (judged.lag, judged.digest_agrees) == (0, False)


class TestKeys:
    def test_keys_and_galleries_are_for_the_owner_alone(self, site: FleetSite) -> None:
        site.add_device("door-1")
        private = [
            path
            for path in site.path.rglob("*")
            if path.is_file() and (path.suffix == ".key" or path.suffix == ".sqlite")
        ]
        assert len(private) == 4 + 2 + 2
        assert {stat.S_IMODE(path.stat().st_mode) for path in private} == {0o600}

    def test_the_administrators_key_needs_its_passphrase(self, site: FleetSite) -> None:
        site.put({1: [1]})
        with site.fleet() as fleet, pytest.raises(GalleryError, match="passphrase"):
            fleet.publish(lambda: b"wrong horse")
        assert not site.retained()
        (path,) = site.folder.keys.glob("administrator-*.key")
        assert load_signing_key(path, PASSPHRASE).kid in path.name
        path.chmod(0o644)
        with pytest.raises(StateError, match="chmod 600"):
            load_signing_key(path, PASSPHRASE)
        with pytest.raises(GalleryError, match="shorter"):
            make_keys(site.folder.keys, b"short")

    def test_a_bundle_holds_what_the_device_needs_and_no_more(self, site: FleetSite) -> None:
        site.publish()
        bundle = site.add_device("door-1")
        names = sorted(
            str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file()
        )
        kinds = [name.split("-")[0] for name in names]
        assert kinds == [
            "README.txt",
            "conf.d/30",
            "state/device.key",
            "state/device.key.pub",
            "state/fleet/administrator",
            "state/fleet/encryption",
            "state/fleet/floor.json",
        ]
        assert "source: fleet" in (bundle / "conf.d" / "30-device.yaml").read_text()
        key = DeviceKey.load(bundle / "state" / "device.key")
        assert registered(site.folder)["door-1"].kid == key.kid
        floor = Floor.load(bundle / "state" / "fleet" / "floor.json")
        assert floor.version == Version(1, 1)
        with pytest.raises(StateError, match="there already"):
            site.add_device("door-1")
        remove_device(site.folder, "door-1")
        assert registered(site.folder) == {}
        assert not bundle.exists()
        with pytest.raises(GalleryError, match="no such device"):
            remove_device(site.folder, "door-1")

    def test_a_site_is_not_made_twice(self, site: FleetSite) -> None:
        with pytest.raises(StateError, match="there already"):
            new_site(site.path, site.port)
        with pytest.raises(GalleryError, match="fleet init"):
            SiteFolder.open(site.path / "nowhere")


class TestRekey:
    def test_both_keys_hold_until_the_old_ones_are_dropped(self, site: FleetSite) -> None:
        site.put({1: [1], 2: [2], 3: [3]})
        site.publish()
        site.remove(3)
        site.publish()
        old_ring = ring_of(site)
        bundle = site.folder.bundles / "door-1" / "state" / "fleet"
        before = site.retained()
        floor = Floor.load(bundle / "floor.json")
        with site.fleet() as fleet:
            keys = fleet.prepare_rekey(lambda: b"battery staple")
            with pytest.raises(GalleryError, match="prepared already"):
                fleet.prepare_rekey(lambda: b"battery staple")
        assert site.retained() == before
        both = KeyRing.load(bundle)
        assert both.administrators == old_ring.administrators | {keys.signing}
        site.put({4: [4]})
        with site.fleet() as fleet:
            with pytest.raises(GalleryError, match="passphrase"):
                fleet.rekey(lambda: PASSPHRASE)
            published = fleet.rekey(lambda: b"battery staple")
        assert published.version == Version(2, 3)
        manifest, people = seen(site)
        assert sorted(people) == [person_id(n) for n in (1, 2, 4)]
        assert manifest.signing_key == keys.signing
        assert floor.admit(manifest)
        after = site.retained()
        assert all(before[topic] != after[topic] for topic in before if "/bucket/" not in topic)
        with site.fleet() as fleet:
            fleet.drop_old_keys()
            with pytest.raises(GalleryError, match="no old keys"):
                fleet.drop_old_keys()
        assert KeyRing.load(bundle).administrators == {keys.signing}
        assert len(list(site.folder.keys.glob("administrator-*"))) == 2
        assert encryption_file(site.folder.keys, keys.encryption).exists()
        site.put({5: [5]})
        with site.fleet() as fleet:
            fleet.publish(lambda: b"battery staple")
        assert person_id(5) in counts(site)
        assert Floor.load(bundle / "floor.json").retired == tuple(sorted(old_ring.administrators))

    @pytest.mark.parametrize("after", [0, 2, 5])
    def test_an_interrupted_rekey_is_finished_by_the_next_publish(
        self, site: FleetSite, after: int
    ) -> None:
        site.put({1: [1], 2: [2]})
        site.publish()
        with site.fleet() as fleet:
            fleet.prepare_rekey(lambda: b"battery staple")
        site.connect = lambda options: BreakingBroker(options, after, noted=False)
        with site.fleet() as fleet, pytest.raises(BrokerError):
            fleet.rekey(lambda: b"battery staple")
        site.connect = quick_broker
        with site.fleet() as fleet:
            with pytest.raises(GalleryError, match="not finished"):
                fleet.drop_old_keys()
            assert fleet.publish(lambda: b"battery staple").finished
        assert counts(site) == {person_id(1): [1], person_id(2): [1]}

    def test_it_needs_prepared_keys(self, site: FleetSite) -> None:
        with site.fleet() as fleet, pytest.raises(GalleryError, match="--prepare"):
            fleet.rekey(lambda: PASSPHRASE)


def test_people_are_found_by_id_or_whole_name(site: FleetSite) -> None:
    site.put({1: [1], 2: [2]})
    with Master(site.folder) as master:
        master.update(person_id(2), display_name="Ann")
        assert find_people(master.store, ["Ann", person_id(1), "Ann"]) == [
            person_id(2),
            person_id(1),
        ]
        with pytest.raises(GalleryError, match="no such person"):
            find_people(master.store, ["An"])
        master.update(person_id(1), display_name="Ann")
        with pytest.raises(GalleryError, match="2 people"):
            find_people(master.store, ["Ann"])


def test_faults_of_the_settings_are_told_with_their_lines(site: FleetSite) -> None:
    file = site.path / "site.yaml"
    file.write_text(file.read_text() + "tombstone_days: 0\nfreshness: 3\n")
    with pytest.raises(ValueError, match="tombstone_days") as caught:
        SiteFolder.open(site.path)
    lines = str(caught.value).splitlines()
    assert [line.split("site.yaml:")[1].split(":")[0] for line in lines] == ["6", "7"]
    assert json.dumps(lines[1]).endswith('freshness: is not a known key"')
