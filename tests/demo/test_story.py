"""What the demo makes of what it hears, in whatever order it comes."""

from __future__ import annotations

import dataclasses

import pytest

from edgeface.base.messages import Message
from edgeface.contract import codec
from edgeface.demo.story import Happening
from edgeface.security.keys import SigningKey
from tests.support.hearsay import Hearsay


def only(hearsay: Hearsay) -> Happening:
    (found,) = hearsay.story.happenings.values()
    return found


def test_an_event_and_its_log_copy_are_one_happening(hearsay: Hearsay) -> None:
    hearsay.live(at_s=3.0)
    found = only(hearsay)
    assert (found.live_s, found.logged_s, found.historical, found.signed) == (3.0, 3.0, False, True)
    assert found.latency_ms == 200


def test_a_late_event_is_historical_and_was_never_live(hearsay: Hearsay) -> None:
    hearsay.late(at_s=9.0)
    found = only(hearsay)
    assert (found.live_s, found.logged_s, found.historical) == (None, 9.0, True)


def test_the_door_may_speak_before_the_event_is_heard(hearsay: Hearsay) -> None:
    event = hearsay.event()
    hearsay.door(event, opens=True, at_s=0.9)
    hearsay.hear(hearsay.message(event), 1.0)
    found = only(hearsay)
    assert (found.opened, found.door_s, found.reason) == (True, 0.9, "ok")


@pytest.mark.parametrize(
    "forge",
    [
        pytest.param(lambda message: dataclasses.replace(message, user_properties=()), id="none"),
        pytest.param(
            lambda message: dataclasses.replace(
                message,
                user_properties=SigningKey.generate().properties(message.topic, message.payload),
            ),
            id="of another key",
        ),
    ],
)
def test_one_copy_without_a_good_signature_is_enough(hearsay: Hearsay, forge) -> None:  # type: ignore[no-untyped-def]
    event = hearsay.event()
    hearsay.hear(hearsay.message(event))
    assert only(hearsay).signed
    hearsay.hear(forge(hearsay.message(event, log=True)))
    assert not only(hearsay).signed


def test_what_breaks_the_contract_is_a_fault_and_no_happening(hearsay: Hearsay) -> None:
    hearsay.hear(Message(hearsay.topics.event_log, b"{}", 1, False))
    assert hearsay.story.happenings == {}
    (fault,) = hearsay.story.faults
    assert hearsay.topics.event_log in fault


def test_state_and_status_are_followed_also_when_they_are_cleared(hearsay: Hearsay) -> None:
    def say(topic: str, **fields: object) -> None:
        hearsay.hear(Message(topic, codec.dump(fields), 1, True))

    say(hearsay.topics.status, status="online")
    say(hearsay.topics.state, lifecycle="degraded", reasons=["too warm"])
    story = hearsay.story
    assert (story.status, story.lifecycle, story.reasons) == ("online", "degraded", ("too warm",))
    hearsay.hear(Message(hearsay.topics.status, b"", 1, True))
    assert story.status is None


def test_the_door_comes_and_goes(hearsay: Hearsay) -> None:
    story = hearsay.story
    for what, at_s in (("ready", 1.0), ("disconnected", 2.0), ("unreachable", 3.0)):
        story.hear_door({"door": what}, at_s)
    assert (story.door_ready, story.door_connected) == (1, False)
    story.hear_door({"door": "ready"}, 4.0)
    assert (story.door_ready, story.door_connected, story.door_ready_s) == (2, True, 4.0)


def test_a_refusal_of_no_event_is_noted_as_odd(hearsay: Hearsay) -> None:
    hearsay.story.hear_door({"door": "shut", "reason": "wrong_signature"}, 1.0)
    hearsay.story.hear_door({"message": "no line of a door"}, 1.0)
    assert hearsay.story.door_odd == ["wrong_signature"]
