"""What a device trusts is loaded in one order: manifest, freshness, buckets, records."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeface.fleet.device.tables import FleetTables
from edgeface.fleet.device.trusted import Trusted, load_provision
from edgeface.fleet.protocol.bucket import bucket_number
from edgeface.fleet.protocol.record import SignedRecord
from edgeface.fleet.protocol.terms import RefusedError
from edgeface.gallery.store import GalleryStore
from tests.support.fleet_device import GRACE_S, published
from tests.support.fleet_site import FleetSite, person_id
from tests.support.gallery import KEY
from tests.support.memory_broker import MemoryBroker

NUMBER = bucket_number(person_id(1))


@pytest.fixture
def site(tmp_path: Path, broker: MemoryBroker) -> FleetSite:
    return published(tmp_path / "site", broker)


@pytest.fixture
def trusted(tmp_path: Path, site: FleetSite) -> Trusted:
    bundle = site.add_device("door-1")
    provision = load_provision(bundle / "state" / "fleet", tmp_path / "floor.json")
    tables = FleetTables(GalleryStore(tmp_path / "gallery.sqlite", KEY))
    return Trusted("hq", provision, GRACE_S, tables)


def wire(site: FleetSite, broker: MemoryBroker, topic: str) -> bytes:
    return broker.retained[f"{site.topics.base}/{topic}"].payload


def test_nothing_counts_before_the_manifest(
    trusted: Trusted, site: FleetSite, broker: MemoryBroker
) -> None:
    topic = f"person/{person_id(1)}"
    assert not trusted.load_freshness(wire(site, broker, "freshness"), site.now_s)
    assert trusted.load_bucket(NUMBER, wire(site, broker, f"bucket/{NUMBER:02x}")) is None
    record = trusted.verify_person(person_id(1), wire(site, broker, topic))
    assert isinstance(record, SignedRecord)
    assert trusted.load_record(record) == "early"
    assert not trusted.good(site.now_s)


def test_then_each_is_taken_in_its_turn(
    trusted: Trusted, site: FleetSite, broker: MemoryBroker
) -> None:
    manifest = wire(site, broker, "manifest")
    assert trusted.load_manifest(manifest, site.now_s)
    assert not trusted.load_manifest(manifest, site.now_s), "it is trusted already"
    assert trusted.new_manifest == manifest
    assert trusted.load_freshness(wire(site, broker, "freshness"), site.now_s)
    assert trusted.fresh(site.now_s)
    entries = trusted.load_bucket(NUMBER, wire(site, broker, f"bucket/{NUMBER:02x}"))
    assert entries is not None
    found = trusted.verify_person(person_id(1), wire(site, broker, f"person/{person_id(1)}"))
    assert isinstance(found, SignedRecord)
    assert trusted.load_record(found) == "early", "its bucket has not been compared"
    trusted.listed.open(NUMBER, {entry.person_id: entry for entry in entries})
    assert trusted.load_record(found) == "wanted"
    assert trusted.open_record(found).display_name == "Person 1"


def test_what_is_refused_changes_nothing(
    trusted: Trusted, site: FleetSite, broker: MemoryBroker
) -> None:
    old = wire(site, broker, "manifest")
    site.put({9: [9]})
    site.publish()
    assert trusted.load_manifest(wire(site, broker, "manifest"), site.now_s)
    floor, version = trusted.floor, trusted.version
    with pytest.raises(RefusedError) as caught:
        trusted.load_manifest(old, site.now_s)
    assert caught.value.reason == "rollback"
    with pytest.raises(RefusedError) as caught:
        trusted.load_manifest(old[:-1] + bytes([old[-1] ^ 1]), site.now_s)
    assert caught.value.reason == "bad_signature"
    assert (trusted.floor, trusted.version) == (floor, version)
