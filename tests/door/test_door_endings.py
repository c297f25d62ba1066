"""`edgeface door` is stopped: in order, at once, whatever the broker does."""

from __future__ import annotations

import json
import queue
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from edgeface.base.clock import Clock
from edgeface.base.messages import Message
from edgeface.door.loop import follow
from edgeface.door.policy import DoorPolicy
from edgeface.mqtt.listener import LinkNews
from edgeface.mqtt.localbroker import LocalBroker, free_port
from edgeface.mqtt.options import MAX_MESSAGE_BYTES, ConnectionOptions
from edgeface.security.keys import SigningKey
from tests.support.broker import Witness
from tests.support.door import DoorProcess, pin
from tests.support.messages import TOPICS

KEY = SigningKey.generate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("broker_there", [False, True])
def test_a_signal_ends_the_door_in_order_with_and_without_a_broker(
    broker: LocalBroker, tmp_path: Path, number: signal.Signals, times: int, broker_there: bool
) -> None:
    port = broker.port if broker_there else free_port()
    with DoorProcess(pin(tmp_path, KEY), "--port", port, stderr=subprocess.PIPE) as door:
        assert door.next()["door"] in ("ready", "unreachable")
        for _ in range(times):
            door.process.send_signal(number)
        out, err = door.process.communicate(timeout=20)
        assert (door.process.returncode, err) == (0, "")
        assert json.loads(out.splitlines()[-1]) == {"door": "stopped", "counts": {}}


def test_a_broker_that_takes_the_connection_and_says_nothing_does_not_hold_the_door_up(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        access = ("--tls", "required", "--port", server.getsockname()[1])
        with DoorProcess(pin(tmp_path, KEY), *access) as door, server.accept()[0]:
            assert door.end(signal.SIGINT) == 0


def packet(kind: int, body: bytes) -> bytes:
    return bytes([kind, len(body)]) + body


def test_a_broker_that_breaks_the_protocol_does_not_silence_the_door_for_good(
    tmp_path: Path,
) -> None:
    """A SUBACK without reason codes: the door says so, and is there for the next broker."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        with DoorProcess(pin(tmp_path, KEY), "--port", server.getsockname()[1]) as door:
            connection, _ = server.accept()
            with connection:
                connect = connection.recv(1000)
                assert b"\x27" + MAX_MESSAGE_BYTES.to_bytes(4) in connect, "Maximum Packet Size"
                connection.sendall(packet(0x20, b"\0\0\0"))
                subscribe = connection.recv(1000)
                connection.sendall(packet(0x90, subscribe[2:4] + b"\0"))
                assert door.next()["door"] == "refused"
            assert door.next()["door"] == "disconnected"
            server.accept()[0].close()


def test_a_door_that_may_not_read_the_status_is_ready_all_the_same(tmp_path: Path) -> None:
    """What it acts upon is the event; of the status it says in time that there is none."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        with DoorProcess(pin(tmp_path, KEY), "--port", server.getsockname()[1]) as door:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(packet(0x20, b"\0\0\0"))
                subscribe = connection.recv(1000)
                connection.sendall(packet(0x90, subscribe[2:4] + b"\0\x01\x87"))
                assert door.next()["door"] == "ready"
                assert door.next()["door"] == "silent"


class HurriedInbox(queue.SimpleQueue[Message | LinkNews | None]):
    """Its first wait with a bound ends at once, as one may where a clock is set meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.hurried = threading.Event()
        self.status_taken = threading.Event()

    def get(self, block: bool = True, timeout: float | None = None) -> Message | LinkNews | None:
        if timeout is not None and not self.hurried.is_set():
            self.hurried.set()
            raise queue.Empty
        item = super().get(block, timeout)
        if isinstance(item, Message) and item.topic == TOPICS.status:
            self.status_taken.set()
        return item


def test_a_door_is_silent_only_once_the_time_is_really_over(broker: LocalBroker) -> None:
    inbox, shown = HurriedInbox(), []
    options = ConnectionOptions(broker.host, broker.port, "")
    policy = DoorPolicy(TOPICS, KEY.public, Clock())
    arguments = (options, TOPICS, policy, inbox, shown.append, lambda *_: None)
    door = threading.Thread(target=follow, args=arguments)
    door.start()
    try:
        assert inbox.hurried.wait(10)
        with Witness(broker.port) as device:
            device.publish(TOPICS.status, b"{}", retain=True)
        assert inbox.status_taken.wait(10)
    finally:
        inbox.put(None)
        door.join(10)
    assert [line["door"] for line in shown] == ["ready", "stopped"]


def test_a_broker_that_is_not_there_is_named_before_the_reason(tmp_path: Path) -> None:
    with DoorProcess(pin(tmp_path, KEY), "--port", free_port()) as door:
        assert list(door.next("unreachable")) == ["door", "broker", "reason"]


def test_a_door_that_could_not_begin_has_not_stopped(tmp_path: Path) -> None:
    missing = ("--tls", "required", "--ca", tmp_path / "ca.pem")
    with DoorProcess(pin(tmp_path, KEY), *missing, stderr=subprocess.PIPE) as door:
        out, err = door.process.communicate(timeout=20)
    assert (door.process.returncode, out) == (2, "")
    assert "ca.pem: cannot be used for TLS" in err
