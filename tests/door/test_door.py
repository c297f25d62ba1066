"""The reference door: what opens it, and everything that must not."""

from __future__ import annotations

import dataclasses
import queue
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from edgeface.base.clock import NS, ManualClock
from edgeface.base.ids import uuid7
from edgeface.base.messages import Message
from edgeface.cli.main import main
from edgeface.contract import codec, event
from edgeface.contract.event import Identity, Loss, Pad
from edgeface.door import policy
from edgeface.door.loop import MAX_WAITING, offer
from edgeface.door.policy import DoorPolicy
from edgeface.mqtt.localbroker import LocalBroker
from edgeface.security.keys import SigningKey
from tests.support.broker import Witness
from tests.support.door import DoorProcess, pin
from tests.support.messages import TOPICS, Device, sighting

KEY = SigningKey.generate()
OTHER_KEY = SigningKey.generate()


class Doorway:
    """A policy on a clock of its own that has been there for a minute."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.policy = DoorPolicy(TOPICS, KEY.public, self.clock)
        self.clock.sleep(60)

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.clock.utc_ns() / NS, UTC)

    def payload(self, **changes: Any) -> bytes:
        """A good event of now, with fields of the wire form replaced."""
        identity = Identity(
            event_id=uuid7(self.clock.utc_ns()),
            seq=1,
            session="aaaaaaaa",
            site="hq",
            device="door-1",
            previous=None,
        )
        made = event.recognition(sighting(self.clock), identity)
        return codec.to_json(dataclasses.replace(made, **changes))

    def message(self, payload: bytes | None = None, **changes: Any) -> Message:
        """It signed for the right topic, with parts of the message replaced."""
        body = self.payload() if payload is None else payload
        good = Message(TOPICS.event, body, 1, False, KEY.properties(TOPICS.event, body))
        return dataclasses.replace(good, **changes)


@pytest.fixture
def doorway() -> Doorway:
    return Doorway()


def test_a_fresh_signed_recognition_opens_once(doorway: Doorway) -> None:
    message = doorway.message()
    verdict = doorway.policy.judge(message)
    assert (verdict.open, verdict.reason) == (True, "ok")
    assert verdict.event is not None
    assert verdict.event.match is not None
    again = doorway.policy.judge(message)
    assert (again.open, again.reason) == (False, "duplicate")
    assert doorway.policy.counts == {"ok": 1, "duplicate": 1}


def _signed_by(key: SigningKey, doorway: Doorway) -> Message:
    payload = doorway.payload()
    return doorway.message(payload, user_properties=key.properties(TOPICS.event, payload))


def _altered(doorway: Doorway) -> Message:
    message = doorway.message()
    return dataclasses.replace(message, payload=message.payload.replace(b"0.71", b"0.72"))


def _from_log(doorway: Doorway) -> Message:
    payload = doorway.payload()
    return doorway.message(payload, user_properties=KEY.properties(TOPICS.event_log, payload))


def _gap(doorway: Doorway) -> Message:
    identity = Identity(
        event_id=uuid7(0), seq=1, session="aaaaaaaa", site="hq", device="door-1", previous=None
    )
    made = event.gap(Loss(1, ()), identity, announced_at=doorway.now(), clock_synced=True)
    return doorway.message(codec.to_json(made))


def _rejected_with_a_match(doorway: Doorway) -> Message:
    return doorway.message(doorway.payload().replace(b'"recognized"', b'"rejected_pad"'))


def _with(**changes: Any) -> Callable[[Doorway], Message]:
    return lambda doorway: doorway.message(doorway.payload(**changes))


def _shifted(seconds: float) -> Callable[[Doorway], Message]:
    def make(doorway: Doorway) -> Message:
        captured = doorway.now() + timedelta(seconds=seconds)
        valid = captured + timedelta(seconds=5)
        return doorway.message(doorway.payload(captured_at=captured, valid_until=valid))

    return make


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(lambda d: d.message(topic=TOPICS.event_log), "wrong_topic", id="log topic"),
        pytest.param(
            lambda d: d.message(topic="edgeface/v1/hq/door-2/event"), "wrong_topic", id="other door"
        ),
        pytest.param(lambda d: d.message(retain=True), "retained", id="retained"),
        pytest.param(lambda d: d.message(user_properties=()), "unsigned", id="unsigned"),
        pytest.param(
            lambda d: d.message(user_properties=(("sig", "AAAA"), ("sig", "AAAA"))),
            "unsigned",
            id="two signatures",
        ),
        pytest.param(
            lambda d: d.message(user_properties=(("sig", "AAAA"),)), "wrong_signature", id="rubbish"
        ),
        pytest.param(lambda d: _signed_by(OTHER_KEY, d), "wrong_signature", id="forged"),
        pytest.param(_altered, "wrong_signature", id="altered"),
        pytest.param(_from_log, "wrong_signature", id="log copy on the event topic"),
        pytest.param(lambda d: d.message(b"{}"), "malformed:unsupported_version", id="no event"),
        pytest.param(lambda d: d.message(b"\xff"), "malformed:not_utf8", id="no text"),
        pytest.param(_gap, "not_a_recognition", id="gap"),
        pytest.param(_with(site="other"), "other_device", id="other site"),
        pytest.param(_with(device="door-2"), "other_device", id="other device"),
        pytest.param(_with(historical=True), "historical", id="historical"),
        pytest.param(_with(clock_synced=False), "clock_unsynced", id="clock not synced"),
        pytest.param(_shifted(-5.0), "stale", id="just over"),
        pytest.param(_shifted(-3600.0), "stale", id="an hour old"),
        pytest.param(_shifted(3.0), "from_the_future", id="future"),
        pytest.param(
            _with(event_type="unknown", match=None), "not_recognized:unknown", id="unknown"
        ),
        pytest.param(
            _with(event_type="ambiguous", match=None), "not_recognized:ambiguous", id="ambiguous"
        ),
        pytest.param(
            _with(event_type="rejected_pad", match=None, pad=Pad(True, live=False)),
            "not_recognized:rejected_pad",
            id="rejected_pad",
        ),
        pytest.param(_rejected_with_a_match, "malformed:inconsistent", id="rejected with a match"),
    ],
)
def test_nothing_else_opens(
    doorway: Doorway, make: Callable[[Doorway], Message], reason: str
) -> None:
    verdict = doorway.policy.judge(make(doorway))
    assert (verdict.open, verdict.reason) == (False, reason)
    assert doorway.policy.counts[reason] == 1


@pytest.mark.parametrize("pad", [Pad(), Pad(True), Pad(True, False), Pad(True, True)])
def test_a_door_that_demands_a_live_person_opens_on_evidence_of_one_alone(
    doorway: Doorway, pad: Pad
) -> None:
    demanding = DoorPolicy(TOPICS, KEY.public, doorway.clock, live_only=True)
    doorway.clock.sleep(3)
    message = doorway.message(doorway.payload(pad=pad))
    assert doorway.policy.judge(message).open
    assert demanding.judge(message).reason == ("ok" if pad.live else "not_live")


def test_a_validity_of_hours_is_not_believed(doorway: Doorway) -> None:
    late = doorway.now() + timedelta(hours=1)
    verdict = doorway.policy.judge(doorway.message(doorway.payload(valid_until=late)))
    assert verdict.reason == "valid_too_long"


def test_an_event_grows_stale_while_it_waits(doorway: Doorway) -> None:
    message = doorway.message()
    doorway.clock.sleep(4.9)
    assert doorway.policy.judge(message).reason == "stale"


@pytest.mark.parametrize("after_s", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("ahead_s", [0.0, 1.9])
def test_a_replay_after_the_door_was_started_anew_is_refused(
    doorway: Doorway, ahead_s: float, after_s: float
) -> None:
    """Also while the device's clock is as far ahead as is allowed."""
    message = _shifted(ahead_s)(doorway)
    assert doorway.policy.judge(message).open
    doorway.clock.sleep(after_s)
    restarted = DoorPolicy(TOPICS, KEY.public, doorway.clock)
    assert restarted.judge(message).reason == "before_start"
    doorway.clock.sleep(1.5)
    assert restarted.judge(message).reason == "before_start"


