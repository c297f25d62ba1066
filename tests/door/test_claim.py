"""Card and face, the door's half: it opens for one answer and for no other."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from edgeface.base.messages import Message
from edgeface.contract import codec
from edgeface.contract.answers import Answer, Error, Seen, VerifyData, VerifyProgress
from edgeface.contract.event import GalleryUsed, ModelsUsed, Pad, PadSource
from edgeface.door.claim import Claim
from edgeface.security.keys import SigningKey
from tests.support.commands import CLIENT, SESSION
from tests.support.messages import PERSON, TOPICS

NOW = datetime(2001, 1, 1, tzinfo=UTC)
"""The device's clock may stand anywhere."""
KEY = SigningKey.generate()


def claim(**changes: Any) -> Claim:
    return Claim(TOPICS, KEY.public, PERSON, client=CLIENT, session=SESSION, timeout_s=5, **changes)


def answer(asked: Claim, **changes: Any) -> Answer[VerifyData]:
    seen = Seen(
        captured_at=NOW,
        decided_at=NOW,
        clock_synced=False,
        frames=3,
        agreeing=3,
        quality=None,
        pad=Pad(),
        gallery=GalleryUsed(1, 318, 412),
        models=ModelsUsed("sha256:" + "a" * 64, "sha256:" + "b" * 64),
        accelerator="cpu",
        latency_ms=600,
    )
    data = VerifyData(
        person_id=changes.pop("person_id", PERSON),
        outcome=changes.pop("outcome", "match"),
        score=0.7,
        threshold=0.5,
        threshold_extrapolated=False,
        seen=seen,
    )
    values: dict[str, Any] = {
        "status": "ok",
        "verb": "verify",
        "transaction": asked.question.transaction,
        "session": SESSION,
        "site": "hq",
        "device": "door-1",
        "answered_at": NOW,
        "data": data,
    }
    return Answer[VerifyData](**(values | changes))


def sent(payload: bytes, *, key: SigningKey | None = KEY, **changes: Any) -> Message:
    topic = TOPICS.response("verify", CLIENT)
    values: dict[str, Any] = {
        "topic": topic,
        "payload": payload,
        "qos": 1,
        "retain": False,
        "user_properties": () if key is None else key.properties(topic, payload),
    }
    return Message(**(values | changes))


def test_a_fresh_signed_match_of_the_right_person_opens_once() -> None:
    asked = claim()
    found = sent(codec.to_json(answer(asked)))
    first = asked.judge(found, 0.7)
    assert first is not None
    assert (first.open, first.reason) == (True, "ok")
    second = asked.judge(found, 0.8)
    assert second is not None
    assert (second.open, second.reason) == (False, "duplicate")


@pytest.mark.parametrize(
    ("live", "reason"), [(True, "ok"), (False, "not_live"), (None, "not_live")]
)
def test_a_door_that_demands_a_live_person_opens_for_no_other_match(
    live: bool | None, reason: str
) -> None:
    asked = claim(demand="live")
    found = answer(asked)
    assert found.data is not None
    seen = dataclasses.replace(found.data.seen, pad=Pad(True, live))
    found = dataclasses.replace(found, data=dataclasses.replace(found.data, seen=seen))
    verdict = asked.judge(sent(codec.to_json(found)), 0.7)
    assert verdict is not None
    assert (verdict.open, verdict.reason) == (live is True, reason)
    assert verdict.evidence["pad"].startswith({True: "live", False: "not live"}.get(live, "nobody"))


@pytest.mark.parametrize(
    ("policy", "reason", "hinted"),
    [("report", "not_live", True), ("refuse_recognized", "not_live", False)],
)
def test_who_demands_evidence_for_which_the_device_does_not_wait_is_told(
    policy: Any, reason: str, hinted: bool
) -> None:
    asked = claim(demand="live")
    found = answer(asked)
    assert found.data is not None
    seen = dataclasses.replace(found.data.seen, pad=Pad(True, policy=policy))
    found = dataclasses.replace(found, data=dataclasses.replace(found.data, seen=seen))
    verdict = asked.judge(sent(codec.to_json(found)), 0.7)
    assert verdict is not None
    assert verdict.reason == reason
    assert ("pad.verify" in verdict.evidence.get("hint", "")) == hinted


PASSED = PadSource("challenge", 1.0, True)


@pytest.mark.parametrize(
    ("pad", "reason"),
    [
        (Pad(True, True, 1.0, (PASSED,)), "ok"),
        (Pad(), "not_live"),  # of a device that does not know what a challenge is
        (Pad(True, True, 0.9, (PadSource("motion", 0.9, True),)), "not_challenged"),
        (Pad(True, False, 0.0, (PASSED, PadSource("passive", 0.0, False))), "not_live"),
    ],
)
def test_a_door_that_demands_a_challenge_asks_for_it_and_opens_for_no_other_match(
    pad: Pad, reason: str
) -> None:
    asked = claim(demand="challenge")
    assert json.loads(asked.question.publication.payload)["challenge"] is True
    assert "challenge" not in json.loads(claim().question.publication.payload)
    found = answer(asked)
    assert found.data is not None
    seen = dataclasses.replace(found.data.seen, pad=pad)
    found = dataclasses.replace(found, data=dataclasses.replace(found.data, seen=seen))
    verdict = asked.judge(sent(codec.to_json(found)), 0.7)
    assert verdict is not None
    assert (verdict.open, verdict.reason) == (reason == "ok", reason)


