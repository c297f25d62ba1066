"""Hostile messages on every topic that a device subscribes to."""

from __future__ import annotations

import json
import os
from contextlib import suppress

import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgeface.messaging.commands import COMMANDS
from edgeface.messaging.wire import Message, Publication
from tests.support.broker import Witness
from tests.support.commanded import PERSON, Door
from tests.support.commands import TOPICS, fields

EXAMPLES = int(os.environ.get("EDGEFACE_FUZZ_EXAMPLES", "400"))
"""Messages to send, half of them commands; 100000 take about twenty minutes."""
MAX_GROWTH_MB = 12.0

hostile_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**70), max_value=2**70)
    | st.floats()
    | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
values = hostile_json | st.just(PERSON) | st.just("2026-11-21T16:51:39.120Z") | st.just("0" * 32)
almost = st.dictionaries(
    st.sampled_from(
        ["transaction", "session", "expires_at", "person_id", "timeout_s", "frames", "limit"]
    ),
    values,
)
payloads = (
    st.binary(max_size=300)
    | hostile_json.map(lambda value: json.dumps(value).encode())
    | almost.map(lambda value: json.dumps(value).encode())
    | st.integers(min_value=1, max_value=60_000).map(lambda size: b"[" * size)
    | st.just(b"")
)
verbs = st.sampled_from([*COMMANDS, "open", "event", "%00"])
topics = verbs.map(TOPICS.command) | st.sampled_from([TOPICS.status, "homeassistant/status"])
answers_to = (
    st.none()
    | st.sampled_from([TOPICS.event, TOPICS.status, TOPICS.command("ping"), "a/b"])
    | verbs.map(lambda verb: TOPICS.response(verb, "fuzz"))
)


@pytest.mark.timeout(120 + EXAMPLES // 50)
def test_whatever_is_sent_it_goes_on_recognising_with_memory_flat_and_the_gallery_unchanged(
    door: Door,
) -> None:
    before, refused = door.data("gallery"), door.turned_away()
    process = psutil.Process(door.daemon.process.pid)
    sent, resident_mb = 0, [0.0]

    with door.caller("fuzz") as attacker, door.caller("pacer") as pacer:
        session = pacer.session()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(
            topic=topics,
            payload=payloads,
            good=st.booleans(),
            retain=st.booleans(),
            response_topic=answers_to,
            correlation=st.none() | st.binary(max_size=200),
        )
        def send(
            topic: str,
            payload: bytes,
            good: bool,
            retain: bool,
            response_topic: str | None,
            correlation: bytes | None,
        ) -> None:
            nonlocal sent
            if good:
                # All that is needed to be taken, but for what was made up.
                with suppress(ValueError, TypeError, RecursionError):
                    payload = json.dumps(fields(session) | json.loads(payload)).encode()
            attacker.send(
                Publication(
                    topic,
                    payload,
                    qos=0,
                    retain=retain,
                    response_topic=response_topic,
                    correlation_data=correlation,
                )
            )
            sent += 1
            if sent % 50 == 0:
                attacker.receive(0.001)
                pacer.call("ping", {}, 30, session=session)
            if sent == EXAMPLES // 4:
                resident_mb[0] = process.memory_info().rss / 1e6

        send()
        for topic in (*map(TOPICS.command, (*COMMANDS, "open", "event", "%00")), TOPICS.status):
            attacker.send(Publication(topic, b"", retain=True))
        pacer.call("ping", {}, 30, session=session)
    assert sent >= EXAMPLES
    assert door.turned_away() - refused > EXAMPLES // 4
    grown_mb = process.memory_info().rss / 1e6 - resident_mb[0]
    assert grown_mb < MAX_GROWTH_MB
    with Witness(door.port, TOPICS.event_log) as witness:
        witness.wait(lambda all_: any(_recognized(item.message) for item in all_), 20)
    assert door.data("gallery") == before
    assert door.data("verify", person_id=PERSON, timeout_s=10)["outcome"] == "match"
    assert door.daemon.log.count("Traceback") == 0
    assert door.daemon.log.count("a command was refused") <= 12


def _recognized(message: Message) -> bool:
    body = json.loads(message.payload)
    return body["event_type"] == "recognized" and body["match"]["person_id"] == PERSON