def test_a_door_opens_again_two_seconds_after_its_start(doorway: Doorway) -> None:
    restarted = DoorPolicy(TOPICS, KEY.public, doorway.clock)
    doorway.clock.sleep(1.9)
    assert restarted.judge(doorway.message()).reason == "before_start"
    doorway.clock.sleep(0.5)
    assert restarted.judge(doorway.message()).open


@pytest.mark.parametrize("set_by_s", [-3600, 3600])
def test_a_door_whose_clock_was_wrong_at_its_start_opens_once_it_is_right(
    doorway: Doorway, set_by_s: int
) -> None:
    restarted = DoorPolicy(TOPICS, KEY.public, doorway.clock)
    doorway.clock.utc_offset_ns += set_by_s * NS
    early = doorway.message()
    doorway.clock.sleep(3)
    assert restarted.judge(early).reason == "before_start"
    assert restarted.judge(doorway.message()).open


def test_a_door_on_the_device_itself_need_not_ask_whether_the_clock_is_synchronized(
    doorway: Doorway,
) -> None:
    doorway.policy = DoorPolicy(TOPICS, KEY.public, doorway.clock, same_clock=True)
    doorway.clock.sleep(0.5)
    payload = doorway.payload(clock_synced=False)
    message = doorway.message(payload)
    assert doorway.policy.judge(message).open
    late = doorway.message(doorway.payload(clock_synced=False))
    doorway.clock.sleep(6)
    assert doorway.policy.judge(late).reason == "stale"


