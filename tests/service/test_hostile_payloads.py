"""Hostile messages on every topic that a device subscribes to.

`make fuzz` sends 100,000; here are as many as `EDGEFACE_FUZZ_EXAMPLES` says. The seed is printed,
and `EDGEFACE_FUZZ_SEED` sets it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Final, Self

import psutil
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from edgeface.base.messages import Lost, Message, Publication
from edgeface.demo.photographs import COLLINS
from edgeface.fleet.admin.master import Master
from edgeface.inference.package import load_package
from edgeface.mqtt.caller import Caller
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.options import ConnectionOptions
from edgeface.mqtt.presence import RIVAL_INTERVAL_S
from edgeface.security.keys import SigningKey
from edgeface.settings.places import shipped_models
from tests.support.broker import Arrival, Witness, running_broker
from tests.support.commanded import Door
from tests.support.commands import write_person
from tests.support.daemon import DaemonProcess, edgeface, write_config
from tests.support.fleet_site import FleetSite, new_site, person_id
from tests.support.hostile import BIRTH_TOPIC, VERBS, GalleryShots, Shot, salvos, strangers
from tests.support.messages import TOPICS
from tests.support.raw_broker import CONNECT, EMPTY_PROPERTY, publish

EXAMPLES: Final = int(os.environ.get("EDGEFACE_FUZZ_EXAMPLES", "400"))
"""Messages to send."""
SEED: Final = int(os.environ.get("EDGEFACE_FUZZ_SEED") or secrets.randbelow(2**32))
SALVO: Final = 10
"""Messages made of one that hypothesis draws."""
ROUND: Final = 20_000
"""Hypothesis remembers what it has drawn: it begins anew after so many."""
MAX_GROWTH_MB: Final = 12.0
"""Of the daemon's resident memory, from the first quarter on."""
COMMANDS_WAITING: Final = 40
"""A device drops commands when more than 64 wait; none is to be dropped here."""
GALLERY_WAITING: Final = 500
"""The broker drops messages when more than 1000 wait."""
SYS_DROPPED: Final = "$SYS/broker/publish/messages/dropped"
SYS_UPTIME: Final = "$SYS/broker/uptime"


@dataclass(frozen=True)
class FleetDoor:
    """A device of a fleet that knows the person before it."""

    door: Door
    site: FleetSite
    person: str
    genuine: list[tuple[str, bytes]]
    """What was published so far, old and new."""


@pytest.fixture(scope="module")
def fleet_door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FleetDoor]:
    """Everything that listens is switched on: all commands, the fleet, Home Assistant."""
    folder = tmp_path_factory.mktemp("door")
    pictures = write_person(folder / "pictures", COLLINS)
    assert edgeface("keys", "administrator", folder / "admin.key").returncode == 0
    with running_broker(folder / "broker", extra=["sys_interval 1"]) as broker:
        site = new_site(folder / "site", broker.port)
        done = edgeface("fleet", "enroll", "-s", site.path, COLLINS, "--name", "Eileen")
        assert done.returncode == 0, done.stderr
        with Master(site.folder) as master:
            (person,) = master.store.ids()
        space = load_package(shipped_models() / "facenet").space_id
        site.put({1: [1], 2: [2]}, space)
        site.publish()
        genuine = dict.fromkeys(site.retained().items())
        site.put({1: [1, 11], 3: [3]}, space)
        site.remove(2)
        site.publish()
        genuine |= dict.fromkeys(site.retained().items())
        shutil.copytree(site.add_device("door-1") / "state", folder / "state")
        file = write_config(
            folder,
            broker.port,
            camera={"source": "images", "folder": str(pictures), "fps": 12, "loop": True},
            commands={"administrator_key_file": "admin.key.pub", "snapshot": True},
            homeassistant={"enabled": True},
            tracking={"max_gap_s": 0.2},
            gallery={"source": "fleet"},
        )
        with DaemonProcess(file) as daemon:
            daemon.wait_ready()
            door = Door(file, broker.port, daemon)
            with Witness(broker.port, TOPICS.gallery_reported) as witness:
                witness.wait(lambda all_: _report(all_).get("standing") == "current", 30)
            yield FleetDoor(door, site, person, list(genuine))
            assert daemon.stop()[0] == 0


