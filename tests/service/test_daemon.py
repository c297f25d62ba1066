"""The real daemon with the models that ship, a real broker and a simulated door."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from edgeface.demo.photographs import COLLINS, HOPPER
from edgeface.security.keys import VerifyingKey
from edgeface.settings.loading import load_settings
from tests.support.broker import Arrival, LocalBroker, Witness, running_broker
from tests.support.daemon import (
    DaemonProcess,
    edgeface,
    write_config,
    write_visits,
)

BASE = "edgeface/v1/hq/door-1"
LIVE = f"{BASE}/event"
LOG = f"{BASE}/event/log"
STATUS = f"{BASE}/status"
STATE = f"{BASE}/state"
PERSON = "p_e11een0000"
QUICK = {"max_gap_s": 0.15}
"""The visits of the picture folder follow one another within a quarter of a second."""


@pytest.fixture(scope="module")
def visits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Camera section: the enrolled one and the stranger in turn, for ever; a second a round."""
    folder = write_visits(tmp_path_factory.mktemp("visits") / "pictures", [COLLINS, HOPPER])
    return {"source": "images", "folder": str(folder), "fps": 24, "loop": True}


@pytest.fixture(scope="module")
def enrolled(tmp_path_factory: pytest.TempPathFactory, visits: dict[str, Any]) -> Path:
    """A state folder whose gallery knows Eileen Collins."""
    folder = tmp_path_factory.mktemp("enrolled")
    enroll(write_config(folder, 1883, camera=visits))
    return folder / "state"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[LocalBroker]:
    with running_broker(tmp_path / "broker") as running:
        yield running


def enroll(file: Path) -> None:
    who = ("--name", "Eileen", "--id", PERSON, "--new")
    done = edgeface("enroll", COLLINS, *who, "-c", file)
    assert done.returncode == 0, done.stderr


def content(arrival: Arrival) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(arrival.message.payload)
    return found


def came(topic: str, key: str, value: object) -> Callable[[list[Arrival]], bool]:
    """Whether a message with this field came on the topic."""
    return lambda all_: any(
        content(a).get(key) == value for a in all_ if a.topic == topic and a.message.payload
    )


def test_one_is_recognized_the_other_is_not_and_the_end_is_clean(
    tmp_path: Path, broker: LocalBroker, enrolled: Path
) -> None:
    camera = {
        "source": "simulated",
        "photographs": [str(COLLINS), str(HOPPER)],
        "size": [960, 540],
        "fps": 10,
        "visit_s": 2.5,
        "gap_s": 0.8,
        "loop": True,
    }
    shutil.copytree(enrolled, tmp_path / "state")
    file = write_config(tmp_path, broker.port, camera=camera)
    with Witness(broker.port) as witness, DaemonProcess(file) as daemon:
        daemon.wait_ready()
        witness.wait(came(LIVE, "event_type", "recognized"), 20)
        witness.wait(came(LIVE, "event_type", "unknown"), 20)
        resident_mb = psutil.Process(daemon.process.pid).memory_info().rss / 1e6
        code, took_s = daemon.stop()
        witness.wait(came(STATUS, "status", "stopped"))
        arrivals = witness.arrivals
    assert code == 0
    assert took_s < load_settings(file).service.stop_timeout_s
    assert resident_mb < 200
    # TFLite's own line is a record as well.
    assert [line for line in daemon.log.splitlines() if line[2:9:3] != "::."] == []
    live = [content(a) for a in arrivals if a.topic == LIVE]
    recognized = [event for event in live if event["event_type"] == "recognized"]
    assert {event["match"]["person_id"] for event in recognized} == {PERSON}
    assert all(event["match"] is None for event in live if event not in recognized)
    assert all(event["latency_ms"] < 1500 for event in recognized)
    key = VerifyingKey.of_device(tmp_path / "state" / "device.key.pub")
    for arrival in [a for a in arrivals if a.topic in (LIVE, LOG)]:
        assert key.reason_against(arrival.message) is None
    logged = [content(a)["seq"] for a in arrivals if a.topic == LOG]
    assert logged == list(range(1, len(logged) + 1))
    states = [content(a) for a in arrivals if a.topic == STATE]
    # The models may be ready before the broker has answered: then nobody ever sees "init".
    order = ["init", "ready", "stopping"]
    places = [order.index(state["lifecycle"]) for state in states]
    assert places == sorted(places)
    assert {1, 2} <= set(places)
    assert states[-1]["last_seq"] == len(logged)
    assert states[-1]["outbox"]["depth"] == 0
    health = [content(a) for a in arrivals if a.topic == f"{BASE}/health"]
    assert health[-1]["counters"]["frames"] > 0
    assert health[-1]["latency_ms"]["p50"] > 0