def test_what_is_remembered_is_bounded_but_never_forgets_what_is_valid(
    doorway: Doorway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "MAX_REMEMBERED", 3)
    messages = [doorway.message() for _ in range(6)]
    assert all(doorway.policy.judge(message).open for message in messages)
    assert {doorway.policy.judge(message).reason for message in messages} == {"duplicate"}
    doorway.clock.sleep(10)
    assert doorway.policy.judge(doorway.message()).open
    assert len(doorway.policy._seen) == 3


def test_the_help_says_that_a_photograph_may_pass(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["door", "--help"])
    text = capsys.readouterr().out
    assert "PHOTOGRAPH MAY PASS" in text
    assert "Card and face" in text


def test_a_missing_key_is_one_clear_line(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    key = tmp_path / "device.pub"
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    assert main(["door", "--site", "hq", "--device", "d", "--key", str(key)]) == 2
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert f"edgeface: error: {key}: cannot read the key" in capsys.readouterr().err


@contextmanager
def controller(port: int, key: SigningKey, folder: Path, *more: str) -> Iterator[DoorProcess]:
    """A door that listens."""
    with DoorProcess(pin(folder, key), "--port", port, "--same-clock", *more) as found:
        assert found.next("ready")["topic"] == TOPICS.event
        yield found


def test_a_real_door_behind_a_broker_in_an_attackers_hands(
    broker: LocalBroker, tmp_path: Path
) -> None:
    opened = tmp_path / "opened"
    script = tmp_path / "open.sh"
    script.write_text(f'#!/bin/sh\necho "$EDGEFACE_PERSON" >> {opened}\n')
    script.chmod(0o755)
    command = ("--on-open", str(script))
    with (
        Witness(broker.port) as attacker,
        Device(tmp_path, broker.port, key=KEY) as device,
        controller(broker.port, KEY, tmp_path, *command) as process,
    ):
        device.wait_connected()
        device.see(age_s=0.0)
        assert process.verdict() == "ok"
        (live,) = attacker.wait_on(TOPICS.event, 1)
        (log,) = attacker.wait_on(TOPICS.event_log, 1)

        good = live.message
        properties = good.user_properties
        attacker.publish(TOPICS.event, good.payload, user_properties=properties)
        assert process.verdict() == "duplicate"
        attacker.publish(TOPICS.event, good.payload, retain=True, user_properties=properties)
        assert process.verdict() == "retained"
        changed = good.payload.replace(b'"agreeing":4', b'"agreeing":5')
        attacker.publish(TOPICS.event, changed, user_properties=properties)
        assert process.verdict() == "wrong_signature"
        attacker.publish(TOPICS.event, log.message.payload, user_properties=())
        assert process.verdict() == "unsigned"
        log_properties = log.message.user_properties
        attacker.publish(TOPICS.event, log.message.payload, user_properties=log_properties)
        assert process.verdict() == "wrong_signature"
        forged = OTHER_KEY.properties(TOPICS.event, changed)
        attacker.publish(TOPICS.event, changed, user_properties=forged)
        assert process.verdict() == "wrong_signature"
        attacker.publish(TOPICS.event, b"\x00" * 10_000, user_properties=properties)
        assert process.verdict() == "wrong_signature"

        device.see(age_s=0.0)
        assert process.verdict() == "ok"
        process.process.send_signal(signal.SIGTERM)
        counts = process.next("stopped")["counts"]
        assert counts["ok"] == 2
        assert process.process.wait(10) == 0
    assert opened.read_text() == "p_8c1k3v9q2m\n" * 2


def test_a_flood_behind_a_slow_command_fills_no_more_than_its_bound(doorway: Doorway) -> None:
    inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for _ in range(MAX_WAITING + 7):
        offer(inbox, doorway.message(), doorway.policy)
    assert inbox.qsize() == MAX_WAITING
    assert doorway.policy.counts == {"too_many": 7}


def test_a_real_door_stays_shut_for_what_waited_for_the_broker(
    broker: LocalBroker, tmp_path: Path
) -> None:
    with (
        Witness(broker.port) as witness,
        Device(tmp_path, broker.port, key=KEY) as device,
        controller(broker.port, KEY, tmp_path) as process,
    ):
        device.wait_connected()
        broker.stop()
        device.wait_disconnected()
        device.see(age_s=0.0)
        broker.start()
        witness.wait_subscribed(2)
        assert process.next("ready")
        device.wait_connected()
        device.see(age_s=0.0)
        assert process.verdict() == "ok"  # the second, and nothing came before it
        ids = [event.parse(item.message.payload).seq for item in witness.wait_on(TOPICS.event, 1)]
        assert ids == [2]


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        pytest.param("open 'the door", "No closing quotation", id="quotes"),
        pytest.param("  ", "no command", id="blank"),
        pytest.param("''", "no command", id="empty word"),
        pytest.param("./nosuch", "./nosuch: no such program", id="missing"),
        pytest.param("nosuch-command -x", "nosuch-command: no such", id="not in PATH"),
        pytest.param("/etc", "may not be run", id="folder"),
    ],
)
def test_a_command_that_cannot_be_run_is_refused_before_it_is_needed(
    command: str, fault: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ["--site", "hq", "--device", "door-1", "--key", str(tmp_path / "key")]
    with pytest.raises(SystemExit) as caught:
        main(["door", *here, "--on-open", command])
    assert caught.value.code == 2
    assert fault in capsys.readouterr().err


def test_a_command_that_fails_does_not_end_the_door(broker: LocalBroker, tmp_path: Path) -> None:
    command = tmp_path / "command"
    command.touch(0o755)
    with (
        Device(tmp_path, broker.port, key=KEY) as device,
        controller(broker.port, KEY, tmp_path, "--on-open", str(command)) as process,
    ):
        device.wait_connected()
        command.unlink()
        for _ in range(2):
            device.see(age_s=0.0)
            assert process.verdict() == "ok"
