"""`edgeface top` on a real broker: one table, JSON, and live in a terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgeface.base.messages import Message
from edgeface.contract import codec
from edgeface.contract.event import Match
from edgeface.contract.report import State
from edgeface.contract.topics import Topics
from edgeface.mqtt import site_view
from edgeface.mqtt.site_view import SiteView
from tests.support.broker import LocalBroker, eventually
from tests.support.daemon import ROOT, edgeface
from tests.support.messages import PERSON, TOPICS, Device

STATE = codec.from_json(State, (ROOT / "docs" / "examples" / "state.json").read_bytes())
OTHER = Topics("hq", "door-2")
SEEN = Match(PERSON, "Ada [bold]\x1b[31m", 0.71, 0.58, False, 0.22)


@pytest.fixture
def site(tmp_path: Path, broker: LocalBroker) -> Iterator[tuple[Device, Device]]:
    """Two devices, one of them with an alert."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with (
        Device(tmp_path / "one", broker.port) as first,
        Device(tmp_path / "two", broker.port, topics=OTHER) as second,
    ):
        for device in (first, second):
            device.presence.set_state(STATE)
            device.wait_connected()
        first.presence.set_alert("camera_stalled", "no frame for 5 s")
        yield first, second


def top(broker: LocalBroker, *words: str) -> subprocess.CompletedProcess[str]:
    return edgeface("top", *words, "--host", "127.0.0.1", "--port", str(broker.port))


def once(broker: LocalBroker, *words: str, has: str) -> str:
    """The table once it says so: what a device says takes a moment to arrive."""
    shown = ""

    def there() -> bool:
        nonlocal shown
        done = top(broker, *words, "--once")
        assert done.returncode in (0, 4), done.stderr
        shown = done.stdout
        return has in shown

    eventually(there, 20)
    return shown


def test_one_table_shows_the_whole_site(site: tuple[Device, Device], broker: LocalBroker) -> None:
    shown = once(broker, "--site", "hq", has="no frame for 5 s")
    assert "camera_stalled" in shown
    first = shown.partition("camera_stalled")[0].splitlines()  # the table of the devices
    rows = {line.split()[0]: line for line in first if " online " in line}
    assert set(rows) == {"door-1", "door-2"}
    assert "degraded" in rows["door-2"]
    assert "103 people, r318" in rows["door-2"]


def test_one_device_is_shown_alone_and_as_json(
    site: tuple[Device, Device], broker: LocalBroker
) -> None:
    once(broker, "hq/door-1", has="camera_stalled")
    done = top(broker, "door-1", "--site", "hq", "--json")
    found = json.loads(done.stdout)
    assert (found["site"], list(found["devices"])) == ("hq", ["door-1"])
    device = found["devices"]["door-1"]
    assert device["status"]["status"] == "online"
    assert device["state"]["outbox"]["oldest_at"] == "2026-11-21T16:51:39.338Z"
    assert [alert["alert"] for alert in device["alerts"]] == ["camera_stalled"]
    assert device["health"] is None


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        pytest.param((), 2, "which site?", id="no-site"),
        pytest.param(("HQ/door-1", "--once"), 2, "site", id="no-id"),
        pytest.param(("hq/door-1",), 2, "--once prints one table", id="no-terminal"),
        pytest.param(("hq/door-1", "--once"), 4, "the broker has nothing of it", id="nobody"),
    ],
)
def test_what_cannot_be_shown_is_told(
    broker: LocalBroker, words: tuple[str, ...], code: int, told: str
) -> None:
    done = top(broker, *words)
    assert done.returncode == code
    assert told in done.stderr
    assert done.stdout == ""


def test_without_rich_the_way_out_is_told(
    site: tuple[Device, Device], broker: LocalBroker, tmp_path: Path
) -> None:
    once(broker, "--site", "hq", has="door-1")
    (tmp_path / "rich.py").write_text("raise ImportError('not here')")
    where = ("--host", "127.0.0.1", "--port", str(broker.port))
    done = edgeface("top", "--site", "hq", "--once", *where, PYTHONPATH=str(tmp_path))
    assert done.returncode == 3
    assert "pip install 'edgeface[top]'" in done.stderr
    done = edgeface("top", "--site", "hq", "--json", *where, PYTHONPATH=str(tmp_path))
    assert done.returncode == 0


class Screen:
    """The verb in a terminal of its own."""

    def __init__(self, *words: str) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgeface", "top", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "TERM": "xterm",
                "COLUMNS": "220",
                "LINES": "40",
            },
        )
        os.close(slave)
        os.set_blocking(self._master, False)
        self.text = ""

    def wait(self, enough: Callable[[str], bool]) -> None:
        def there() -> bool:
            with contextlib.suppress(BlockingIOError):
                self.text += os.read(self._master, 1 << 16).decode(errors="replace")
            return enough(self.text)

        eventually(there, 30)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)


def test_live_it_follows_what_happens_until_ctrl_c(
    site: tuple[Device, Device], broker: LocalBroker
) -> None:
    screen = Screen("--site", "hq", "--host", "127.0.0.1", "--port", str(broker.port))
    try:
        screen.wait(lambda text: "door-2" in text and "camera_stalled" in text)
        site[0].see(match=SEEN)
        screen.wait(lambda text: "recognized" in text and "Ada [bold]?[31m" in text)
        site[0].presence.set_alert("camera_stalled", None)
        screen.text = ""
        screen.wait(lambda text: "door-2" in text and "no frame" not in text.split("\x1b[H")[-1])
        screen.process.send_signal(signal.SIGINT)
        assert screen.process.wait(20) == 0
    finally:
        screen.close()


def message(topic: str, payload: bytes, *, retain: bool = False) -> Message:
    return Message(topic, payload, 1, retain)


def test_a_view_does_not_grow_with_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site_view, "MAX_DEVICES", 3)
    monkeypatch.setattr(site_view, "MAX_ALERTS", 2)
    view = SiteView("hq")
    for number in range(10):
        view.take(message(f"edgeface/v1/hq/d{number}/state", b"no JSON"))
        view.take(message(f"edgeface/v1/hq/d0/alert/a{number}", b"no JSON"))
    assert sorted(view.devices) == ["d0", "d1", "d2"]
    assert len(view.devices["d0"].faults) == 2
    assert "not_json" in view.devices["d1"].faults["state"]


def test_what_is_readable_again_is_no_fault_any_more() -> None:
    view = SiteView("hq", "door-1")
    view.take(message(TOPICS.state, b"{}"))
    assert set(view.devices["door-1"].faults) == {"state"}
    view.take(message(TOPICS.state, codec.to_json(STATE)))
    assert view.devices["door-1"].faults == {}


def test_a_decision_is_one_on_both_topics_and_a_retained_one_is_none() -> None:
    view = SiteView("hq")
    payload = (ROOT / "docs" / "examples" / "recognition.recognized.json").read_bytes()
    view.take(message(TOPICS.event, payload, retain=True))
    assert len(view.events) == 0
    view.take(message(TOPICS.event, payload))
    view.take(message(TOPICS.event_log, payload))
    assert len(view.events) == 1
    assert view.devices["door-1"].last is view.events[0]