def test_without_a_broker_it_is_ready_and_what_it_saw_arrives_when_there_is_one(
    tmp_path: Path, visits: dict[str, Any], enrolled: Path
) -> None:
    with running_broker(tmp_path / "broker") as broker:
        port = broker.port
    shutil.copytree(enrolled, tmp_path / "state")
    rules = {"tracking": QUICK, "decision": {"validity_s": 1.5}}
    file = write_config(tmp_path, port, camera=visits, **rules)

    def back(broker: LocalBroker, witness_ready: Callable[[], object]) -> None:
        """The broker comes back, but the daemon is held until somebody listens."""
        daemon.send(signal.SIGSTOP)
        broker.start()
        witness_ready()
        daemon.send(signal.SIGCONT)

    with DaemonProcess(file) as daemon, LocalBroker(tmp_path / "b", port=port) as broker:
        broker.stop()
        daemon.wait_ready()
        # The first of three rounds is then about two seconds old.
        daemon.wait_log(lambda log: log.count("recognized") > 2)
        witness = Witness(port)
        back(broker, witness.__enter__)
        try:
            witness.wait(came(LIVE, "event_type", "recognized"), 30)
            witness.wait_on(LOG, 1, 30)
            late = content(witness.on(LOG)[0])
            live = {content(a)["event_id"] for a in witness.on(LIVE)}
            broker.stop()
            before = daemon.log.count("recognized")
            daemon.wait_log(lambda log: log.count("recognized") > before + 2)
            first_new = len(witness.on(LOG))
            back(broker, lambda: witness.wait_subscribed(2))
            witness.wait(came(STATUS, "status", "online"), 30)
            witness.wait_on(LOG, first_new + 4, 30)
            assert daemon.stop()[0] == 0, daemon.log
            missed = [content(a) for a in witness.on(LOG)][first_new]
            sequence = {content(a)["seq"] for a in witness.on(LOG)}
        finally:
            witness.__exit__()
    assert late["seq"] == 1
    assert late["historical"]
    assert late["event_id"] not in live
    assert missed["historical"]
    assert sequence == set(range(1, max(sequence) + 1))


def test_kill_9_loses_no_committed_event(
    tmp_path: Path, visits: dict[str, Any], enrolled: Path
) -> None:
    with running_broker(tmp_path / "broker") as broker:
        port = broker.port
    shutil.copytree(enrolled, tmp_path / "state")
    file = write_config(tmp_path, port, camera=visits, tracking=QUICK)
    with DaemonProcess(file) as daemon:
        daemon.wait_log(lambda log: log.count("track=") >= 3)
        daemon.stop(signal.SIGKILL)
    outbox = sqlite3.connect(tmp_path / "state" / "outbox.sqlite")
    committed = {row[0] for row in outbox.execute("SELECT event_id FROM event")}
    outbox.close()
    assert len(committed) >= 2
    with running_broker(tmp_path / "broker", port=port), Witness(port) as witness:
        with DaemonProcess(file) as daemon:
            witness.wait(
                lambda all_: committed <= {content(a)["event_id"] for a in all_ if a.topic == LOG},
                30,
            )
            assert daemon.stop()[0] == 0
        old = [content(a) for a in witness.on(LOG) if content(a)["event_id"] in committed]
        live = {content(a)["event_id"] for a in witness.on(LIVE)}
    assert all(event["historical"] for event in old)
    assert not committed & live


