"""Bits that flip in what a device notes of the fleet's records: SQLite does not notice, the device
does, and reads from the broker what it cannot be sure of."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import pytest

from edgeface.fleet.protocol.bucket import bucket_number
from edgeface.gallery.database import GalleryCorruptError, set_aside
from tests.support.fleet_device import follow, ids, memory_site
from tests.support.fleet_site import person_id
from tests.support.flips import PAGE, bits_of, flipped
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


def test_a_bit_of_the_gallery_is_got_over_with_what_the_broker_has(
    tmp_path: Path, broker: MemoryBroker
) -> None:
    site = memory_site(tmp_path / "site", broker)
    site.put({1: [1], 2: [2], 3: [3]})
    site.publish()
    device = follow(tmp_path / "door-1", site, broker)
    device.disconnect()
    device.store.close()
    content = device.gallery_file.read_bytes()
    ids_at = [at for number in (1, 2) for at in places(content, person_id(number).encode())]
    bits = [(at + 11, bit) for at in ids_at for bit in (0, 3)] + bits_of(
        content, PAGE, len(content), 150
    )
    for place in flipped(content, device.gallery_file, bits):
        for _ in range(2):  # as the daemon's worker does: a damaged file is set aside
            try:
                device.start()
                device.connect()
                device.settle()
                break
            except GalleryCorruptError:
                device.disconnect()
                device.store.close()
                set_aside(device.gallery_file)
        assert device.equals_master(), place
        device.disconnect()
        device.store.close()


def places(content: bytes, word: bytes) -> list[int]:
    return [found.start() for found in re.finditer(re.escape(word), content)]
