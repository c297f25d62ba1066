"""The commands' desk without a broker: what it does under a flood, and with nothing ready."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import pytest
import yaml

from edgeface.base.clock import Clock
from edgeface.base.messages import Message, Publication, Subscription
from edgeface.contract.event import Track
from edgeface.mqtt.caller import Caller
from edgeface.mqtt.link import DeviceSession
from edgeface.mqtt.localbroker import LocalBroker
from edgeface.mqtt.options import ConnectionOptions
from edgeface.recognition.index import GalleryIndex
from edgeface.security.keys import SigningKey
from edgeface.service.board import Board
from edgeface.service.commanding import admission
from edgeface.service.commanding.desk import MAX_OF_ONE_CLIENT, MAX_WAITING, CommandDesk, enabled
from edgeface.service.commanding.telling import MAX_TRACES, Traces, digest
from edgeface.service.commanding.verifying import Verifying
from edgeface.service.time_floor import TimeFloor
from edgeface.service.worker import Pulse
from edgeface.settings.loading import load_settings
from tests.support.broker import eventually
from tests.support.commands import SESSION, fields, message
from tests.support.messages import TOPICS, Device, sighting
from tests.support.people import gallery, identity

KEY = SigningKey.generate()


class Desk:
    """A desk whose answers are kept; its worker runs within `with`."""

    def __init__(self, folder: Path, pad: str = "report", **commands: Any) -> None:
        file = folder / "edgeface.yaml"
        camera = {"source": "images", "folder": "."}
        file.write_text(
            yaml.safe_dump(
                {"site": "hq", "device": "door-1", "camera": camera, "commands": commands}
                | {"pad": {"verify": pad}}
            )
        )
        clock = Clock()
        self.sent: list[Publication] = []
        self.publish: Callable[[Publication], object] = self.sent.append
        self.board = Board(load_settings(file))
        self.desk = CommandDesk(
            DeviceSession(TOPICS, SESSION, KEY, clock),
            self._send,
            self.board,
            TimeFloor(folder / "time", clock),
            lifecycle=lambda: "ready",
        )
        self._pulse = Pulse(10)
        self._thread = threading.Thread(target=self.desk.run, args=(self._pulse,))

    def _send(self, publication: Publication) -> None:
        self.publish(publication)

    def answers(self, count: int) -> list[dict[str, Any]]:
        eventually(lambda: len(self.sent) >= count)
        return [json.loads(publication.payload) for publication in self.sent]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._pulse.stop.set()
        self._thread.join(5)
        assert not self._thread.is_alive()


@pytest.mark.parametrize(
    ("pad", "asked", "due_s"),
    [
        ("report", {}, 5),
        ("report", {"challenge": True}, 15),
        ("challenge", {}, 15),
        ("challenge", {"challenge": False}, 15),
        ("challenge", {"timeout_s": 8}, 8),
    ],
)
def test_a_challenge_is_put_where_request_or_policy_asks_for_one_and_has_its_time(
    tmp_path: Path, pad: str, asked: dict[str, Any], due_s: float
) -> None:
    with Desk(tmp_path, pad) as desk:
        board = desk.board
        board.by_recognizer.models = cast("Any", object())
        board.by_gallery.index = gallery([])
        desk.desk.receive(message("verify", fields(person_id="p_annaannaaa", **asked)))
        eventually(lambda: desk.desk.peephole.now is not None)
        assert desk.desk.peephole.now is not None
        examination, due_ns = desk.desk.peephole.now
    assert isinstance(examination, Verifying)
    assert examination.is_challenge == (due_s != 5)
    assert due_ns - examination.request.received_boottime_ns == due_s * 10**9


def test_a_flood_is_dropped_and_counted_and_never_waits(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for _ in range(MAX_OF_ONE_CLIENT + 500):
        desk.desk.receive(message("ping", fields()))
    assert desk.board.meters.counters()["commands_dropped"] == 500
    other = TOPICS.response("ping", "door.hq.back")
    desk.desk.receive(message("ping", fields(), response_topic=other))
    with desk:
        answers = desk.answers(MAX_OF_ONE_CLIENT + 1)
        desk.desk.receive(message("ping", fields()))
        desk.answers(MAX_OF_ONE_CLIENT + 2)
    assert {answer["status"] for answer in answers} == {"ok"}
    assert desk.sent[MAX_OF_ONE_CLIENT].topic == other


def test_all_that_waits_is_bounded_whatever_the_clients_are_called(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    for number in range(MAX_WAITING + 500):
        topic = TOPICS.response("ping", f"door.hq.{number}")
        desk.desk.receive(message("ping", fields(), response_topic=topic))
    assert desk.board.meters.counters()["commands_dropped"] == 500


def test_one_client_that_asks_without_end_keeps_no_other_from_asking(
    tmp_path: Path, broker: LocalBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MAX_TRANSACTIONS", 200)
    monkeypatch.setattr(admission, "MAX_OF_ONE_CLIENT", 50)
    options = ConnectionOptions(broker.host, broker.port, "")
    with Device(tmp_path, broker.port) as device, Desk(tmp_path) as desk:
        desk.publish = device.publisher.publish
        device.publisher.listen(Subscription(TOPICS.commands), desk.desk.receive)
        device.wait_connected()
        with Caller(options, TOPICS, "thief") as thief, Caller(options, TOPICS, "front") as front:
            for number in range(300):
                assert thief.call("ping", {}, 10, session=SESSION).status == "ok"
                if number % 50 == 0:
                    assert front.call("ping", {}, 10, session=SESSION).status == "ok"


def test_what_somebody_asks_in_anothers_name_answers_nobody_elses_question(
    tmp_path: Path, broker: LocalBroker
) -> None:
    options = ConnectionOptions(broker.host, broker.port, "")
    with Device(tmp_path, broker.port) as device, Desk(tmp_path) as desk:
        desk.publish = device.publisher.publish
        device.publisher.listen(Subscription(TOPICS.commands), desk.desk.receive)
        device.wait_connected()
        with Caller(options, TOPICS, "thief") as thief, Caller(options, TOPICS, "front") as front:
            topic = TOPICS.response("ping", "front")
            front.subscribe(topic)
            for payload in (b"rubbish", b"{}", b" " * 5000):
                thief.send(Publication(TOPICS.command("ping"), payload, response_topic=topic))
                assert thief.hear(10) is not None  # the broker has it
            eventually(lambda: desk.board.meters.counters().get("commands_refused") == 3)
            assert front.call("ping", {}, 10, session=SESSION).status == "ok"


def test_an_answer_is_signed_not_retained_and_does_not_live_on(tmp_path: Path) -> None:
    with Desk(tmp_path) as desk:
        desk.desk.receive(message("ping", fields()))
        desk.answers(1)
    (sent,) = desk.sent
    assert (sent.retain, sent.qos, sent.correlation_data) == (False, 1, b"42")
    assert sent.expiry_s is not None
    assert 1 <= sent.expiry_s <= 60
    properties = sent.user_properties
    arrived = Message(sent.topic, sent.payload, sent.qos, sent.retain, properties)
    assert KEY.public.reason_against(arrived) is None


@pytest.mark.parametrize(
    ("verb", "arguments", "code"),
    [
        pytest.param("verify", {"person_id": "p_0000000000"}, "not_ready", id="verify"),
        pytest.param("identify", {}, "not_ready", id="identify"),
        pytest.param("gallery", {}, "not_ready", id="gallery"),
        pytest.param("why", {}, "not_found", id="why"),
        pytest.param("enroll", {}, "disabled", id="enroll_without_a_key"),
        pytest.param("snapshot", {}, "disabled", id="snapshot"),
    ],
)
def test_what_cannot_be_done_yet_is_refused(
    tmp_path: Path, verb: str, arguments: dict[str, Any], code: str
) -> None:
    with Desk(tmp_path) as desk:
        desk.desk.receive(message(verb, fields(**arguments)))
        (answer,) = desk.answers(1)
    assert answer["error"]["code"] == code


def test_a_key_that_is_gone_is_refused_and_the_file_not_named(tmp_path: Path) -> None:
    with Desk(tmp_path, administrator_key_file="secret-place.pub", snapshot=True) as desk:
        desk.desk.receive(message("snapshot", fields()))
        (answer,) = desk.answers(1)
    assert answer["error"]["code"] == "disabled"
    assert "secret-place" not in json.dumps(answer)


def test_the_verbs_in_use_follow_the_settings(tmp_path: Path) -> None:
    few = Desk(tmp_path, enabled=["ping", "enroll"]).board.settings
    assert enabled(few) == ("ping",)
    sealed = Desk(
        tmp_path, enabled=["ping", "enroll"], administrator_key_file="a.pub", snapshot=True
    ).board.settings
    assert enabled(sealed) == ("ping", "enroll", "snapshot")


def test_the_memory_of_traces_is_bounded_and_the_newest_word_counts() -> None:
    traces, clock = Traces(), Clock()
    assert traces.find(None) is None
    for number in (*range(1, MAX_TRACES + 2), 2):
        traces.note(sighting(clock, track=Track(number, 4, 4, 410)))
    newest = traces.find(None)
    assert newest is not None
    assert newest.track.id == 2
    assert traces.find(1) is None
    traces.note(sighting(clock, track=Track(MAX_TRACES + 2, 4, 4, 410)))
    assert traces.find(2) is not None
    assert traces.find(3) is None


def test_the_digest_is_of_people_and_templates_and_not_of_their_order() -> None:
    rng = np.random.default_rng(4)
    rows = [identity(rng) for _ in range(3)]
    ids = ["p_aaaaaaaaaa", "p_bbbbbbbbbb", "p_cccccccccc"]
    first = digest(gallery(rows, ids))
    assert first == digest(gallery(rows[::-1], ids[::-1]))
    assert first != digest(gallery(rows[:2], ids[:2]))
    assert first != digest(gallery([rows[1], rows[0], rows[2]], ids))
    assert digest(GalleryIndex.empty()).startswith("sha256:")
