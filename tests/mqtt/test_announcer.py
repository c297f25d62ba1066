"""Home Assistant's discovery topic is kept as the settings want it; with a real broker."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeface.base.messages import Message, Publication, Subscription
from edgeface.mqtt.announcer import Announcer
from edgeface.mqtt.link import Handler, LinkStatus, OnPuback
from edgeface.mqtt.localbroker import LocalBroker
from edgeface.mqtt.publisher import Publisher
from edgeface.settings.tree import Settings
from tests.support.broker import Witness, eventually
from tests.support.messages import Device

CONFIG = "homeassistant/device/hq-door-1/config"
MOVED = "ha/device/hq-door-1/config"


def settings(**homeassistant: Any) -> Settings:
    return Settings.model_validate(
        {
            "site": "hq",
            "device": "door-1",
            "camera": {"source": "picamera2"},
            "homeassistant": homeassistant,
        }
    )


OFF, ON = settings(), settings(enabled=True)
ELSEWHERE = settings(enabled=True, discovery_prefix="ha")


class Bench:
    """A device, its announcer, and who watches."""

    def __init__(self, folder: Path, broker: LocalBroker) -> None:
        self.broker = broker
        self.marker = folder / "homeassistant"
        self.device = Device(folder, broker.port)
        self.announcer = Announcer(self.device.publisher, self.marker)
        self.witness = Witness(broker.port, "homeassistant/#", "ha/#")

    def until(self, wanted: Settings, topic: str, count: int) -> list[bytes]:
        """Tick until so many messages came on the topic: their payloads."""

        def done() -> bool:
            self.announcer.tick(wanted)
            return len(self.witness.on(topic)) >= count

        eventually(done)
        arrivals = self.witness.on(topic)
        assert all(item.message.retain and item.message.qos == 1 for item in arrivals)
        return [item.message.payload for item in arrivals]

    def retained(self, topic: str) -> list[bytes]:
        """What a newcomer finds there."""
        with Witness(self.broker.port, topic, "marker") as newcomer:
            newcomer.publish("marker", b"x")
            newcomer.wait_on("marker", 1)
            return [item.message.payload for item in newcomer.on(topic)]


@pytest.fixture
def bench(tmp_path: Path, broker: LocalBroker) -> Iterator[Bench]:
    found = Bench(tmp_path, broker)
    with found.witness, found.device:
        found.device.wait_connected()
        yield found


def test_it_is_retained_and_sent_anew_when_home_assistant_was_born(bench: Bench) -> None:
    (first,) = bench.until(ON, CONFIG, 1)
    assert json.loads(first)["device"]["identifiers"] == ["edgeface_hq_door-1"]
    for _ in range(3):
        bench.announcer.tick(ON)
    assert bench.retained(CONFIG) == [first]
    bench.witness.publish("homeassistant/status", b"offline")
    bench.witness.publish("homeassistant/status", b"online")
    assert bench.until(ON, CONFIG, 2) == [first, first]


def test_it_is_sent_anew_on_the_next_connection(bench: Bench) -> None:
    bench.until(ON, CONFIG, 1)
    bench.broker.stop()
    bench.device.wait_disconnected()
    bench.announcer.tick(ON)
    bench.broker.start()
    bench.witness.wait_subscribed(2)
    bench.device.wait_connected()
    # The witness may find the retained one of before as well.
    assert len(set(bench.until(ON, CONFIG, 2))) == 1


def test_it_is_removed_when_switched_off_and_never_mentioned_again(bench: Bench) -> None:
    bench.until(ON, CONFIG, 1)
    assert bench.until(OFF, CONFIG, 2)[1] == b""
    eventually(lambda: bench.announcer.tick(OFF) or not bench.marker.exists())
    assert bench.retained(CONFIG) == []
    bench.witness.publish("homeassistant/status", b"online")
    bench.announcer.tick(OFF)
    bench.until(ELSEWHERE, MOVED, 1)
    assert len(bench.witness.on(CONFIG)) == 2


def test_it_moves_with_the_prefix(bench: Bench) -> None:
    (first,) = bench.until(ON, CONFIG, 1)
    assert bench.until(ELSEWHERE, MOVED, 1) == [first]
    assert [item.message.payload for item in bench.witness.on(CONFIG)] == [first, b""]
    bench.witness.publish("ha/status", b"online")
    assert bench.until(ELSEWHERE, MOVED, 2) == [first, first]


def test_a_later_process_that_has_it_off_removes_what_an_earlier_one_left(bench: Bench) -> None:
    bench.until(ON, CONFIG, 1)
    bench.announcer = Announcer(bench.device.publisher, bench.marker)
    assert bench.until(OFF, CONFIG, 2)[1] == b""


def test_a_changed_payload_is_sent(bench: Bench) -> None:
    bench.until(ON, CONFIG, 1)
    longer = ON.model_copy(update={"decision": ON.decision.model_copy(update={"validity_s": 20.0})})
    second = bench.until(longer, CONFIG, 2)[1]
    assert json.loads(second)["components"]["person"]["expire_after"] == 19


class FakePublisher(Publisher):
    """Takes publications, and is told their fate by the test."""

    def __init__(self) -> None:
        self.link = LinkStatus(connected=True, connections=1)
        self.published: list[tuple[Publication, OnPuback | None]] = []
        self.handlers: dict[str, Handler] = {}

    @property
    def status(self) -> LinkStatus:
        return self.link

    def publish(self, publication: Publication, done: OnPuback | None = None) -> None:
        self.published.append((publication, done))

    def listen(self, subscription: Subscription, handler: Handler) -> None:
        self.handlers[subscription.topic_filter] = handler

    def unlisten(self, topic_filter: str) -> None:
        del self.handlers[topic_filter]

    def answer(self, reason: int | None) -> Publication:
        publication, done = self.published.pop(0)
        assert done is not None
        done(reason)
        return publication


def test_what_was_given_up_is_sent_again_and_what_was_refused_is_not(tmp_path: Path) -> None:
    fake = FakePublisher()
    announcer = Announcer(fake, tmp_path / "marker")
    announcer.tick(ON)
    fake.answer(None)
    announcer.tick(ON)
    fake.answer(0x87)
    announcer.tick(ON)
    assert fake.published == []


def test_nothing_is_sent_while_it_is_off_or_not_connected(tmp_path: Path) -> None:
    fake = FakePublisher()
    announcer = Announcer(fake, tmp_path / "marker")
    announcer.tick(OFF)
    fake.link = LinkStatus(connected=False, connections=1)
    announcer.tick(ON)
    assert fake.published == []
    assert list(fake.handlers) == ["homeassistant/status"]


@pytest.mark.parametrize("reason", [0, 0x87], ids=["accepted", "refused"])
def test_a_removal_is_tried_until_the_broker_has_answered(tmp_path: Path, reason: int) -> None:
    (tmp_path / "marker").write_text(CONFIG)
    fake = FakePublisher()
    announcer = Announcer(fake, tmp_path / "marker")
    announcer.tick(OFF)
    assert fake.answer(None).payload == b""
    announcer.tick(OFF)
    announcer.tick(OFF)
    assert len(fake.published) == 1
    assert fake.answer(reason).topic == CONFIG
    announcer.tick(OFF)
    assert fake.published == []
    assert not (tmp_path / "marker").exists()


def test_a_retained_birth_message_is_not_one(tmp_path: Path) -> None:
    fake = FakePublisher()
    announcer = Announcer(fake, tmp_path / "marker")
    announcer.tick(ON)
    fake.answer(0)
    hear = fake.handlers["homeassistant/status"]
    hear(Message("homeassistant/status", b"online", 1, True))
    announcer.tick(ON)
    assert fake.published == []
    hear(Message("homeassistant/status", b"online", 1, False))
    announcer.tick(ON)
    assert len(fake.published) == 1


def test_a_marker_that_cannot_be_written_does_not_stop_it(tmp_path: Path) -> None:
    fake = FakePublisher()
    announcer = Announcer(fake, tmp_path / "no folder" / "marker")
    announcer.tick(ON)
    assert fake.answer(0).topic == CONFIG
    announcer.tick(OFF)
    assert fake.answer(0).payload == b""


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\0" * 40, id="zeros"),
        pytest.param(b"homeassistant/#\n", id="wildcard"),
        pytest.param(b"\xff\xfe", id="no text"),
    ],
)
def test_a_marker_that_power_loss_has_left_behind_does_not_end_every_connection(
    tmp_path: Path, broker: LocalBroker, content: bytes
) -> None:
    """A topic that none can be makes the broker hang up, at each new connection again."""
    (tmp_path / "homeassistant").write_bytes(content)
    bench = Bench(tmp_path, broker)
    with bench.witness, bench.device:
        bench.device.wait_connected()
        assert bench.until(ON, CONFIG, 1)
        assert bench.device.publisher.status.connections == 1
    assert bench.marker.read_text() == f"{CONFIG}\n"
