"""Publishing to a real broker: order, cost, interruption, and manifests of others."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from edgeface.base.errors import BrokerError, GalleryError, StateError
from edgeface.base.messages import Acknowledged, Message, Publication, Signal
from edgeface.fleet.admin.broker import Broker
from edgeface.fleet.admin.master import Master
from edgeface.fleet.protocol.bucket import bucket_number
from edgeface.fleet.protocol.record import TombstoneHeader, verify_person
from edgeface.fleet.protocol.terms import GalleryTopics, Version
from edgeface.mqtt.connection import Connection
from tests.support.broker import Witness, running_broker
from tests.support.fleet_site import (
    PASSPHRASE,
    BreakingBroker,
    FleetSite,
    clear,
    counts,
    new_site,
    person_id,
    quick_broker,
    ring_of,
    seen,
)
from tests.support.gallery import OTHER_SPACE, SPACE

TOPICS = GalleryTopics("hq")
DAY_S = 86_400


class TestPublishing:
    def test_what_is_enrolled_is_on_the_broker_after_publish(self, site: FleetSite) -> None:
        site.put({1: [1, 2], 2: [3]})
        assert not site.retained()
        published = site.publish()
        assert published.messages == {
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
        assert published.messages == {
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
        assert site.publish().messages == {}
        site.put({1: [1]})
        assert site.publish().messages == {}, "touched, but the same as before"
        before = site.retained()
        site.now_s += 3600
        assert site.refresh().messages == {"freshness": 1}
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
        assert published.messages == {"manifest": 1, "freshness": 1}
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
            changes = {"card": "77", "valid_to_s": 2e9, "display_name": None}
            master.update([person_id(1)], changes)
            with pytest.raises(GalleryError, match="no such person"):
                master.update([person_id(2)], {"card": "1"})
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
        assert isinstance(found, TombstoneHeader)

    def test_a_manifest_made_by_a_clock_that_was_wrong_is_not_sent_but_made_anew(
        self, site: FleetSite
    ) -> None:
        site.put({1: [1]})
        site.publish()
        now_s = site.now_s
        site.now_s += 3650 * 86_400
        site.put({2: [2]})
        site.connect = lambda options: BreakingBroker(options, 2, noted=True)
        with pytest.raises(BrokerError):
            site.publish()
        site.connect, site.now_s, site.synced = quick_broker, now_s, True
        with pytest.raises(GalleryError, match=r"clock was wrong.*fleet publish"):
            site.refresh()
        assert site.publish().version == Version(1, 3)
        manifest, people = seen(site)
        assert manifest.header.issued == now_s
        assert set(people) == {person_id(1), person_id(2)}
        assert site.refresh().version == Version(1, 3)

    def test_a_manifest_that_was_sent_by_a_clock_that_was_wrong_is_replaced_without_a_change(
        self, site: FleetSite
    ) -> None:
        now_s = site.now_s
        site.now_s += 3650 * 86_400
        site.put({1: [1]})
        site.publish()
        site.now_s, site.synced = now_s, True
        assert site.publish().version == Version(1, 2)
        assert seen(site)[0].header.issued == now_s

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

    @pytest.mark.parametrize("after", [0, 3], ids=["before the first", "amid records"])
    def test_a_broker_that_dies_is_told_and_the_next_publish_goes_on(
        self, tmp_path: Path, after: int
    ) -> None:
        with running_broker(tmp_path / "broker") as server:
            site = new_site(tmp_path / "site", server.port)
            site.put({number: [number] for number in range(50)})

            class Dying(Broker):
                def send_all(self, items: Any, acknowledged: Any) -> None:
                    first = [item for item, _ in zip(items, range(after), strict=False)]
                    super().send_all(first, acknowledged)
                    server.kill()
                    super().send_all(items, acknowledged)

            site.connect = lambda options: Dying(options, quiet_s=0.05)
            with pytest.raises(BrokerError):
                site.publish()
            site.connect = quick_broker
            server.start()
            with site.fleet() as fleet:
                left = len(fleet.master.ledger.outgoing())
                assert fleet.publish(lambda: PASSPHRASE).finished
                assert fleet.master.ledger.outgoing() == []
            assert left > 50 - after

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

        class Crossed(Broker):
            def send_all(self, items: Any, acknowledged: Any) -> None:
                super().send_all(items, acknowledged)
                with quick_broker(site.folder.connection()) as other:
                    strange = Publication(TOPICS.manifest, b"theirs", retain=True)
                    other.send_all([(0, strange)], lambda _: None)
                self.retained([TOPICS.base + "/nothing"])

        site.connect = lambda options: Crossed(options, quiet_s=0.15)
        with pytest.raises(GalleryError, match="somebody else"):
            site.publish()
        assert site.retained()[TOPICS.manifest] == b"theirs"

    def test_one_that_comes_together_with_the_last_acknowledgement_is_seen(
        self, site: FleetSite, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        theirs = Message(TOPICS.manifest, b"theirs", 1, retain=False)

        class Batch(Connection):
            def poll(self, timeout_s: float) -> list[Signal]:
                found = super().poll(timeout_s)
                return (
                    [*found, theirs] if any(isinstance(s, Acknowledged) for s in found) else found
                )

        monkeypatch.setattr("edgeface.mqtt.client.Connection", Batch)
        with quick_broker(site.folder.connection()) as broker:
            broker.send_all([(0, Publication("edgeface/v1/hq/x", b"ours"))], lambda _: None)
            assert broker.known(TOPICS.manifest) == b"theirs"

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
            broker.send_all(items, lambda _: None)
        with pytest.raises(GalleryError, match=r"manifest 1\.1.*--all"):
            site.publish()
        site.publish(everything=True)
        assert sorted(counts(site)) == [person_id(1), person_id(2)]
