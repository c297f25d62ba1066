"""What a broker, or anybody who may publish through one, can make a client take in."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edgeface.base.errors import BrokerError
from edgeface.base.messages import Lost, Message, Signal
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.options import MAX_MESSAGE_BYTES, ConnectionOptions
from edgeface.mqtt.packets import MAX_PROPERTY_BYTES, publish_properties
from tests.support.raw_broker import (
    CONNACK,
    EMPTY_PROPERTY,
    Peer,
    RawBroker,
    connack,
    packet,
    publish,
)

MIB = 1024 * 1024
MAX_GROWTH_MB = 40


@contextmanager
def connected(port: int, **options: int) -> Iterator[Connection]:
    connection = Connection(ConnectionOptions("127.0.0.1", port, "test", **options))
    connection.open()
    try:
        yield connection
    finally:
        connection.abort()


def signals(connection: Connection, timeout_s: float = 20.0) -> Iterator[Signal]:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        yield from connection.poll(0.1)
    raise AssertionError("nothing more came")


def test_two_hundred_thousand_properties_cost_nothing_and_one_line(
    caplog: pytest.LogCaptureFixture,
) -> None:
    properties = EMPTY_PROPERTY * 200_000
    acknowledged: list[int] = []

    def script(peer: Peer) -> None:
        peer.read_until(1)
        peer.send(CONNACK)
        for mid in (1, 2):
            peer.send(publish("a/cmd/ping", b"{}", properties, mid=mid))
        peer.send(publish("a/cmd/ping", b"good", b"\x26\0\1n\0\1v\x08\0\1r\x09\0\1c", mid=3))
        for _ in range(3):
            acknowledged.append(int.from_bytes(peer.read_until(4)[:2], "big"))
        peer.read()

    with (
        caplog.at_level(logging.WARNING),
        RawBroker(script) as broker,
        connected(broker.port, max_packet_bytes=2 * MIB) as connection,
    ):
        began_s = time.thread_time()
        found = next(signals(connection))
        spent_s = time.thread_time() - began_s
        assert found == Message("a/cmd/ping", b"good", 1, False, (("n", "v"),), "r", b"c")
        for _ in range(20):
            connection.poll(0.01)
    assert spent_s < 0.2
    assert acknowledged == [1, 2, 3]
    assert [record.getMessage() for record in caplog.records] == [
        "messages with more than 4096 bytes of properties are dropped; the first was on a/cmd/ping"
    ]


def test_as_many_properties_as_are_let_pass_are_read_in_linear_time() -> None:
    data = EMPTY_PROPERTY * (MAX_PROPERTY_BYTES // len(EMPTY_PROPERTY))
    began_s = time.thread_time()
    for _ in range(20):
        assert len(publish_properties(data).UserProperty) == len(data) // 5
    assert (time.thread_time() - began_s) / 20 < 0.02


@given(
    pairs=st.lists(st.tuples(st.text(max_size=20), st.text(max_size=20)), max_size=20),
    response_topic=st.none() | st.text(max_size=50),
    correlation=st.none() | st.binary(max_size=200),
    expiry=st.none() | st.integers(0, 2**32 - 1),
    identifiers=st.lists(st.integers(1, 268_435_455), max_size=3),
)
def test_properties_are_read_as_paho_writes_them(
    pairs: list[tuple[str, str]],
    response_topic: str | None,
    correlation: bytes | None,
    expiry: int | None,
    identifiers: list[int],
) -> None:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
    properties.ContentType = "application/json"
    properties.PayloadFormatIndicator = 1
    if pairs:
        properties.UserProperty = pairs
    if response_topic is not None:
        properties.ResponseTopic = response_topic
    if correlation is not None:
        properties.CorrelationData = correlation
    if expiry is not None:
        properties.MessageExpiryInterval = expiry
    if identifiers:
        properties.SubscriptionIdentifier = identifiers
    wire = properties.pack()
    begin = 1 if wire[0] < 0x80 else 2
    found = publish_properties(wire[begin:])
    assert getattr(found, "UserProperty", []) == pairs
    assert getattr(found, "ResponseTopic", None) == response_topic
    assert getattr(found, "CorrelationData", None) == correlation


@given(st.binary(max_size=40))
def test_whatever_the_properties_are_they_are_read_or_refused(data: bytes) -> None:
    with suppress(ValueError):
        publish_properties(data)


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        pytest.param(publish("a", qos=2), "QoS 2", id="qos_2"),
        pytest.param(publish("a", bytes(2 * MIB)), "packet of 2097", id="a_large_message"),
        pytest.param(b"\x30\xff\xff\xff\x7f", "packet of 268435455", id="a_quarter_of_a_gigabyte"),
        pytest.param(packet(0x90, bytes(200_000)), "packet of 200000", id="a_large_suback"),
        pytest.param(
            packet(0xE0, b"\0\xa0\x9c\x01" + EMPTY_PROPERTY * 4000),
            "20000 bytes of properties",
            id="properties_of_a_disconnect",
        ),
        pytest.param(publish("a", b"", b"\x23\0\1"), "no property 35", id="topic_alias"),
        pytest.param(publish("a", b"", b"\x26\0\1"), "longer than its packet", id="cut_off"),
        pytest.param(b"\x30\x04\0\1a\x7f", "longer than their packet", id="length_beyond_the_end"),
        pytest.param(b"\x30\x02\0\x09", "without an end", id="topic_beyond_the_end"),
    ],
)
def test_a_broker_that_keeps_no_bound_is_left(sent: bytes, says: str) -> None:
    def script(peer: Peer) -> None:
        peer.read_until(1)
        peer.send(CONNACK)
        peer.send(sent)
        peer.read()

    with RawBroker(script) as broker, connected(broker.port) as connection:
        lost = next(signals(connection))
        assert isinstance(lost, Lost)
        assert says in lost.text


def test_a_connack_with_endless_properties_is_no_connection() -> None:
    def script(peer: Peer) -> None:
        peer.read_until(1)
        peer.send(connack(EMPTY_PROPERTY * 12_000))
        peer.read()

    with RawBroker(script) as broker:
        began_s = time.thread_time()
        with pytest.raises(BrokerError, match="refused"), connected(broker.port):
            pass
        assert time.thread_time() - began_s < 0.5


def test_the_broker_is_told_what_is_taken() -> None:
    told: list[bytes] = []

    def script(peer: Peer) -> None:
        told.append(peer.read_until(1))
        peer.send(CONNACK)
        peer.read()

    with RawBroker(script) as broker, connected(broker.port):
        assert b"\x27" + MAX_MESSAGE_BYTES.to_bytes(4, "big") in told[0]


CHILD = """
import sys, time
import psutil
from edgeface.base.errors import BrokerError
from edgeface.base.messages import Lost, Subscription
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.options import ConnectionOptions
me = psutil.Process()
connection = Connection(ConnectionOptions("127.0.0.1", int(sys.argv[1]), "child", keepalive_s=60))
before = most = me.memory_info().rss
connection.open()
until = time.monotonic() + float(sys.argv[2])
over = False
while time.monotonic() < until and not over:
    over = any(isinstance(item, Lost) for item in connection.poll(0.1))
    most = max(most, me.memory_info().rss)
print((most - before) / 2**20, over)
"""


def unreleased(peer: Peer) -> None:
    for mid in count(1):
        peer.send(publish("a", bytes(60_000), qos=2, mid=mid % 65_535 + 1))


def a_large_packet(peer: Peer) -> None:
    peer.send(b"\x30\xff\xff\xff\x7f\0\1a\0")
    while True:
        peer.send(bytes(MIB))


@pytest.mark.parametrize("script", [unreleased, a_large_packet])
def test_memory_is_bounded_whatever_the_broker_sends(script: Callable[[Peer], None]) -> None:

    def serve(peer: Peer) -> None:
        peer.read_until(1)
        peer.send(CONNACK)
        script(peer)

    with RawBroker(serve) as broker:
        ended = subprocess.run(
            [sys.executable, "-c", CHILD, str(broker.port), "8"],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    growth, over = ended.stdout.split()
    assert float(growth) < MAX_GROWTH_MB
    assert over == "True"
