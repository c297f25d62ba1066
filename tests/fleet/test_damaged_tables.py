"""Bits that flip in what a device notes of the fleet's records: SQLite does not notice, the device
does, and reads from the broker what it cannot be sure of."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from edgeface.fleet.protocol.bucket import bucket_number
from tests.support.fleet_device import follow, ids, memory_site
from tests.support.fleet_site import person_id
from tests.support.memory_broker import MemoryBroker

NUMBER = bucket_number(person_id(1))


@pytest.mark.parametrize(
    "flipped",
    [
        pytest.param(f"bucket = {NUMBER ^ 2}", id="bucket"),
        pytest.param("bucket = 300", id="no bucket"),
        pytest.param("revision = -9223372036854775807", id="revision"),
        pytest.param("digest = x'00'", id="digest"),
        pytest.param(f"person_id = '{person_id(1)[:-1]}!'", id="person"),
    ],
)
def test_a_note_that_cannot_be_is_dropped_and_the_record_read_again(
    tmp_path: Path, broker: MemoryBroker, flipped: str
) -> None:
    site = memory_site(tmp_path / "site", broker)
    site.put({1: [1], 2: [2]})
    site.publish()
    device = follow(tmp_path / "door-1", site, broker)
    device.disconnect()
    device.store.close()
    with sqlite3.connect(device.gallery_file) as connection:
        connection.execute(
            f"UPDATE fleet_records SET {flipped} WHERE person_id = ?", (person_id(1),)
        )
    connection.close()
    device.start()
    device.connect()
    device.settle()
    assert device.equals_master()
    assert device.people() == ids(1, 2)
    assert device.replica.catch_up.tables.receipts() == ()
