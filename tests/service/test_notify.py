"""sd_notify against a real datagram socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeface.service.signals import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The service manager's end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5)
        yield receiver


def test_what_is_sent_is_what_systemd_reads(manager: socket.socket) -> None:
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.ready("watching")
    assert manager.recv(200) == b"READY=1\nSTATUS=watching"
    notifier.watchdog()
    assert manager.recv(200) == b"WATCHDOG=1"
    notifier.stopping("bye")
    assert manager.recv(200) == b"STOPPING=1\nSTATUS=bye"
    notifier.reloading()
    first, second = manager.recv(200).split(b"\n")
    assert first == b"RELOADING=1"
    assert second.startswith(b"MONOTONIC_USEC=")


def test_an_abstract_socket_is_reached() -> None:
    name = f"edgeface-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name)
        receiver.settimeout(5)
        Notifier({"NOTIFY_SOCKET": "@" + name}).watchdog()
        assert receiver.recv(200) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param({}, id="not asked"),
        pytest.param({"NOTIFY_SOCKET": "/nowhere/at/all"}, id="no such socket"),
        pytest.param({"NOTIFY_SOCKET": "x" * 300}, id="name too long"),
    ],
)
def test_it_never_raises(environ: dict[str, str]) -> None:
    Notifier(environ).ready("watching")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, None, id="none"),
        pytest.param({"WATCHDOG_USEC": "30000000"}, 30.0, id="30 s"),
        pytest.param(
            {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0, id="for us"
        ),
        pytest.param({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None, id="for another"),
        pytest.param({"WATCHDOG_USEC": "soon"}, None, id="no number"),
    ],
)
def test_the_watchdog_time_is_read(environ: dict[str, str], expected: float | None) -> None:
    assert Notifier(environ).watchdog_s == expected
