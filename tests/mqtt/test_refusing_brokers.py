"""A device at a broker that takes almost nothing: what is refused does not feed on itself."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from edgeface.outbox.outbox_file import OutboxFile
from tests.support.broker import eventually
from tests.support.messages import TOPICS, Device
from tests.support.raw_broker import CONNACK, Peer, RawBroker, connack

EVENTS = 20


def buried(device: Device, count: int) -> bool:
    return device.outbox.status.dead_letters >= count


def tiny(peer: Peer) -> None:
    peer.send(connack(b"\x27" + (100).to_bytes(4, "big")))
    peer.serve()


def refusing(reason: int) -> Callable[[Peer], None]:
    def script(peer: Peer) -> None:
        peer.send(CONNACK)
        peer.serve(lambda topic: reason if topic == TOPICS.event_log else 0)

    return script


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(tiny, id="a_tiny_maximum_packet_size"),
        pytest.param(refusing(0x95), id="packet_too_large"),
        pytest.param(refusing(0x99), id="payload_format_invalid"),
    ],
)
def test_a_refused_gap_event_is_no_loss_of_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, script: Callable[[Peer], None]
) -> None:
    def serve(peer: Peer) -> None:
        peer.read_until(1)
        script(peer)

    with (
        caplog.at_level(logging.WARNING),
        RawBroker(serve) as broker,
        Device(tmp_path, broker.port) as device,
    ):
        device.wait_connected()
        for number in range(EVENTS):
            device.see()
            eventually(partial(buried, device, number + 1))
        eventually(lambda: device.outbox.status.unannounced >= EVENTS)
        status = device.outbox.status
        assert status.dead_letters == EVENTS
        assert status.last_seq <= EVENTS + 3
    said = Counter(record.getMessage() for record in caplog.records)
    assert len(said) <= 8, said
    with closing(OutboxFile(tmp_path / "outbox.db")) as file:
        assert file._db.execute("SELECT count(*) FROM dead_letter").fetchone() == (EVENTS,)
