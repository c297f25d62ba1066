"""Against a real mosquitto: what is sent live, what reaches the log, and what never does."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from edgeface.base.messages import Publication, Subscription
from edgeface.contract.event import DroppedRange, Gap, parse
from edgeface.contract.signatures import SIGNATURE
from edgeface.mqtt.localbroker import LocalBroker
from tests.support.broker import Witness, eventually
from tests.support.messages import TOPICS, Device


def test_an_event_goes_live_and_to_the_log_signed_for_each_topic(
    broker: LocalBroker, tmp_path: Path
) -> None:
    with Witness(broker.port) as witness, Device(tmp_path, broker.port) as device:
        device.wait_connected()
        device.see()
        (live,) = witness.wait_on(TOPICS.event, 1)
        (log,) = witness.wait_on(TOPICS.event_log, 1)
        assert live.expiry_s in {3, 4}  # 4.8 s are left of 5
        assert log.expiry_s is None
        for arrival in (live, log):
            message = arrival.message
            signature = message.user_property(SIGNATURE)
            assert signature is not None
            assert device.key.public.reason_against(message) is None
            assert message.user_property("kid") == device.key.kid
            assert not message.retain
        assert live.message.payload == log.message.payload
        eventually(lambda: device.outbox.status.depth == 0)


def test_an_event_without_a_whole_second_left_is_for_the_log_only(
    broker: LocalBroker, tmp_path: Path
) -> None:
    with Witness(broker.port) as witness, Device(tmp_path, broker.port) as device:
        device.wait_connected()
        device.see(age_s=4.2)
        witness.wait_on(TOPICS.event_log, 1)
        assert witness.on(TOPICS.event) == []
        eventually(lambda: device.publisher.status.live_missed["expired"] == 1)


def test_what_waits_for_a_broker_reaches_the_log_in_order_and_is_never_live(
    broker: LocalBroker, tmp_path: Path
) -> None:
    with Witness(broker.port) as witness, Device(tmp_path, broker.port) as device:
        device.wait_connected()
        device.see()
        witness.wait_on(TOPICS.event_log, 1)
        broker.stop()
        device.wait_disconnected()
        for _ in range(40):
            device.see()
        for _ in range(3):
            device.see(age_s=10)
        eventually(lambda: device.outbox.status.last_seq == 44)
        broker.start()
        witness.wait_subscribed(2)
        device.see()
        seen = witness.wait_on(TOPICS.event_log, 1)
        eventually(lambda: device.outbox.status.depth == 0)
        seen = witness.on(TOPICS.event_log)
        numbers = [parse(item.message.payload).seq for item in seen]
        assert numbers == sorted(numbers)
        late = [n for n in numbers if 42 <= n <= 44]
        for item in seen:
            event = parse(item.message.payload)
            assert event.historical == (event.seq in late)
        live = [parse(item.message.payload).seq for item in witness.on(TOPICS.event)]
        assert set(live) <= {1, 45}
        assert device.publisher.status.live_missed["offline"] >= 43


def test_the_log_gets_every_event_over_many_broker_restarts(
    broker: LocalBroker, tmp_path: Path
) -> None:
    """The witness may be away itself, so what counts is the PUBACK and what it saw while there."""
    with Device(tmp_path, broker.port) as device:
        device.wait_connected()
        for _ in range(3):
            for _ in range(20):
                device.see()
            broker.stop()
            broker.start()
            for _ in range(20):
                device.see()
        device.wait_connected()
        eventually(lambda: device.outbox.status.depth == 0)
        status = device.publisher.status
        assert status.log_delivered >= 120
        assert status.connections >= 2
        assert status.live_sent + sum(status.live_missed.values()) == 120


def test_the_next_session_delivers_what_the_last_one_left_as_historical(
    broker: LocalBroker, tmp_path: Path
) -> None:
    broker.stop()
    with Device(tmp_path, broker.port) as first:
        for _ in range(3):
            first.see()
        eventually(lambda: first.outbox.status.last_seq == 3)
    broker.start()
    with Witness(broker.port) as witness, Device(tmp_path, broker.port) as second:
        second.wait_connected()
        second.see()
        seen = [parse(a.message.payload) for a in witness.wait_on(TOPICS.event_log, 4)]
        assert [(e.session == first.session, e.seq) for e in seen] == [
            (True, 1),
            (True, 2),
            (True, 3),
            (False, 1),
        ]
        assert [e.historical for e in seen] == [True, True, True, False]
        previous = seen[3].previous
        assert previous is not None
        assert (previous.session, previous.last_seq) == (first.session, 3)
        assert [parse(a.message.payload).session for a in witness.wait_on(TOPICS.event, 1)] == [
            second.session
        ]


def test_online_comes_after_state_and_alerts_and_stopped_is_the_last_word(
    broker: LocalBroker, tmp_path: Path
) -> None:
    with Witness(broker.port, f"{TOPICS.base}/#") as witness:
        with Device(tmp_path, broker.port) as device:
            device.presence.set_alert("camera_stalled", "no frame for 5 s")
            device.wait_connected()
            device.presence.set_alert("camera_stalled", None)
            alert = TOPICS.alert("camera_stalled")
            witness.wait(lambda all_: any(a.topic == alert and not a.message.payload for a in all_))
        witness.wait_on(TOPICS.status, 2)
        topics = [a.topic for a in witness.arrivals]
        online = topics.index(TOPICS.status)
        assert topics.index(alert) < online
        assert topics[-1] == TOPICS.status
        said = [json.loads(a.message.payload) for a in witness.on(TOPICS.status)]
        assert said == [
            {"status": "online", "session": device.session},
            {"status": "stopped", "session": device.session},
        ]


def test_a_broken_connection_leaves_the_will_of_the_session(
    broker: LocalBroker, tmp_path: Path
) -> None:
    with Witness(broker.port, TOPICS.status) as witness, Device(tmp_path, broker.port) as device:
        device.wait_connected()
        connection = device.publisher._connection
        assert connection is not None
        connection._socket.shutdown(2)
        witness.wait_on(TOPICS.status, 3)
        said = [json.loads(a.message.payload)["status"] for a in witness.on(TOPICS.status)]
        assert said[0] == "online"
        assert "offline" in said
        assert said[-1] == "online"


def test_a_late_will_of_an_old_session_is_corrected(broker: LocalBroker, tmp_path: Path) -> None:
    with Witness(broker.port, TOPICS.status) as witness, Device(tmp_path, broker.port) as device:
        device.wait_connected()
        late = b'{"status":"offline","session":"0123456789abcdef"}'
        witness.publish(TOPICS.status, late, retain=True)
        said = witness.wait_on(TOPICS.status, 3)
        assert json.loads(said[-1].message.payload) == {
            "status": "online",
            "session": device.session,
        }


def test_others_can_publish_and_listen_through_the_publisher(
    broker: LocalBroker, tmp_path: Path
) -> None:
    with Witness(broker.port) as witness, Device(tmp_path, broker.port) as device:
        device.wait_connected()
        came = threading.Event()
        reasons: list[int | None] = []
        device.publisher.listen(Subscription(TOPICS.commands), lambda _: came.set())
        device.publisher.publish(Publication("some/topic", b"1"), reasons.append)
        eventually(lambda: reasons != [])
        assert reasons[0] in {0x00, 0x10}
        deadline = time.monotonic() + 5
        while not came.is_set() and time.monotonic() < deadline:
            witness.publish(TOPICS.command("ping"), b"{}")
            came.wait(0.1)
        assert came.is_set()


def test_a_publication_without_a_connection_is_given_up(tmp_path: Path) -> None:
    with Device(tmp_path, 9) as device:
        reasons: list[int | None] = []
        device.publisher.publish(Publication("some/topic", b"1"), reasons.append)
        eventually(lambda: reasons == [None])
        eventually(lambda: device.publisher.status.error is not None)


def test_a_broker_that_refuses_the_log_keeps_the_events_and_raises_an_alert(
    tmp_path: Path,
) -> None:
    acl = tmp_path / "acl"
    rules = [f"topic readwrite {TOPICS.base}/+", f"topic readwrite {TOPICS.base}/alert/#"]
    acl.write_text("\n".join([*rules, "topic read #"]) + "\n")
    acl.chmod(0o600)
    with (
        LocalBroker(tmp_path / "broker", extra=[f"acl_file {acl}"]) as broker,
        Witness(broker.port) as witness,
        Device(tmp_path, broker.port) as device,
    ):
        device.wait_connected()
        device.see()
        witness.wait_on(TOPICS.event, 1)
        refused = TOPICS.alert("broker_refused")
        witness.wait(lambda all_: any(a.topic == refused and a.message.payload for a in all_))
        assert device.outbox.status.depth == 1
        acl.write_text("\n".join([*rules, f"topic readwrite {TOPICS.base}/#"]) + "\n")
        broker.stop()
        broker.start()
        witness.wait_subscribed(2)
        eventually(lambda: device.outbox.status.depth == 0)
        eventually(lambda: "broker_refused" not in device.presence.alerts)


def test_an_event_that_the_broker_finds_too_large_becomes_a_dead_letter_and_a_gap(
    tmp_path: Path,
) -> None:
    with (
        LocalBroker(tmp_path / "broker", extra=["message_size_limit 3000"]) as broker,
        Witness(broker.port) as witness,
        Device(tmp_path, broker.port) as device,
    ):
        device.wait_connected()
        device.see(why={"padding": "x" * 4000})
        device.see()
        witness.wait(lambda all_: any(b'"gap"' in a.message.payload for a in all_))
        seen = {e.seq: e for e in (parse(a.message.payload) for a in witness.on(TOPICS.event_log))}
        assert sorted(seen) == [2, 3]
        gap = seen[3]
        assert isinstance(gap, Gap)
        assert gap.lost.ranges == (DroppedRange(device.session, 1, 1, 1, "refused"),)
        assert device.outbox.status.dead_letters == 1


@pytest.mark.parametrize("count", [500])
def test_a_backlog_drains_quickly(broker: LocalBroker, tmp_path: Path, count: int) -> None:
    broker.stop()
    with Device(tmp_path, broker.port) as device:
        for _ in range(count):
            device.see(age_s=10)
        eventually(lambda: device.outbox.status.last_seq == count)
        broker.start()
        eventually(lambda: device.outbox.status.depth == 0, 20)
        assert device.publisher.status.log_delivered >= count


def test_two_daemons_of_one_name_say_so_and_take_no_turns_without_a_pause(
    broker: LocalBroker, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    with Device(tmp_path, broker.port) as first, Device(tmp_path / "other", broker.port) as second:
        both = (first, second)
        eventually(lambda: all(device.presence.rival.trouble for device in both))
        eventually(lambda: any("name_in_use" in device.presence.alerts for device in both))
        before = sum(device.publisher.status.connections for device in both)
        with pytest.raises(AssertionError, match="did not happen"):  # 0.2 s is their usual pause
            eventually(
                lambda: sum(device.publisher.status.connections for device in both) > before + 1,
                timeout_s=2,
            )
