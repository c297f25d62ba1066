"""The hardened broker that ships, with its access list: what each role may do and may not.

mosquitto refuses a forbidden PUBLISH with 0x87 in its PUBACK. A forbidden SUBSCRIBE it grants, and
then delivers nothing, so that every subscription is tried with a message that somebody may publish.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from edgeface.mqtt.connection import Connection
from edgeface.security.roles import DETAILS, ROLES, User, acl_file
from tests.support.broker import eventually
from tests.support.hardened import (
    NOT_AUTHORIZED,
    SHIPPED,
    Caller,
    HardenedBroker,
    certified,
    make_authority,
)

HOME = "edgeface/v1/home"
OTHER = "edgeface/v1/other"
DEVICE, DOOR, LOG = "device.home.door-1", "door.home.front", "log.home.archive"
ADMIN, ASSISTANT = "admin.home.alice", "homeassistant.home.main"
SHIPPED_USERS = (DEVICE, DOOR, LOG, ADMIN, ASSISTANT)
MAKER = "stranger"
"""Signed by the authority, with no block in the access list."""

COMMANDS = ("ping", "verify", "identify", "enroll", "snapshot", "reload", "gallery", "why")
DISCOVERY = "homeassistant/device/home-door-1/config"

MAY_WRITE = {
    DEVICE: [
        f"{HOME}/door-1/status",
        f"{HOME}/door-1/state",
        f"{HOME}/door-1/event",
        f"{HOME}/door-1/event/log",
        f"{HOME}/door-1/health",
        f"{HOME}/door-1/alert/camera_stalled",
        f"{HOME}/door-1/gallery/reported",
        f"{HOME}/door-1/rsp/verify/{DOOR}",
        f"{HOME}/door-1/rsp/enroll/{ADMIN}",
        DISCOVERY,
    ],
    DOOR: [f"{HOME}/door-1/cmd/{verb}" for verb in ("ping", "verify", "identify")]
    + [f"{HOME}/door-2/cmd/verify"],
    LOG: [],
    ADMIN: [f"{HOME}/door-1/cmd/{verb}" for verb in COMMANDS]
    + [
        f"{HOME}/door-2/cmd/verify",
        f"{HOME}/door-2/cmd/enroll",
        f"{HOME}/gallery/manifest",
        f"{HOME}/gallery/freshness",
        f"{HOME}/gallery/bucket/0a",
        f"{HOME}/gallery/person/p_8c1k3v9q2m",
    ],
    ASSISTANT: ["homeassistant/status", DISCOVERY, "homeassistant/device/home-door-2/config"],
}
EVERY_TOPIC = sorted(
    {topic for topics in MAY_WRITE.values() for topic in topics}
    | {
        # another device of the site
        f"{HOME}/door-2/status",
        f"{HOME}/door-2/state",
        f"{HOME}/door-2/event",
        f"{HOME}/door-2/event/log",
        f"{HOME}/door-2/health",
        f"{HOME}/door-2/alert/camera_stalled",
        f"{HOME}/door-2/gallery/reported",
        f"{HOME}/door-2/rsp/verify/{DOOR}",
        f"{HOME}/door-2/cmd/enroll",
        "homeassistant/device/home-door-2/config",
        # another site, also with the same device id
        f"{OTHER}/door-1/event",
        f"{OTHER}/door-1/cmd/verify",
        f"{OTHER}/gallery/manifest",
        # what no rule names
        f"{HOME}/door-1/cmd/verify/more",
        f"{HOME}/door-1/event/more",
        f"{HOME}/door-1/gallery/other",
        f"{HOME}/door-1/rsp/verify",
        f"{HOME}/door-1",
        HOME,
        "edgeface/v1",
        "edgeface/v2/home/door-1/event",
        "elsewhere",
        "$SYS/broker/uptime",
    }
)

MAY_READ = {
    DEVICE: [
        f"{HOME}/door-1/status",
        f"{HOME}/door-1/cmd/ping",
        f"{HOME}/door-1/cmd/enroll",
        f"{HOME}/gallery/manifest",
        f"{HOME}/gallery/person/p_8c1k3v9q2m",
        "homeassistant/status",
    ],
    DOOR: [
        f"{HOME}/door-1/event",
        f"{HOME}/door-1/status",
        f"{HOME}/door-1/state",
        f"{HOME}/door-1/rsp/verify/{DOOR}",
        f"{HOME}/door-2/event",
        f"{HOME}/door-2/status",
        f"{HOME}/door-2/state",
        f"{HOME}/door-2/rsp/verify/{DOOR}",
    ],
    LOG: [f"{HOME}/door-1/event/log", f"{HOME}/door-2/event/log"],
    ADMIN: [
        f"{HOME}/{device}/{topic}"
        for device in ("door-1", "door-2")
        for topic in ("status", "state", "health", "alert/camera_stalled", "gallery/reported")
    ]
    + [
        f"{HOME}/door-1/rsp/enroll/{ADMIN}",
        f"{HOME}/door-2/rsp/enroll/{ADMIN}",
        f"{HOME}/gallery/manifest",
        f"{HOME}/gallery/person/p_8c1k3v9q2m",
    ],
    ASSISTANT: [
        f"{HOME}/{device}/{topic}"
        for device in ("door-1", "door-2")
        for topic in ("status", "state", "event", "health", "alert/camera_stalled")
    ]
    + ["homeassistant/status", DISCOVERY, "homeassistant/device/home-door-2/config"],
}
PUBLISHED = [
    *(
        (device, f"{site}/{name}/{topic}")
        for device, site, name in (
            (DEVICE, HOME, "door-1"),
            ("device.home.door-2", HOME, "door-2"),
            ("device.other.door-1", OTHER, "door-1"),
        )
        for topic in (
            "status",
            "state",
            "event",
            "event/log",
            "health",
            "alert/camera_stalled",
            "gallery/reported",
            f"rsp/verify/{DOOR}",
            "rsp/verify/door.home.back",
            f"rsp/enroll/{ADMIN}",
            "rsp/enroll/admin.home.bob",
        )
    ),
    (DEVICE, DISCOVERY),
    ("device.home.door-2", "homeassistant/device/home-door-2/config"),
    (DOOR, f"{HOME}/door-1/cmd/ping"),
    (ADMIN, f"{HOME}/door-1/cmd/enroll"),
    (ADMIN, f"{HOME}/door-2/cmd/enroll"),
    (ADMIN, f"{HOME}/gallery/manifest"),
    (ADMIN, f"{HOME}/gallery/person/p_8c1k3v9q2m"),
    ("admin.other.carol", f"{OTHER}/gallery/manifest"),
    (ASSISTANT, "homeassistant/status"),
]
"""Who publishes what while all subscribe to everything."""
LAST = b"the last"
READERS = (DEVICE, DOOR, LOG, ADMIN, ASSISTANT, MAKER)
MORE_USERS = ("device.home.door-2", "device.other.door-1", "admin.other.carol")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HardenedBroker]:
    """The files that ship; the access list with blocks for a second device and a second site."""
    folder = tmp_path_factory.mktemp("fleet")
    authority = make_authority(folder / "ca", *SHIPPED_USERS, *MORE_USERS, "log.home.unlisted")
    for ending in ("pem", "key"):
        (authority / f"log.home.unlisted.{ending}").rename(authority / f"{MAKER}.{ending}")
    broker = HardenedBroker(folder / "broker", authority)
    more = acl_file(map(User.parse, MORE_USERS))
    broker.acl.write_text(broker.acl.read_text() + more)
    with broker:
        yield broker


def test_the_access_list_that_ships_is_what_the_code_writes() -> None:
    written = acl_file(map(User.parse, SHIPPED_USERS))
    assert (SHIPPED / "acl").read_text() == written
    assert {User.parse(user).role for user in SHIPPED_USERS} == set(ROLES) == set(DETAILS)


@pytest.mark.parametrize("user", [*SHIPPED_USERS, MAKER])
def test_a_role_publishes_what_is_its_own_and_nothing_else(
    fleet: HardenedBroker, user: str
) -> None:
    with Caller(certified(fleet, user)) as caller:
        answers = {topic: caller.publish(topic) for topic in EVERY_TOPIC}
    accepted = {topic for topic, reason in answers.items() if reason < 0x80}
    assert accepted == set(MAY_WRITE.get(user, []))
    assert {answers[topic] for topic in answers if topic not in accepted} == {NOT_AUTHORIZED}


@pytest.mark.parametrize("user", READERS)
@pytest.mark.parametrize("wildcard", [True, False], ids=["with wildcards", "topic by topic"])
def test_a_role_is_given_what_it_may_read_and_nothing_else(
    fleet: HardenedBroker, user: str, wildcard: bool
) -> None:
    topics = [topic for _, topic in PUBLISHED]
    filters = ["#", "edgeface/#", "+/+/+/+/event", "$SYS/#"] if wildcard else topics
    with ExitStack() as stack:
        callers = {
            name: stack.enter_context(Caller(certified(fleet, name)))
            for name in {user, *(publisher for publisher, _ in PUBLISHED)}
        }
        reader = callers[user]
        assert max(reader.subscribe(*filters)) < 0x80
        for publisher, topic in PUBLISHED:
            assert callers[publisher].publish(topic) < 0x80, (publisher, topic)
        _drain(callers, user)
        received = {topic for topic, payload in reader.got if payload != LAST}
    assert received == set(MAY_READ.get(user, []))


def _drain(callers: dict[str, Caller], user: str) -> None:
    """Until all that was published for the reader has come: one more message of each publisher,
    where there is one that the reader may read, and a round trip of its own."""
    reader = callers[user]
    for publisher in {publisher for publisher, _ in PUBLISHED}:
        readable = (t for p, t in PUBLISHED if p == publisher and t in MAY_READ.get(user, []))
        topic = next(readable, None)
        if topic is not None:
            callers[publisher].publish(topic, LAST)
            reader.wait(lambda topic=topic: (topic, LAST) in reader.got)
    reader.publish("elsewhere")


def test_a_door_cannot_read_the_answers_to_another_door(fleet: HardenedBroker) -> None:
    with (
        Caller(certified(fleet, DOOR)) as door,
        Caller(certified(fleet, DEVICE)) as device,
    ):
        door.subscribe(f"{HOME}/+/rsp/#")
        device.publish(f"{HOME}/door-1/rsp/verify/door.home.back", b"not yours")
        device.publish(f"{HOME}/door-1/rsp/verify/{DOOR}", b"yours")
        door.wait(lambda: bool(door.got))
        assert [payload for _, payload in door.got] == [b"yours"]


def test_a_will_on_a_foreign_topic_is_not_published(fleet: HardenedBroker) -> None:
    own, foreign = f"{HOME}/door-1/status", f"{HOME}/door-2/status"
    with Caller(certified(fleet, DOOR)) as door:
        door.subscribe(own, foreign)
        for topic in (foreign, own):
            device = Caller(certified(fleet, DEVICE), will=topic)
            with device:
                device.crash()
        door.wait(lambda: bool(door.got))
        assert door.got == [(own, b"will")]


def test_nobody_takes_over_the_session_of_another(fleet: HardenedBroker) -> None:
    with Caller(certified(fleet, DEVICE, client_id="same")) as device:
        for user in (DOOR, ADMIN):
            for client_id in ("same", DEVICE):
                with Caller(certified(fleet, user, client_id=client_id)):
                    assert device.publish(f"{HOME}/door-1/event") < 0x80


def test_a_reload_gives_and_takes_rights_of_clients_that_are_connected(tmp_path: Path) -> None:
    new = "device.home.door-9"
    authority = make_authority(tmp_path / "ca", DEVICE, new)
    with (
        HardenedBroker(tmp_path / "broker", authority) as broker,
        Caller(certified(broker, DEVICE)) as old_device,
        Caller(certified(broker, new)) as device,
    ):
        assert device.publish(f"{HOME}/door-9/event") == NOT_AUTHORIZED
        assert old_device.publish(f"{HOME}/door-1/event") < 0x80
        broker.acl.write_text(acl_file([User.parse(new)]))
        broker.reload()
        eventually(lambda: device.publish(f"{HOME}/door-9/event") < 0x80)
        assert old_device.publish(f"{HOME}/door-1/event") == NOT_AUTHORIZED


def test_the_gallery_outlives_a_restart_and_the_administrator_who_published_it(
    tmp_path: Path,
) -> None:
    authority = make_authority(tmp_path / "ca", DEVICE, ADMIN)
    people = {f"{HOME}/gallery/person/p_{number:010d}": b"r" * 700 for number in range(1500)}
    with HardenedBroker(tmp_path / "broker", authority) as broker:
        with Caller(certified(broker, ADMIN)) as admin:
            for topic, record in people.items():
                assert admin.publish(topic, record, retain=True) < 0x80
        without = [user for user in SHIPPED_USERS if user != ADMIN]
        broker.acl.write_text(acl_file(map(User.parse, without)))
        broker.stop()
        broker.start()
        with Caller(certified(broker, DEVICE)) as device:
            device.subscribe(f"{HOME}/gallery/#")
            device.wait(lambda: len(device.got) >= len(people))
            assert dict(device.got) == people


def test_the_limits_that_ship_are_told_to_a_client(fleet: HardenedBroker) -> None:
    connection = Connection(certified(fleet, DEVICE))
    connection.open()
    assert connection.maximum_packet_bytes == 1024 * 1024
    assert connection.receive_maximum == 200
    connection.close()


def test_nobody_who_asks_for_a_minute_has_the_longest_keepalive() -> None:
    """mosquitto 2.0.21 takes whoever has the longest one allowed for dead, at random."""
    lines = (SHIPPED / "mosquitto.conf").read_text().splitlines()
    (longest_s,) = (int(line.split()[1]) for line in lines if line.startswith("max_keepalive "))
    assert longest_s > 60


def test_a_log_that_is_away_misses_nothing_even_when_the_broker_restarts(tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "ca", DEVICE, LOG)
    topic = f"{HOME}/door-1/event/log"
    with HardenedBroker(tmp_path / "broker", authority) as broker:
        with Caller(certified(broker, LOG), session_expiry_s=3600) as log:
            log.subscribe(topic)
        sent = [b"%d" % number for number in range(2500)]
        with Caller(certified(broker, DEVICE)) as device:
            assert all(device.publish(topic, payload) < 0x80 for payload in sent)
        broker.stop()
        broker.start()
        with Caller(certified(broker, LOG), session_expiry_s=3600) as log:
            log.wait(lambda: len(log.got) >= len(sent))
            assert [payload for _, payload in log.got] == sent
