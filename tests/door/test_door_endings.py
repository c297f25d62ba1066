"""`edgeface door` is stopped: in order, at once, whatever the broker does."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from edgeface.mqtt.localbroker import LocalBroker, free_port
from edgeface.security.keys import SigningKey

ROOT = Path(__file__).resolve().parents[2]
KEY = SigningKey.generate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("broker_there", [False, True])
def test_a_signal_ends_the_door_in_order_with_and_without_a_broker(
    broker: LocalBroker, tmp_path: Path, number: signal.Signals, times: int, broker_there: bool
) -> None:
    (tmp_path / "pinned.pub").write_bytes(KEY.public.pem())
    port = broker.port if broker_there else free_port()
    where = ["--site", "hq", "--device", "door-1", "--key", str(tmp_path / "pinned.pub")]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgeface", "door", *where, "--port", str(port), "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["door"] in ("ready", "unreachable")
    for _ in range(times):
        process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out.splitlines()[-1]) == {"door": "stopped", "counts": {}}


def test_a_broker_that_takes_the_connection_and_says_nothing_does_not_hold_the_door_up(
    tmp_path: Path,
) -> None:
    (tmp_path / "pinned.pub").write_bytes(KEY.public.pem())
    where = ["--site", "hq", "--device", "door-1", "--key", str(tmp_path / "pinned.pub")]
    with socket.create_server(("127.0.0.1", 0)) as server:
        access = ["--tls", "required", "--port", str(server.getsockname()[1])]
        process = subprocess.Popen(
            [sys.executable, "-m", "edgeface", "door", *where, *access, "--json"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        connection, _ = server.accept()
        with connection:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
    assert process.stdout is not None
    process.stdout.close()


def packet(kind: int, body: bytes) -> bytes:
    return bytes([kind, len(body)]) + body


def test_a_broker_that_breaks_the_protocol_does_not_silence_the_door_for_good(
    tmp_path: Path,
) -> None:
    """A SUBACK without reason codes: the door says so, and is there for the next broker."""
    (tmp_path / "pinned.pub").write_bytes(KEY.public.pem())
    where = ["--site", "hq", "--device", "door-1", "--key", str(tmp_path / "pinned.pub")]
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        port = str(server.getsockname()[1])
        process = subprocess.Popen(
            [sys.executable, "-m", "edgeface", "door", *where, "--json", "--port", port],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            connection, _ = server.accept()
            with connection:
                connect = connection.recv(1000)
                assert b"\x27\x00\x10\x00\x00" in connect, "Maximum Packet Size: 1 MiB"
                connection.sendall(packet(0x20, b"\0\0\0"))
                subscribe = connection.recv(1000)
                connection.sendall(packet(0x90, subscribe[2:4] + b"\0"))
                assert json.loads(process.stdout.readline())["door"] == "refused"
            assert json.loads(process.stdout.readline())["door"] == "disconnected"
            server.accept()[0].close()
        finally:
            process.terminate()
            process.communicate(timeout=20)