class Gun:
    """Sends with QoS 1, no faster than the device judges: nothing that is sent gets lost."""

    def __init__(self, target: FleetDoor) -> None:
        self._door, self._topics = target.door, target.site.topics
        self._stack = ExitStack()
        self._early: Counter[str] = Counter()
        self._marks = 0
        self.sent: Counter[str] = Counter()

    def __enter__(self) -> Self:
        # Nobody works these connections while hypothesis thinks.
        options = ConnectionOptions("127.0.0.1", self._door.port, "", keepalive_s=600)
        self._connection = Connection(options)
        self._connection.open()
        self._stack.callback(self._connection.close)
        self._pacer = self._stack.enter_context(Caller(options, TOPICS, "pacer"))
        self._reports = self._stack.enter_context(Witness(self._door.port, TOPICS.gallery_reported))
        # The broker's numbers are retained for a minute only.
        self._broker = self._stack.enter_context(Witness(self._door.port, SYS_DROPPED, SYS_UPTIME))
        self.session = self._pacer.session()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fire(self, shot: Shot) -> None:
        self.send(shot.publication(self.session))
        self.sent[shot.kind] += 1
        self._early[shot.kind] += 1
        if self._early["command"] >= COMMANDS_WAITING:
            self.settle_commands()
        if self._early["gallery"] >= GALLERY_WAITING:
            self.settle_gallery()

    def send(self, publication: Publication) -> None:
        while self._connection.free == 0:
            self._poll()
        self._connection.publish(publication)

    def settle_commands(self) -> None:
        """What was sent before on the connection of commands, status and birth has been judged."""
        self._drain()
        self._pacer.call("ping", {}, 30, session=self.session)
        self.sent["command"] += 1
        self._early["command"] = 0

    def settle_gallery(self) -> None:
        """The device reports that it has refused a message that was sent after all others."""
        self._marks += 1
        mark = self._topics.person(person_id(10**6 + self._marks))
        self.send(Publication(mark, b"the last"))
        self._drain()
        self._reports.wait(
            lambda all_: mark in [item["topic"] for item in _report(all_)["refusals"]], 30
        )
        self._early["gallery"] = 0

    def dropped(self) -> int:
        """Messages that the broker has not delivered because too many waited."""
        newer = len(self._broker.on(SYS_UPTIME)) + 2
        self._broker.wait_on(SYS_UPTIME, newer)
        return int(self._broker.on(SYS_DROPPED)[-1].message.payload)

    def _drain(self) -> None:
        while self._connection.in_flight:
            self._poll()

    def _poll(self) -> None:
        lost = [item for item in self._connection.poll(1.0) if isinstance(item, Lost)]
        assert not lost, lost


