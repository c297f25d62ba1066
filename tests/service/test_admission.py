"""Which requests a device takes, and with which code it refuses the others."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeface.base.messages import Message
from edgeface.contract.answers import Code
from edgeface.contract.codec import format_time
from edgeface.contract.command_requests import MAX_COMMAND_BYTES, Enroll, Verify
from edgeface.contract.commands import COMMANDS
from edgeface.service.commanding import admission
from edgeface.service.commanding.admission import (
    MAX_OF_ONE_CLIENT,
    MAX_TRANSACTIONS,
    Admission,
    RefusedRequest,
    Request,
)
from tests.support.commands import CLIENT, SESSION, fields, message
from tests.support.messages import PERSON, TOPICS

NOW = datetime(2026, 11, 21, 16, 0, tzinfo=UTC)


class Gate:
    """An admission whose clock stands where the test puts it."""

    def __init__(self, *, synced: bool = True) -> None:
        self.now_s = NOW.timestamp()
        self.synced = synced
        self.enabled = tuple(verb for verb in COMMANDS if verb != "snapshot")
        self.admission = Admission(
            TOPICS,
            SESSION,
            now_s=lambda: self.now_s,
            synced=lambda: self.synced,
            enabled=lambda: self.enabled,
        )

    def judge(self, found: Message) -> Request | RefusedRequest:
        return self.admission.judge(found, 7)

    def code(self, found: Message) -> Code | None:
        verdict = self.judge(found)
        return verdict.code if isinstance(verdict, RefusedRequest) else None


def at(seconds: float) -> str:
    return format_time(NOW + timedelta(seconds=seconds))


def good(**changes: Any) -> dict[str, Any]:
    return fields(**({"expires_at": at(20)} | changes))


def test_a_good_request_is_taken_with_its_address() -> None:
    sent = good(person_id=PERSON, timeout_s=3, added_one_day="ignored")
    verdict = Gate().judge(message("verify", sent))
    assert isinstance(verdict, Request)
    assert isinstance(verdict.command, Verify)
    assert (verdict.command.person_id, verdict.command.timeout_s) == (PERSON, 3)
    assert verdict.address.topic == TOPICS.response("verify", CLIENT)
    assert verdict.address.correlation_data == b"42"
    assert verdict.command.transaction == sent["transaction"]
    assert verdict.received_boottime_ns == 7


def test_what_is_left_out_has_a_default() -> None:
    verdict = Gate().judge(message("enroll", good(), correlation_data=None))
    assert isinstance(verdict, Request)
    assert isinstance(verdict.command, Enroll)
    assert verdict.command.frames == 5
    assert verdict.command.timeout_s is None


@pytest.mark.parametrize(
    ("verb", "payload", "changes", "code"),
    [
        pytest.param("ping", good(), {"retain": True}, "retained", id="retained"),
        pytest.param("ping", b"not json", {"retain": True}, "retained", id="retained_rubbish"),
        pytest.param("open", good(), {}, "unknown_verb", id="unknown_verb"),
        pytest.param("snapshot", good(), {}, "disabled", id="switched_off"),
        pytest.param("ping", b" " * (MAX_COMMAND_BYTES + 1), {}, "too_large", id="too_large"),
        pytest.param("ping", b"", {}, "malformed", id="empty"),
        pytest.param("ping", b"\xff\xfe", {}, "malformed", id="not_utf8"),
        pytest.param("ping", b"[]", {}, "malformed", id="no_object"),
        pytest.param("ping", b"[" * 4000, {}, "malformed", id="too_deep"),
        pytest.param("ping", good(transaction=...), {}, "malformed", id="no_transaction"),
        pytest.param("ping", good(transaction="short"), {}, "malformed", id="short_transaction"),
        pytest.param("ping", good(transaction=["x"] * 16), {}, "malformed", id="list_transaction"),
        pytest.param("ping", good(session=...), {}, "malformed", id="no_session"),
        pytest.param("ping", good(expires_at=...), {}, "malformed", id="no_expiry"),
        pytest.param("ping", good(expires_at=17), {}, "malformed", id="expiry_no_time"),
        pytest.param("verify", good(), {}, "malformed", id="verify_whom"),
        pytest.param("verify", good(person_id="Anna"), {}, "malformed", id="verify_a_name"),
        pytest.param(
            "verify", good(person_id=PERSON, timeout_s=0), {}, "malformed", id="verify_at_once"
        ),
        pytest.param("enroll", good(frames=17), {}, "malformed", id="too_many_frames"),
        pytest.param("enroll", good(frames=True), {}, "malformed", id="frames_true"),
        pytest.param("gallery", good(limit=1001), {}, "malformed", id="too_long_a_page"),
        pytest.param("why", good(track=-1), {}, "malformed", id="negative_track"),
        pytest.param(
            "ping", good(), {"correlation_data": b"x" * 129}, "malformed", id="long_correlation"
        ),
        pytest.param("ping", good(session="f" * 16), {}, "other_session", id="other_session"),
        pytest.param("ping", good(expires_at=at(0)), {}, "expired", id="expired_now"),
        pytest.param("ping", good(expires_at=at(-86400)), {}, "expired", id="expired_long_ago"),
        pytest.param("ping", good(expires_at=at(60.1)), {}, "expires_too_late", id="too_late"),
    ],
)
def test_a_refusal_has_a_code_and_goes_to_the_caller(
    verb: str, payload: dict[str, Any] | bytes, changes: dict[str, Any], code: Code
) -> None:
    gate = Gate()
    verdict = gate.judge(message(verb, payload, **changes))
    assert isinstance(verdict, RefusedRequest)
    assert verdict.code == code
    assert verdict.address is not None
    assert verdict.address.topic == TOPICS.response(verb, CLIENT)
    assert len(gate.admission.seen) == 0


def test_the_transaction_comes_back_where_it_can_be_read() -> None:
    sent = good(session="f" * 16)
    for payload, transaction in (
        (json.dumps(sent).encode(), sent["transaction"]),
        (json.dumps(good(transaction="<script>alert(1)</script>")).encode(), None),
        (b"rubbish", None),
    ):
        verdict = Gate().judge(message("ping", payload))
        assert isinstance(verdict, RefusedRequest)
        assert verdict.address is not None
        assert verdict.address.transaction == transaction


@pytest.mark.parametrize(
    "topic",
    [
        pytest.param(None, id="none"),
        pytest.param("", id="empty"),
        pytest.param(TOPICS.event, id="the_live_events"),
        pytest.param(TOPICS.status, id="the_status"),
        pytest.param(TOPICS.response("verify", CLIENT), id="of_another_verb"),
        pytest.param("edgeface/v1/hq/door-2/rsp/ping/me", id="of_another_device"),
        pytest.param(TOPICS.response("ping", ""), id="nobody"),
        pytest.param(TOPICS.response("ping", "a/b"), id="a_level_more"),
        pytest.param(TOPICS.response("ping", "+"), id="wildcard"),
        pytest.param(TOPICS.response("ping", "#"), id="all"),
        pytest.param(TOPICS.response("ping", "a" * 151), id="endless"),
        pytest.param(TOPICS.response("ping", "ä"), id="not_ascii"),
        pytest.param("x" + TOPICS.response("ping", "me"), id="prefixed"),
    ],
)
def test_an_answer_goes_to_the_one_legal_topic_or_nowhere(topic: str | None) -> None:
    verdict = Gate().judge(message("ping", good(), response_topic=topic))
    assert isinstance(verdict, RefusedRequest)
    assert verdict.address is None


def test_a_transaction_is_taken_once() -> None:
    gate, sent = Gate(), message("ping", good())
    assert gate.code(sent) is None
    assert gate.code(sent) == "repeated"
    other_verb = message("reload", json.loads(sent.payload))
    assert gate.code(other_verb) == "repeated"
    gate.now_s += 30
    assert gate.code(sent) == "expired"


def test_what_was_refused_may_be_asked_again_under_the_same_transaction() -> None:
    gate, sent = Gate(), good(expires_at=at(70))
    assert gate.code(message("ping", sent)) == "expires_too_late"
    gate.now_s += 15
    assert gate.code(message("ping", sent)) is None


def from_client(client: str, **changes: Any) -> Message:
    return message("ping", good(**changes), response_topic=TOPICS.response("ping", client))


def test_who_asks_more_than_its_share_is_forgotten_and_nobody_is_refused_for_it() -> None:
    gate = Gate()
    other, mine = from_client("door.hq.back"), from_client("door.hq.front")
    assert gate.code(other) is None
    assert gate.code(mine) is None
    for _ in range(MAX_TRANSACTIONS + 100):
        assert gate.code(from_client("door.hq.front", expires_at=at(59))) is None
    assert len(gate.admission.seen) == MAX_OF_ONE_CLIENT + 1
    assert gate.code(other) == "repeated"
    assert gate.code(mine) is None


def test_who_takes_many_names_keeps_nobody_from_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_TRANSACTIONS", 50)
    gate = Gate()
    for number in range(500):
        assert gate.code(from_client(f"door.hq.{number}")) is None
        mine = from_client("door.hq.front")
        assert gate.code(mine) is None
        assert gate.code(mine) == "repeated"
    assert len(gate.admission.seen) == 50


def test_where_there_is_no_room_what_has_ended_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "MAX_TRANSACTIONS", 5)
    gate = Gate()
    kept = [from_client("a", expires_at=at(50)) for _ in range(3)]
    for sent in (from_client("b", expires_at=at(10)), *kept, from_client("c", expires_at=at(10))):
        assert gate.code(sent) is None
    gate.now_s += 11
    assert gate.code(from_client("d", expires_at=at(50))) is None
    assert len(gate.admission.seen) == 4
    assert [gate.code(sent) for sent in kept] == ["repeated"] * 3


def test_on_a_clock_that_stands_in_the_past_a_request_is_taken_once_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "MAX_TRANSACTIONS", 3)
    gate = Gate(synced=False)
    gate.now_s -= 365 * 86400
    sent = message("ping", good())
    assert gate.code(sent) is None
    assert gate.code(sent) == "repeated"
    for _ in range(10):
        assert gate.code(message("ping", good())) is None
    assert len(gate.admission.seen) == 3
    gate.now_s += 2 * 365 * 86400
    assert gate.code(message("ping", good())) == "expired"


@given(
    payload=st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    ).map(lambda value: json.dumps(value).encode()),
    verb=st.sampled_from([*COMMANDS, "open"]) | st.text(max_size=10),
    topic=st.none() | st.text(max_size=30) | st.just(TOPICS.response("ping", "me")),
    correlation=st.none() | st.binary(max_size=200),
)
def test_whatever_comes_is_refused_and_nothing_is_remembered(
    payload: bytes, verb: str, topic: str | None, correlation: bytes | None
) -> None:
    gate = Gate()
    verdict = gate.judge(message(verb, payload, response_topic=topic, correlation_data=correlation))
    assert isinstance(verdict, RefusedRequest)
    assert len(gate.admission.seen) == 0