def test_somebody_enrolled_while_it_runs_is_recognized_and_a_bad_reload_changes_nothing(
    tmp_path: Path, broker: LocalBroker, visits: dict[str, Any]
) -> None:
    file = write_config(tmp_path, broker.port, camera=visits, tracking=QUICK)
    good = file.read_text()
    with Witness(broker.port) as witness, DaemonProcess(file) as daemon:
        daemon.wait_ready()
        witness.wait(came(LIVE, "event_type", "unknown"), 20)
        enroll(file)
        before = daemon.log.count("is ready")
        file.write_text(good + "quality: {min_face_px: many}\n")
        daemon.send(signal.SIGHUP)
        assert b"the reload was refused: " in daemon.wait_told(b"READY=1", 2)
        assert "not reloaded" in daemon.log
        # The same once more: the error is thinned out of the log, and "is ready" was the answer.
        daemon.send(signal.SIGHUP)
        assert b"the reload was refused: " in daemon.wait_told(b"READY=1", 3)
        assert daemon.log.count("the configuration before is used on") == 2
        assert daemon.log.count("is ready") == before
        assert "quality.min_face_px" in daemon.log
        witness.wait(came(LIVE, "event_type", "recognized"), 20)
        last = [content(a) for a in witness.on(LIVE)][-1]
        file.write_text(good + "quality: {min_face_px: 1000}\n")
        daemon.send(signal.SIGHUP)
        daemon.wait_log(lambda log: "rejected_quality" in log)
        assert daemon.stop(signal.SIGINT)[0] == 0
    assert last["match"]["person_id"] == PERSON
    assert last["gallery"]["revision"] == 1


def test_a_lost_camera_is_an_alert_and_comes_back(
    tmp_path: Path, broker: LocalBroker, visits: dict[str, Any]
) -> None:
    folder = write_visits(tmp_path / "pictures", [COLLINS], frames=2, gap=2)
    camera = visits | {"folder": str(folder), "reopen_min_s": 0.1, "reopen_max_s": 0.2}
    file = write_config(tmp_path, broker.port, camera=camera)
    alert = f"{BASE}/alert/camera_stalled"
    with (
        Witness(broker.port) as witness,
        DaemonProcess(file, WATCHDOG_USEC="2000000") as daemon,
    ):
        daemon.wait_ready()
        daemon.wait_told(b"WATCHDOG=1", 2)
        folder.rename(tmp_path / "gone")
        witness.wait(came(STATE, "lifecycle", "degraded"), 20)
        assert content(witness.on(alert)[-1])["alert"] == "camera_stalled"
        count = len(witness.on(alert))
        (tmp_path / "gone").rename(folder)
        assert witness.wait_on(alert, count + 1, 20)[-1].message.payload == b""
        assert daemon.stop()[0] == 0


def test_the_end_of_a_finite_source_is_the_end_of_the_daemon(
    tmp_path: Path, broker: LocalBroker, visits: dict[str, Any], enrolled: Path
) -> None:
    shutil.copytree(enrolled, tmp_path / "state")
    camera = visits | {"loop": False, "fps": 8}
    file = write_config(tmp_path, broker.port, camera=camera, tracking={"max_gap_s": 0.4})
    with Witness(broker.port) as witness, DaemonProcess(file) as daemon:
        assert daemon.process.wait(30) == 0
        # The second person is still there when the pictures end, and gets a last word.
        logged = [content(a) for a in witness.wait_on(LOG, 2)]
    assert [event["seq"] for event in logged] == [1, 2]