@pytest.mark.timeout(0 if EXAMPLES > 10_000 else 120 + EXAMPLES // 20)
def test_whatever_is_sent_it_goes_on_recognizing_with_memory_flat_and_the_gallery_unchanged(
    fleet_door: FleetDoor,
) -> None:
    door, site = fleet_door.door, fleet_door.site
    gallery, judged = door.data("gallery"), _judged(door)
    process = psutil.Process(door.daemon.process.pid)
    resident_mb: list[float] = []
    gallery_shots = GalleryShots(site.topics, fleet_door.genuine, SigningKey.generate())
    began_s = time.monotonic()
    with Gun(fleet_door) as gun:
        # What has to wait for its manifest fills its room first: 8 MiB are allowed.
        for number in range(256):
            gun.fire(_large_bucket(site, number))
        gun.settle_gallery()

        def measure(sent: int) -> None:
            if sent % max(1, EXAMPLES // 20) == 0:
                resident_mb.append(process.memory_info().rss / 1e6)
                print(
                    f"{sent} sent in {time.monotonic() - began_s:.0f} s,"
                    f" resident {resident_mb[-1]:.1f} MB"
                )

        sent = 0
        print(f"\nseed {SEED}")
        for number in range(0, EXAMPLES, ROUND):

            @seed(SEED + number)
            @settings(
                max_examples=-(-min(ROUND, EXAMPLES - number) // SALVO),
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(salvo=salvos(gallery_shots, SALVO))
            def fire(salvo: list[Shot]) -> None:
                nonlocal sent
                for shot in salvo:
                    gun.fire(shot)
                    sent += 1
                    measure(sent)

            fire()
        gun.settle_commands()
        gun.settle_gallery()
        assert sent >= EXAMPLES
        print(f"{dict(gun.sent)}; {sent / (time.monotonic() - began_s):.0f} a second")
        assert gun.dropped() == 0
        # A retained command would be refused on every connection to come.
        for topic in (*map(TOPICS.command, VERBS), TOPICS.status, BIRTH_TOPIC):
            gun.send(Publication(topic, b"", retain=True))
            gun.sent["command"] += topic.startswith(TOPICS.command(""))
        gun.settle_commands()
    counted = _judged(door)
    assert counted["commands_dropped"] == 0
    assert sum(counted.values()) - sum(judged.values()) == gun.sent["command"]
    assert counted["commands_refused"] > gun.sent["command"] // 3
    assert max(resident_mb) - resident_mb[len(resident_mb) // 4] < MAX_GROWTH_MB

    log = door.daemon.log
    assert log.count("Traceback") == 0
    assert log.count("connected to the broker") == 1
    assert log.count("a command was refused") <= 12
    assert log.count("bytes of properties are dropped") <= 1
    assert log.count("more of this kind are only counted") <= 40
    _goes_on(fleet_door, gallery)


def test_a_mebibyte_of_properties_is_nothing_to_a_device(fleet_door: FleetDoor) -> None:
    """A door's certificate may send that: `+/cmd/ping`."""
    process = psutil.Process(fleet_door.door.daemon.process.pid)
    flood = publish(TOPICS.command("ping"), b"{}", EMPTY_PROPERTY * 200_000)
    with socket.create_connection(("127.0.0.1", fleet_door.door.port)) as sender:
        sender.sendall(CONNECT + flood * 3)
        answers = sender.makefile("rb")
        for kind in (0x20, 0x40, 0x40, 0x40):
            first, size = answers.read(2)
            assert (first, len(answers.read(size))) == (kind, size)
        began_s = time.monotonic()
        assert fleet_door.door.data("ping")["lifecycle"] == "ready"
        assert time.monotonic() - began_s < 2
    assert process.is_running()
    assert fleet_door.door.daemon.log.count("bytes of properties are dropped") == 1
    assert fleet_door.door.daemon.log.count("connected to the broker") == 1


def _goes_on(fleet_door: FleetDoor, gallery: dict[str, object]) -> None:
    """It recognizes by the same gallery, and takes the next one."""
    door, site, person = fleet_door.door, fleet_door.site, fleet_door.person
    with Witness(door.port, TOPICS.status) as witness:
        # Statuses of other sessions look like a second daemon's: they are corrected later.
        witness.wait(
            lambda all_: bool(all_) and b'"online"' in all_[-1].message.payload,
            RIVAL_INTERVAL_S + 5,
        )
    with Witness(door.port, TOPICS.event_log) as witness:
        witness.wait(lambda all_: any(_recognized(item.message, person) for item in all_), 20)
    assert door.data("gallery") == gallery
    assert door.data("verify", person_id=person, timeout_s=10)["outcome"] == "match"
    with Witness(door.port, "homeassistant/device/#") as witness:
        witness.wait(lambda all_: len(all_) == 1)
        witness.publish(BIRTH_TOPIC, b"online")
        witness.wait(lambda all_: len(all_) == 2)
    with Witness(door.port, TOPICS.gallery_reported) as witness:
        newest = dict(fleet_door.genuine)
        for topic in (site.topics.manifest, site.topics.freshness):
            witness.publish(topic, newest[topic], retain=True)
        space = str(gallery["space"])
        site.put({4: [4]}, space)
        site.publish(everything=True)
        witness.wait(
            lambda all_: (_report(all_)["revision"], _report(all_)["people"]) == (3, 4), 20
        )
    assert door.data("verify", person_id=person, timeout_s=10)["outcome"] == "match"


def _judged(door: Door) -> dict[str, int]:
    """What became of commands so far, by the device's own count."""
    with Witness(door.port, TOPICS.health) as witness:
        # The first one may have been on its way already.
        health = json.loads(witness.wait_on(TOPICS.health, 2)[-1].message.payload)
    found = {name: n for name, n in health["counters"].items() if name.startswith("commands_")}
    return {"commands_dropped": 0, "commands_refused": 0} | found


def _large_bucket(site: FleetSite, number: int) -> Shot:
    wire = strangers(site.topics.site, number, 630)
    return Shot("gallery", site.topics.bucket(number), lambda _: wire, retain=False)


def _report(arrivals: list[Arrival]) -> dict[str, Any]:
    return dict(json.loads(arrivals[-1].message.payload)) if arrivals else {}


def _recognized(message: Message, person: str) -> bool:
    body = json.loads(message.payload)
    return body["event_type"] == "recognized" and body["match"]["person_id"] == person