def test_a_prompt_is_shown_and_uses_nothing_up() -> None:
    asked = claim(demand="challenge")
    told = VerifyProgress(done=0, wanted=3, prompt="look_left", message="turn to the left")
    fields: dict[str, Any] = {"status": "progress", "verb": "verify", "site": "hq"}
    fields |= {"device": "door-1", "answered_at": NOW, "session": SESSION, "data": told}

    def prompt(key: SigningKey = KEY, **changes: Any) -> Message:
        made: Answer[VerifyProgress] = Answer(
            **(fields | {"transaction": asked.question.transaction} | changes)
        )
        return sent(codec.to_json(made), key=key)

    assert asked.prompt(prompt()) == told
    assert asked.prompt(prompt(status="ok")) is None
    assert asked.prompt(prompt(session="f" * 32)) is None
    assert asked.prompt(prompt(key=SigningKey.generate())) is None
    earlier = prompt(transaction="x" * 16)
    assert asked.prompt(earlier) is None
    assert asked.judge(earlier, 0.5) is None
    verdict = asked.judge(sent(good(asked)), 0.6)
    assert verdict is not None
    assert verdict.reason == "not_live"


def test_the_question_is_a_good_request() -> None:
    publication = claim().question.publication
    body = json.loads(publication.payload)
    assert publication.topic == TOPICS.command("verify")
    assert not publication.retain
    assert publication.response_topic == TOPICS.response("verify", CLIENT)
    assert (body["person_id"], body["timeout_s"], body["session"]) == (PERSON, 5, SESSION)
    assert claim().question.transaction != claim().question.transaction


def refusal() -> dict[str, Any]:
    return {"status": "error", "error": Error.of("multiple_faces", "two"), "data": None}


@pytest.mark.parametrize(
    ("make", "elapsed_s", "reason"),
    [
        pytest.param(lambda c: sent(good(c), retain=True), 1, "retained", id="retained"),
        pytest.param(lambda c: sent(good(c), key=None), 1, "unsigned", id="unsigned"),
        pytest.param(
            lambda c: sent(good(c), key=SigningKey.generate()), 1, "wrong_signature", id="forged"
        ),
        pytest.param(
            lambda c: sent(
                good(c).replace(b'"no_match"', b'"match"'),
                user_properties=KEY.properties(
                    TOPICS.response("verify", CLIENT), good(c, outcome="no_match")
                ),
            ),
            1,
            "wrong_signature",
            id="changed",
        ),
        pytest.param(
            lambda c: sent(
                good(c), user_properties=KEY.properties(TOPICS.response("verify", "me"), good(c))
            ),
            1,
            "wrong_signature",
            id="another_door's",
        ),
        pytest.param(lambda c: sent(good(c)), 5.6, "too_late", id="too_late"),
        pytest.param(lambda _: sent(b"{}"), 1, "malformed:missing_field", id="malformed"),
        pytest.param(lambda c: sent(good(c, device="door-2")), 1, "other_device", id="device"),
        pytest.param(lambda c: sent(good(c, session="f" * 16)), 1, "other_session", id="session"),
        pytest.param(
            lambda c: sent(good(c, person_id="p_0000000000")), 1, "other_person", id="person"
        ),
        pytest.param(lambda c: sent(good(c, outcome="no_match")), 1, "no_match", id="no_match"),
        pytest.param(
            lambda c: sent(good(c, outcome="inconclusive")), 1, "inconclusive", id="inconclusive"
        ),
        pytest.param(
            lambda c: sent(good(c, outcome="rejected_pad")), 1, "rejected_pad", id="rejected_pad"
        ),
        pytest.param(lambda c: sent(good(c, **refusal())), 1, "multiple_faces", id="refused"),
        pytest.param(lambda c: sent(good(c, status="progress")), 1, "no_data", id="progress"),
    ],
)
def test_everything_else_keeps_the_door_shut(
    make: Callable[[Claim], Message], elapsed_s: float, reason: str
) -> None:
    asked = claim()
    verdict = asked.judge(make(asked), elapsed_s)
    assert verdict is not None
    assert not verdict.open
    assert verdict.reason == reason


def good(asked: Claim, **changes: Any) -> bytes:
    return codec.to_json(answer(asked, **changes))


def test_the_answer_to_an_earlier_card_is_not_looked_at() -> None:
    earlier, asked = claim(), claim()
    assert asked.judge(sent(good(earlier)), 1) is None
    assert asked.judge(sent(good(asked), topic=TOPICS.event), 1) is None
