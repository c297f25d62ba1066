"""The exporter for Prometheus, on a real daemon; and what it says when it cannot work."""

from __future__ import annotations

import http.client
import re
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import get_args

import pytest

from edgeface.contract.event import Outcome
from edgeface.contract.report import AlertId
from edgeface.demo.photographs import COLLINS
from edgeface.mqtt.localbroker import free_port
from edgeface.service.exporter import MAX_SCRAPES
from edgeface.service.meters import STAGE_NAMES
from tests.support.broker import eventually, running_broker
from tests.support.commanded import PERSON
from tests.support.commands import write_person
from tests.support.daemon import DaemonProcess, edgeface, write_config
from tests.support.scraping import samples, scrape, value

NAME = "Eileen Unmistakable"


class Watched:
    """A daemon with an exporter, which sees somebody it knows."""

    def __init__(self, folder: Path, port: int, **environ: str) -> None:
        self.port = free_port()
        pictures = folder / "pictures"
        if not pictures.exists():
            write_person(pictures, COLLINS)
        camera = {"source": "images", "folder": str(pictures), "fps": 12, "loop": True}
        self.file = write_config(
            folder,
            port,
            camera=camera,
            metrics={"listen": f"127.0.0.1:{self.port}"},
            tracking={"max_gap_s": 0.2},
        )
        self.environ = environ

    def start(self) -> DaemonProcess:
        return DaemonProcess(self.file, **self.environ)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, DaemonProcess]]:
    folder = tmp_path_factory.mktemp("watched")
    with running_broker(folder / "broker") as broker:
        found = Watched(folder, broker.port)
        who = ("--name", NAME, "--id", PERSON, "--new")
        done = edgeface("enroll", COLLINS, *who, "-c", found.file)
        assert done.returncode == 0, done.stderr
        with found.start() as daemon:
            daemon.wait_ready()
            eventually(lambda: value(scrape(found.port), "decisions_total", outcome="recognized"))
            yield found.port, daemon
            assert daemon.stop()[0] == 0


def test_it_says_what_the_daemon_does(watched: tuple[int, DaemonProcess]) -> None:
    eventually(lambda: value(scrape(watched[0]), "events_delivered_total", lane="log") >= 1)
    text = scrape(watched[0])
    assert value(text, "frames_total") > 0
    assert value(text, "looks_total") >= 1
    assert value(text, "decisions_total", outcome="unknown") == 0
    assert value(text, "stage_duration_seconds_count", stage="embed") >= 3
    assert value(text, "decision_latency_seconds_bucket", le="+Inf") >= 1
    assert value(text, "mqtt_connected") == 1
    assert value(text, "accelerator_in_use", model="embedder", accelerator="cpu") == 1
    assert value(text, "gallery_people") == 1
    assert value(text, "outbox_oldest_event_age_seconds") >= 0
    assert (
        value(text, "lifecycle", lifecycle="ready") + value(text, "lifecycle", lifecycle="degraded")
        == 1
    )
    assert samples(text)["process_resident_memory_bytes", ()] > 1e6


def test_labels_have_a_fixed_set_of_values_and_name_nobody(
    watched: tuple[int, DaemonProcess],
) -> None:
    text = scrape(watched[0])
    found: dict[str, set[str]] = {}
    for _, labels in samples(text):
        for label, named in labels:
            found.setdefault(label, set()).add(named)
    assert found["outcome"] == set(get_args(Outcome))
    assert found["alert"] == set(get_args(AlertId))
    assert found["stage"] == set(STAGE_NAMES)
    assert set(found) <= {
        *("outcome", "alert", "stage", "gate", "verb", "lane", "reason", "lifecycle"),
        *("accelerator", "model", "version", "python", "le"),
    }
    assert "Unmistakable" not in text
    assert PERSON not in text
    later = scrape(watched[0])
    assert samples(later).keys() == samples(text).keys(), "a scrape does not make it grow"


def test_it_answers_at_its_path_alone(watched: tuple[int, DaemonProcess]) -> None:
    def status(target: str, method: str = "GET") -> int:
        connection = http.client.HTTPConnection("127.0.0.1", watched[0], timeout=10)
        with closing(connection):
            connection.request(method, target)
            return connection.getresponse().status

    assert status("/metrics") == status("/metrics?name[]=edgeface_frames_total") == 200
    for target in ("/", "/metrics/", "/metric", "/favicon.ico", "/../metrics"):
        assert status(target) == 404, target
    assert status("/metrics", "POST") == 501
    with pytest.raises(urllib.error.HTTPError, match="Not Found") as told:
        urllib.request.urlopen(f"http://127.0.0.1:{watched[0]}/", timeout=10)
    with told.value as answer:
        assert "The metrics are at /metrics." in answer.read().decode()


def test_clients_that_hang_hold_up_no_frame_and_are_left(
    watched: tuple[int, DaemonProcess],
) -> None:
    port, daemon = watched
    before = value(scrape(port), "frames_total")
    with ExitStack() as stack:
        for _ in range(3 * MAX_SCRAPES):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=10))
            client.sendall(b"GET /metrics HT")
        told = daemon.log.count("outcome=")
        daemon.wait_log(lambda log: log.count("outcome=") > told + 1)
        # They are still connected: nobody waits for them longer than a silence is allowed.
        eventually(lambda: _frames(port) > before, 20)


def _frames(port: int) -> float:
    try:
        return value(scrape(port), "frames_total")
    except OSError:  # sent away
        return 0.0


@pytest.mark.parametrize("lacks", ["library", "port"])
def test_a_door_works_without_its_metrics_and_says_why(tmp_path: Path, lacks: str) -> None:
    with running_broker(tmp_path / "broker") as broker, ExitStack() as stack:
        environ: dict[str, str] = {}
        if lacks == "library":
            (tmp_path / "prometheus_client.py").write_text("raise ImportError('not here')")
            environ["PYTHONPATH"] = str(tmp_path)
        found = Watched(tmp_path, broker.port, **environ)
        if lacks == "port":
            stack.enter_context(socket.create_server(("127.0.0.1", found.port)))
        with found.start() as daemon:
            daemon.wait_ready()
            words = "pip install" if lacks == "library" else f"{found.port} cannot be used"
            daemon.wait_log(lambda log: words in log and "outcome=" in log)
            assert daemon.stop()[0] == 0


def test_another_address_than_this_machines_is_warned_about(tmp_path: Path) -> None:
    with running_broker(tmp_path / "broker") as broker:
        found = Watched(tmp_path, broker.port)
        found.file.write_text(
            found.file.read_text().replace(
                "127.0.0.1:" + str(found.port), "0.0.0.0:" + str(found.port)
            )
        )
        with found.start() as daemon:
            daemon.wait_log(lambda log: "neither a password nor encryption" in log)
            assert daemon.stop()[0] == 0
        assert re.search(r"warning +metrics.listen: whoever reaches 0.0.0.0", daemon.log)
