"""The replica over a real mosquitto with its default limits."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from edgeface.base.backoff import Backoff
from edgeface.fleet.admin.master import Master
from edgeface.fleet.device.requests import MAX_OUTSTANDING
from edgeface.fleet.device.subscriber import Subscriber
from edgeface.fleet.protocol.terms import GalleryTopics
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.localbroker import LocalBroker
from edgeface.mqtt.options import ConnectionOptions
from tests.support.broker import eventually, running_broker
from tests.support.fleet_device import FleetDevice, Times, ids
from tests.support.fleet_site import FleetSite, new_site, person_id
from tests.support.memory_broker import MemoryBroker

MANY = 1_300
"""More than the 1,020 that mosquitto hands to a wildcard subscriber by default."""
TOPICS = GalleryTopics("hq")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, shared_broker: LocalBroker) -> FleetSite:
    found = new_site(tmp_path_factory.mktemp("site") / "hq", shared_broker.port)
    found.put({number: [number] for number in range(MANY)})
    found.publish()
    return found


@contextmanager
def following(device: FleetDevice, port: int) -> Iterator[threading.Event]:
    """A thread that follows; the event is set after each round of work."""
    stop, worked = threading.Event(), threading.Event()
    options = ConnectionOptions("127.0.0.1", port, f"{device.name}-gallery")
    device.replica._clock = replace(device.replica._clock, monotonic_s=time.monotonic)
    link = Subscriber(
        lambda: Connection(options),
        device.replica,
        device.report,
        each=worked.set,
        backoff=Backoff(cap_s=0.3),
    )
    thread = threading.Thread(target=link.run, args=(stop,), name=device.name)
    thread.start()
    try:
        yield worked
    finally:
        stop.set()
        thread.join(10)
        assert not thread.is_alive()


def new_device(path: Path, site: FleetSite, name: str) -> FleetDevice:
    return FleetDevice(path, site, MemoryBroker(), Times(time.time()), name=name)


def test_more_people_than_a_default_queue_arrive_and_then_live(
    tmp_path: Path, site: FleetSite, shared_broker: LocalBroker
) -> None:
    device = new_device(tmp_path / "d", site, "door-1")
    with following(device, shared_broker.port):
        eventually(lambda: device.replica.standing == "current", 60)
        received = device.replica.messages_received
        assert received <= MANY + 256 + 10, "each record and each bucket once"
        assert len(device.replica.catch_up.requests.outstanding) <= MAX_OUTSTANDING
        site.put({MANY: [5]})
        site.remove(7)
        site.publish()
        eventually(lambda: device.replica.index.revision == 2)
        eventually(lambda: device.replica.catch_up.erased == (1, 2))
        assert device.replica.messages_received - received <= 2 + 2 + 2 + 2
    assert device.equals_master()
    assert device.replica.refusals.listed == ()


def test_a_broker_that_comes_and_goes_only_delays(tmp_path: Path) -> None:
    with running_broker(tmp_path / "own", persistence=True) as broker:
        site = new_site(tmp_path / "site", broker.port, site="hq")
        site.put({number: [number] for number in range(60)})
        site.publish()
        device = new_device(tmp_path / "d", site, "door-1")
        with following(device, broker.port):
            eventually(lambda: device.replica.messages_received > 0, 20)
            broker.stop()
            broker.start()
            eventually(lambda: device.replica.standing == "current", 20)
            broker.stop()
            eventually(lambda: device.replica._wire is None)
            broker.start()
            site.remove(*range(30))
            site.publish()
            eventually(lambda: device.people() == ids(*range(30, 60)), 20)
        assert device.equals_master()


def test_what_is_held_is_not_fetched_again(
    tmp_path: Path, site: FleetSite, shared_broker: LocalBroker
) -> None:
    device = new_device(tmp_path / "d", site, "door-2")
    with following(device, shared_broker.port):
        eventually(lambda: device.replica.standing == "current", 60)
    site.put({number: [number + 3] for number in range(100, 140)})
    site.publish()
    device.crash()
    with following(device, shared_broker.port):
        eventually(device.equals_master, 20)
    assert device.replica.messages_received <= 40 + 40 + 4
    assert person_id(100) in device.people()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_random_run_ends_with_every_device_equal(
    tmp_path: Path, shared_broker: LocalBroker, seed: int
) -> None:
    chance = random.Random(seed)
    site = new_site(tmp_path / "site", shared_broker.port, site=f"site-{seed}")
    site.publish()
    devices = [new_device(tmp_path / name, site, name) for name in ("door-1", "door-2")]
    for _ in range(8):
        with ExitStack() as stack:
            for device in devices:
                if chance.random() < 0.8:
                    stack.enter_context(following(device, shared_broker.port))
            numbers = range(30)
            site.put({n: [chance.randrange(99)] for n in chance.sample(numbers, 6)})
            with Master(site.folder) as master:
                known = [n for n in numbers if person_id(n) in master.store]
            if chance.random() < 0.6:
                site.remove(*chance.sample(known, min(3, len(known))))
            if chance.random() < 0.8:
                site.publish()
        for device in devices:
            if chance.random() < 0.4:
                device.crash()
    site.publish()
    for device in devices:
        with following(device, shared_broker.port):
            eventually(lambda device=device: device.replica.standing == "current", 20)  # type: ignore[misc]
            eventually(device.equals_master, 20)
