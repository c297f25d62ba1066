"""Commands to the real daemon, with the models that ship, over a real broker."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import cv2
import pytest

from edgeface.base.errors import NoAnswerError
from edgeface.base.messages import Publication
from edgeface.contract.commands import COMMANDS
from edgeface.mqtt.caller import Caller, read_answer
from edgeface.security.keys import SigningKey
from tests.support.broker import Witness
from tests.support.commanded import CLIENT, PERSON, Door
from tests.support.commands import fields, publication
from tests.support.daemon import edgeface, write_config
from tests.support.messages import TOPICS


def call(door: Door, verb: str, *arguments: str | Path, signed: bool = True) -> tuple[int, Any]:
    """The command line: exit code and answer."""
    key = ("--key", door.folder / "state" / "device.key.pub") if signed else ()
    done = edgeface("call", "door-1", verb, *arguments, "-c", door.file, *key)
    return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


def test_ping_says_what_may_be_asked(door: Door) -> None:
    code, answer = call(door, "ping")
    assert code == 0
    assert answer["signature"] == "good"
    assert answer["data"]["verbs"] == list(COMMANDS)
    assert answer["data"]["lifecycle"] in ("ready", "degraded")


def test_verify_is_a_yes_for_the_right_person_alone(door: Door) -> None:
    asked_at = time.time()
    code, answer = call(door, "verify", PERSON, "--timeout", "10")
    data = answer["data"]
    assert (code, data["outcome"], data["person_id"]) == (0, "match", PERSON)
    assert datetime.fromisoformat(data["seen"]["captured_at"]).timestamp() > asked_at
    assert (data["seen"]["pad"]["assessed"], data["seen"]["pad"]["policy"]) == (True, "report")
    code, answer = call(door, "verify", "Eileen", "--timeout", "10")
    assert (code, answer["data"]["person_id"]) == (0, PERSON)
    code, answer = call(door, "verify", "p_0000000000")
    assert (code, answer["data"]["outcome"]) == (1, "not_enrolled")


def test_identify_names_who_is_there(door: Door) -> None:
    data = door.data("identify", timeout_s=10)
    assert data["outcome"] == "recognized"
    assert data["match"]["person_id"] == PERSON


def test_two_cards_at_once_the_second_is_told_to_wait(door: Door) -> None:
    with door.caller("first") as first, door.caller("second") as second:
        session = first.session()
        enroll = publication(
            "enroll",
            fields(session, frames=16, timeout_s=3),
            response_topic=TOPICS.response("enroll", "first"),
        )
        first.subscribe(TOPICS.response("enroll", "first"))
        first.send(enroll)
        progress = first.receive(10)
        assert progress is not None
        assert read_answer(progress, "enroll", door.key).status == "progress"
        refused = second.call("verify", {"person_id": PERSON}, 10, key=door.key)
        assert refused.error is not None
        assert (refused.error.code, refused.error.retryable) == ("busy", True)
        assert second.call("ping", {}, 10).status == "ok"
        while (message := first.receive(15)) is not None:
            last = read_answer(message, "enroll", door.key)
            if last.status != "progress":
                break
        assert last.error is not None
        assert last.error.code == "incomplete"


def test_an_enrollment_at_the_door_can_be_imported_and_changes_nothing_here(
    door: Door, tmp_path: Path
) -> None:
    before = door.data("gallery")
    out = tmp_path / "person.export"
    code, answer = call(
        door, "enroll", "--frames", "3", "--person", "p_newc0mer00",
        "--open-with", door.folder / "admin.key", "--out", out,
    )  # fmt: skip
    assert code == 0, answer
    assert answer["data"]["frames"] == 3
    assert answer["data"]["known_as"] == PERSON
    assert out.stat().st_mode & 0o777 == 0o600
    assert door.data("gallery") == before
    other = write_config(tmp_path, door.port, camera={"source": "images", "folder": "."})
    done = edgeface("gallery", "import", out, "-c", other)
    assert done.returncode == 0, done.stderr
    assert "p_newc0mer00" in edgeface("gallery", "list", "-c", other).stdout


def test_a_snapshot_is_a_picture_for_the_administrator(door: Door, tmp_path: Path) -> None:
    out = tmp_path / "picture.jpg"
    code, answer = call(door, "snapshot", "--open-with", door.folder / "admin.key", "--out", out)
    assert code == 0, answer
    picture = cv2.imread(str(out))
    assert picture is not None
    assert picture.shape == (480, 640, 3)
    assert b"\xff\xd8" not in json.dumps(answer).encode()


def test_the_gallery_is_told_in_pages(door: Door) -> None:
    code, answer = call(door, "gallery")
    data = answer["data"]
    assert (code, data["person_ids"], data["people"], data["next"]) == (0, [PERSON], 1, None)
    assert door.data("gallery", limit=0)["person_ids"] == []
    assert door.data("gallery", after=PERSON)["person_ids"] == []
    assert door.data("gallery")["digest"] == data["digest"]


def test_why_explains_a_track_and_not_one_that_never_was(door: Door) -> None:
    data = door.data("why")
    assert data["why"]["gates"]
    assert door.data("why", track=data["recent"][0])["why"] is not None
    code, answer = call(door, "why", "4000000")
    assert (code, answer["error"]["code"]) == (1, "not_found")
    assert not answer["error"]["retryable"]


def test_a_reload_is_taken_or_refused_with_its_faults(door: Door) -> None:
    good = door.file.read_text()
    try:
        door.file.write_text(good + "outbox: {max_events: 5000}\n")
        assert door.data("reload")["needs_restart"] == ["outbox"]
        door.file.write_text(good + "quality: {min_face_px: many}\n")
        refused = door.ask("reload")
    finally:
        door.file.write_text(good)
    assert refused.error is not None
    assert refused.error.code == "not_reloaded"
    assert "quality.min_face_px" in refused.error.message


def test_a_reload_to_a_camera_that_is_not_there_is_refused_and_the_door_goes_on(door: Door) -> None:
    good = door.file.read_text()
    assert good.count("/pictures") == 1
    try:
        door.file.write_text(good.replace("/pictures", "/nowhere"))
        refused = door.ask("reload")
    finally:
        door.file.write_text(good)
    assert refused.error is not None
    assert refused.error.code == "not_reloaded"
    assert "nowhere" in refused.error.message
    assert door.data("identify")["match"]["person_id"] == PERSON


def test_a_verb_that_is_switched_off_stays_off_until_a_reload(door: Door) -> None:
    good = door.file.read_text()
    try:
        door.file.write_text(good.replace("snapshot: true", "snapshot: false"))
        door.data("reload")
        refused = door.ask("snapshot")
    finally:
        door.file.write_text(good)
        door.data("reload")
    assert refused.error is not None
    assert refused.error.code == "disabled"


@pytest.mark.parametrize(
    ("make", "code"),
    [
        pytest.param(
            lambda session: publication("ping", fields(session), retain=True),
            "retained",
            id="retained",
        ),
        pytest.param(
            lambda session: publication("ping", fields("f" * 32)), "other_session", id="session"
        ),
        pytest.param(
            lambda session: publication(
                "ping", fields(session, expires_at="2020-01-01T00:00:00.000Z")
            ),
            "expired",
            id="expired",
        ),
        pytest.param(lambda session: publication("ping", b"}{"), "malformed", id="malformed"),
        pytest.param(lambda session: publication("ping", b"x" * 5000), "too_large", id="too_large"),
        pytest.param(
            lambda session: publication("open", fields(session)), "unknown_verb", id="unknown"
        ),
        pytest.param(
            lambda session: publication("verify", fields(session, person_id=PERSON, timeout_s=60)),
            "malformed",
            id="too_long_a_wait",
        ),
    ],
)
def test_a_refusal_is_answered_with_its_code(
    door: Door, make: Callable[[str], Publication], code: str
) -> None:
    with door.caller("door.hq.front") as caller:
        asked = make(caller.session())
        assert asked.response_topic is not None
        caller.subscribe(asked.response_topic)
        caller.send(asked)
        answer = await_answer(caller, asked.response_topic)
        if asked.retain:
            caller.send(Publication(asked.topic, b"", retain=True))
    assert answer["status"] == "error"
    assert answer["error"]["code"] == code
    assert answer["error"]["message"]


def test_a_repeated_request_is_refused(door: Door) -> None:
    with door.caller("door.hq.front") as caller:
        asked = publication("ping", fields(caller.session()))
        assert asked.response_topic is not None
        caller.subscribe(asked.response_topic)
        caller.send(asked)
        assert await_answer(caller, asked.response_topic)["status"] == "ok"
        caller.send(asked)
        answer = await_answer(caller, asked.response_topic)
    assert answer["error"]["code"] == "repeated"
    assert answer["transaction"] == json.loads(asked.payload)["transaction"]


def test_without_a_legal_response_topic_nothing_is_said_anywhere(door: Door) -> None:
    with Witness(door.port, "edgeface/v1/hq/door-1/rsp/#", "elsewhere") as witness:
        with door.caller() as caller:
            session = caller.session()
            for topic in (None, "elsewhere", TOPICS.response("verify", "me"), TOPICS.event):
                caller.send(publication("ping", fields(session), response_topic=topic))
            caller.call("ping", {}, 10)
        answered = {arrival.topic for arrival in witness.arrivals}
    assert answered <= {TOPICS.response("ping", CLIENT)}


def test_the_correlation_data_comes_back(door: Door) -> None:
    with door.caller("door.hq.front") as caller:
        asked = publication("ping", fields(caller.session()), correlation_data=b"\0\xff7")
        assert asked.response_topic is not None
        caller.subscribe(asked.response_topic)
        caller.send(asked)
        message = caller.receive(10)
        while message is not None and message.topic != asked.response_topic:
            message = caller.receive(10)
    assert message is not None
    assert message.correlation_data == b"\0\xff7"
    assert not message.retain


def await_answer(caller: Caller, topic: str) -> dict[str, Any]:
    while (message := caller.receive(10)) is not None:
        if message.topic == topic:
            found: dict[str, Any] = json.loads(message.payload)
            return found
    raise AssertionError("no answer")


def test_the_card_and_face_door_opens_for_the_person_of_the_card(door: Door) -> None:
    arguments = (
        "door", "--site", "hq", "--device", "door-1", "--port", str(door.port),
        "--key", door.folder / "state" / "device.key.pub", "--json", "--on-open",
        "printenv EDGEFACE_PERSON", "--verify",
    )  # fmt: skip
    opened = edgeface(*arguments, PERSON)
    assert opened.returncode == 0, opened.stderr
    assert json.loads(opened.stdout.splitlines()[0])["door"] == "open"
    assert opened.stdout.splitlines()[1] == PERSON
    shut = edgeface(*arguments, "p_0000000000")
    assert shut.returncode == 1
    assert json.loads(shut.stdout)["reason"] == "not_enrolled"


def test_a_challenge_is_prompted_and_keeps_the_door_shut_for_who_does_not_answer(
    door: Door,
) -> None:
    done = edgeface(
        "door", "--site", "hq", "--device", "door-1", "--port", str(door.port),
        "--key", door.folder / "state" / "device.key.pub", "--json",
        "--verify", PERSON, "--challenge",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    *asked, last = map(json.loads, done.stdout.splitlines())
    assert (last["door"], last["reason"]) == ("shut", "rejected_pad")
    assert {each["door"] for each in asked} == {"ask"}
    assert asked[0]["prompt"] == "look_into_camera"
    code, answer = call(door, "verify", PERSON, "--challenge", "--timeout", "2")
    assert (code, answer["data"]["outcome"]) == (1, "rejected_pad")
    names = [source["name"] for source in answer["data"]["seen"]["pad"]["sources"]]
    assert "challenge" in names


def test_a_device_that_is_not_there_is_a_timeout_of_its_own_code(door: Door) -> None:
    done = edgeface("call", "hq/door-9", "ping", "--port", str(door.port))
    assert done.returncode == 4
    assert "no device of this name" in done.stderr
    with pytest.raises(NoAnswerError), door.caller() as caller:
        caller.call("ping", {}, 0.0)


def test_an_answer_that_somebody_else_signed_is_not_believed(door: Door, tmp_path: Path) -> None:
    SigningKey.load_or_create(tmp_path / "other.key")
    done = edgeface(
        "call", "hq/door-1", "ping", "--port", str(door.port), "--key", tmp_path / "other.key.pub"
    )
    assert done.returncode == 1
    assert "not signed by the device's key" in done.stderr
