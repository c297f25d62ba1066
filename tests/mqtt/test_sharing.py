"""The publisher's connection, used by a second thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeface.base.errors import BrokerError
from edgeface.base.messages import (
    Acknowledged,
    Lost,
    Message,
    Publication,
    Signal,
    Subscribed,
    Subscription,
)
from edgeface.mqtt import publisher, sharing
from edgeface.mqtt.localbroker import LocalBroker
from edgeface.mqtt.sharing import SharedConnection
from tests.support.broker import Witness
from tests.support.messages import Device

GALLERY = "edgeface/v1/hq/gallery/"


@pytest.fixture
def device(tmp_path: Path, broker: LocalBroker) -> Iterator[Device]:
    with Device(tmp_path, broker.port) as found:
        yield found


@pytest.fixture
def shared(device: Device) -> SharedConnection:
    """Open; it came late, so that it is told here of the connection that stands."""
    found = device.publisher.share(GALLERY)
    device.wait_connected()
    found.opened()
    found.open()
    return found


def until(shared: SharedConnection, kind: type[Signal], count: int = 1) -> list[Signal]:
    """Until so many signals of a kind have come; all that came."""
    signals: list[Signal] = []
    deadline = time.monotonic() + 10
    while sum(isinstance(item, kind) for item in signals) < count:
        assert time.monotonic() < deadline, signals
        signals += shared.poll(0.2)
    return signals


def subscribed(shared: SharedConnection, *topics: str) -> None:
    number = shared.subscribe([Subscription(topic) for topic in topics])
    (signal,) = until(shared, Subscribed)
    assert isinstance(signal, Subscribed)
    assert (signal.mid, len(signal.reasons)) == (number, len(topics))


def test_it_subscribes_receives_and_publishes_beside_the_events(
    device: Device, shared: SharedConnection, broker: LocalBroker
) -> None:
    subscribed(shared, f"{GALLERY}manifest", f"{GALLERY}person/+")
    with Witness(broker.port, "#") as witness:
        witness.publish(f"{GALLERY}person/p_1", b"record")
        (message,) = until(shared, Message)
        assert isinstance(message, Message)
        assert (message.topic, message.payload) == (f"{GALLERY}person/p_1", b"record")
        number = shared.publish(Publication("edgeface/v1/hq/door-1/gallery/reported", b"{}"))
        assert until(shared, Acknowledged) == [Acknowledged(number, 0, "reason 0x00")]
        shared.unsubscribe([f"{GALLERY}person/+"])
        device.see(age_s=0.0)
        witness.wait_on(device.topics.event, 1)
        witness.publish(f"{GALLERY}person/p_1", b"again")
        witness.publish(f"{GALLERY}manifest", b"last")
        (message,) = until(shared, Message)
        assert isinstance(message, Message)
        assert message.payload == b"last"
    assert device.publisher.status.connections == 1


def test_what_is_not_the_galleries_is_not_for_it(
    shared: SharedConnection, broker: LocalBroker, device: Device
) -> None:
    subscribed(shared, f"{GALLERY}manifest")
    with Witness(broker.port, "nothing") as witness:
        witness.publish(device.topics.status, b"rubbish")
        witness.publish(f"{GALLERY}manifest", b"m")
        signals = until(shared, Message)
    assert [item.topic for item in signals if isinstance(item, Message)] == [f"{GALLERY}manifest"]


def test_it_ends_with_the_publishers_connection_and_opens_with_the_next(
    shared: SharedConnection, broker: LocalBroker, device: Device
) -> None:
    broker.stop()
    assert isinstance(until(shared, Lost)[-1], Lost)
    assert shared.free == 0
    shared.abort()
    with pytest.raises(BrokerError, match="no connection to the broker"):
        shared.open()
    broker.start()
    device.wait_connected()
    shared.open()
    subscribed(shared, f"{GALLERY}manifest")


def test_more_than_may_wait_ends_it_and_leaves_the_publisher_alone(
    shared: SharedConnection,
    broker: LocalBroker,
    device: Device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sharing, "MAX_WAITING_BYTES", 6_800)
    subscribed(shared, f"{GALLERY}person/+")
    with Witness(broker.port, f"{GALLERY}person/+", device.topics.event) as witness:
        for number in range(12):
            witness.publish(f"{GALLERY}person/p_{number}", bytes(100))
        device.see(age_s=0.0)
        witness.wait_on(device.topics.event, 1)
        signals = until(shared, Lost)
        assert [type(item) for item in signals] == [Message] * 10 + [Lost]
        shared.close()
        shared.open()
        subscribed(shared, f"{GALLERY}person/+")
        witness.publish(f"{GALLERY}person/p_99", b"later")
        until(shared, Message)
    assert device.publisher.status.connections == 1


def test_what_the_publisher_has_no_room_for_is_not_thought_to_be_sent(
    device: Device, shared: SharedConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report that is told once, of an erasure say, would be missing until something changes."""
    monkeypatch.setattr(publisher, "MAX_OUTGOING", 0)
    shared.publish(Publication("edgeface/v1/hq/door-1/gallery/reported", b"{}"))
    assert until(shared, Lost) == [Lost(0, "a message was not sent")]
    assert shared.free == 0
    monkeypatch.undo()
    shared.close()
    shared.open()
    shared.publish(Publication("edgeface/v1/hq/door-1/gallery/reported", b"{}"))
    until(shared, Acknowledged)
    assert device.publisher.status.connections == 1


def test_when_it_is_closed_its_subscriptions_are_given_back(
    shared: SharedConnection, broker: LocalBroker
) -> None:
    subscribed(shared, f"{GALLERY}manifest", f"{GALLERY}bucket/+")
    taken: list[Message] = []
    shared.took = taken.append  # type: ignore[method-assign]
    shared.close()
    shared.open()
    subscribed(shared, f"{GALLERY}manifest")
    with Witness(broker.port, "nothing") as witness:
        witness.publish(f"{GALLERY}bucket/00", b"b")
        arrived = threading.Event()

        def take(message: Message) -> None:
            taken.append(message)
            arrived.set()

        shared.took = take  # type: ignore[method-assign]
        witness.publish(f"{GALLERY}manifest", b"m")
        assert arrived.wait(10)
    assert [message.topic for message in taken] == [f"{GALLERY}manifest"]
