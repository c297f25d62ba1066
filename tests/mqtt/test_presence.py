"""Birth, will, farewell, retained topics; by hand and without a broker."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from edgeface.base.clock import ManualClock
from edgeface.base.messages import Message, Publication
from edgeface.contract.report import AlertId, OutboxState, State
from edgeface.mqtt.link import DeviceSession
from edgeface.mqtt.presence import Presence
from edgeface.mqtt.rival import QUIET_S
from edgeface.security.keys import SigningKey
from tests.support.messages import TOPICS

SESSION = "aaaaaaaa"
ONLINE = {"status": "online", "session": SESSION}


def state(lifecycle: str = "ready", last_seq: int = 0) -> State:
    return State(
        lifecycle=lifecycle,  # type: ignore[arg-type]
        reasons=(),
        session=SESSION,
        last_seq=last_seq,
        clock_synced=True,
        accelerator="cpu",
        camera={"name": "porch"},
        gallery=None,
        models={},
        outbox=OutboxState(depth=0, bytes=0, dropped=0, dead_letters=0, degraded=None),
        versions={"edgeface": "0.1.0"},
        signing_key="0123456789abcdef",
    )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def presence(clock: ManualClock) -> Presence:
    return Presence(DeviceSession(TOPICS, SESSION, SigningKey.generate(), clock))


def body(publication: Publication) -> object:
    return json.loads(publication.payload)


def status_message(payload: bytes) -> Message:
    return Message(TOPICS.status, payload, 1, True)


def test_the_will_says_offline_and_everything_is_retained(presence: Presence) -> None:
    assert body(presence.will()) == {"status": "offline", "session": SESSION}
    presence.set_state(state())
    publications = [presence.will(), *presence.birth(), *presence.farewell()]
    assert all(item.retain and item.qos == 1 for item in publications)


def test_birth_ends_with_online_and_clears_what_an_earlier_session_left(
    presence: Presence,
) -> None:
    presence.set_state(state())
    presence.set_alert("gallery_stale", "no freshness for 8 days")
    first, *alerts, last = presence.birth()
    assert first.topic == TOPICS.state
    assert body(last) == ONLINE
    standing = [item.topic for item in alerts if item.payload]
    assert standing == [TOPICS.alert("gallery_stale")]
    assert len(alerts) == len(get_args(AlertId))


def test_state_is_sent_when_it_changes_at_most_once_a_second(
    presence: Presence, clock: ManualClock
) -> None:
    presence.set_state(state())
    presence.birth()
    assert presence.changes() == []
    presence.set_state(state(last_seq=1))
    assert presence.changes() == []
    presence.set_state(state(last_seq=2))
    clock.sleep(1)
    (sent,) = presence.changes()
    assert json.loads(sent.payload)["last_seq"] == 2
    presence.set_state(state(last_seq=2))
    clock.sleep(1)
    assert presence.changes() == []


def test_an_alert_keeps_its_beginning_and_is_cleared_by_an_empty_message(
    presence: Presence, clock: ManualClock
) -> None:
    presence.set_alert("camera_stalled", "one")
    (first,) = presence.changes()
    clock.sleep(5)
    presence.set_alert("camera_stalled", "two")
    (second,) = presence.changes()
    assert json.loads(first.payload)["since"] == json.loads(second.payload)["since"]
    presence.set_alert("camera_stalled", "two")
    assert presence.changes() == []
    presence.set_alert("camera_stalled", None)
    (cleared,) = presence.changes()
    assert (cleared.topic, cleared.payload) == (TOPICS.alert("camera_stalled"), b"")
    presence.set_alert("camera_stalled", None)
    assert presence.changes() == []


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(b'{"status":"offline","session":"bbbbbbbb"}', id="late will of another"),
        pytest.param(b'{"status":"offline","session":"aaaaaaaa"}', id="late will of this session"),
        pytest.param(b'{"status":"online","session":"bbbbbbbb"}', id="another session"),
        pytest.param(b"", id="cleared"),
        pytest.param(b"rubbish", id="rubbish"),
    ],
)
def test_a_wrong_status_is_corrected_once_a_second(
    presence: Presence, clock: ManualClock, payload: bytes
) -> None:
    presence.birth()
    presence.saw_status(status_message(payload))
    assert presence.changes() == []
    clock.sleep(1)
    (sent,) = presence.changes()
    assert body(sent) == ONLINE
    clock.sleep(1)
    assert presence.changes() == []


def test_a_flood_of_wrong_statuses_is_logged_once_for_each_correction(
    presence: Presence, clock: ManualClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    presence.birth()
    for _ in range(2):
        for _ in range(1000):
            presence.saw_status(status_message(b"rubbish"))
        clock.sleep(1)
        assert len(presence.changes()) == 1
    assert caplog.text.count("wrong status") == 2


def test_its_own_online_is_left_alone(presence: Presence, clock: ManualClock) -> None:
    *_, online = presence.birth()
    clock.sleep(5)
    presence.saw_status(status_message(online.payload))
    assert presence.changes() == []


def test_after_the_farewell_nothing_is_corrected(presence: Presence, clock: ManualClock) -> None:
    presence.birth()
    (last,) = presence.farewell()
    assert body(last) == {"status": "stopped", "session": SESSION}
    clock.sleep(5)
    presence.saw_status(status_message(last.payload))
    assert presence.changes() == []


def test_a_wrong_status_seen_just_before_the_farewell_is_not_corrected_after_it(
    presence: Presence, clock: ManualClock
) -> None:
    """`online` would stay on the broker for ever: a clean DISCONNECT discards the will."""
    presence.birth()
    presence.saw_status(status_message(b"rubbish"))
    presence.farewell()
    clock.sleep(1)
    assert presence.changes() == []


def told(status: str, session: str) -> Message:
    payload = json.dumps({"status": status, "session": session}).encode()
    return Message(TOPICS.status, payload, 1, True, ())


def test_who_shares_a_name_says_so_and_waits_longer_each_time(
    presence: Presence, clock: ManualClock
) -> None:
    presence.birth()
    presence.saw_status(told("online", SESSION))
    presence.birth()
    assert presence.rival.pause_s() == 0
    presence.saw_status(told("offline", "bbbbbbbb"))
    presence.changes()
    assert set(presence.alerts) == {"name_in_use"}
    pauses = [presence.rival.pause_s() for _ in range(20)]
    assert min(pauses) >= 5
    assert max(pauses) > 10
    clock.sleep(QUIET_S + 1)
    presence.changes()
    assert presence.alerts == {}
    assert presence.rival.pause_s() == 0


@pytest.mark.parametrize("late", ["online", "offline"])
def test_what_an_earlier_session_left_is_no_second_daemon(presence: Presence, late: str) -> None:
    presence.birth()
    presence.saw_status(told(late, "bbbbbbbb"))
    presence.saw_status(told("online", SESSION))
    presence.saw_status(told("offline", "bbbbbbbb"))  # a late will
    presence.changes()
    assert presence.alerts == {}


def test_two_daemons_that_are_both_connected_do_not_correct_each_other_all_the_time(
    presence: Presence, clock: ManualClock
) -> None:
    presence.birth()
    presence.saw_status(told("online", SESSION))
    sent = []
    for _ in range(121):
        clock.sleep(1)
        presence.saw_status(told("online", "bbbbbbbb"))
        sent += [item for item in presence.changes() if item.topic == TOPICS.status]
    assert len(sent) == 2
