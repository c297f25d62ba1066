"""A broker that speaks raw MQTT 5 over a real socket and keeps no rule but the test's."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

CONNECT = b"\x10\x10\0\4MQTT\5\2\0\x3c\0\0\3raw"
"""Of the client `raw`, with a clean start."""
CONNACK = b"\x20\x03\x00\x00\x00"
EMPTY_PROPERTY = b"\x26\x00\x00\x00\x00"
"""A user property without name and value."""


def length(value: int) -> bytes:
    """A variable byte integer."""
    found = bytearray()
    while True:
        value, digit = divmod(value, 128)
        found.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(found)


def packet(first: int, body: bytes) -> bytes:
    """A control packet with its fixed header."""
    return bytes([first]) + length(len(body)) + body


def connack(properties: bytes) -> bytes:
    return packet(0x20, b"\0\0" + length(len(properties)) + properties)


def puback(mid: bytes, reason: int) -> bytes:
    return packet(0x40, mid + bytes([reason, 0]))


def publish(
    topic: str, payload: bytes = b"", properties: bytes = b"", *, qos: int = 1, mid: int = 1
) -> bytes:
    head = len(topic).to_bytes(2, "big") + topic.encode()
    if qos:
        head += mid.to_bytes(2, "big")
    return packet(0x30 | qos << 1, head + length(len(properties)) + properties + payload)


class Peer:
    """One connection, as its script sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._file = connection.makefile("rb")

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> tuple[int, bytes]:
        """The next packet: its first byte and its body. Raises OSError at the end."""
        first = self._exactly(1)[0]
        size = shift = 0
        while True:
            digit = self._exactly(1)[0]
            size |= (digit & 0x7F) << shift
            shift += 7
            if digit < 0x80:
                return first, self._exactly(size)

    def read_until(self, kind: int) -> bytes:
        """The body of the next packet of this kind (the upper half of its first byte)."""
        while True:
            first, body = self.read()
            if first >> 4 == kind:
                return body

    def serve(self, reason_of: Callable[[str], int] = lambda _: 0) -> None:
        """Acknowledge what comes, a publication with `reason_of(topic)`, until it is over."""
        while True:
            first, body = self.read()
            match first >> 4:
                case 3:
                    if first >> 1 & 3:
                        end = 2 + int.from_bytes(body[:2], "big")
                        topic = body[2:end].decode()
                        self.send(puback(body[end : end + 2], reason_of(topic)))
                case 8:
                    self.send(packet(0x90, body[:2] + b"\0\1"))
                case 12:
                    self.send(b"\xd0\0")

    def _exactly(self, size: int) -> bytes:
        data = self._file.read(size)
        if len(data) < size:
            raise OSError("the client has gone")
        return data


class RawBroker:
    """Runs `script(peer)` for each connection, in a thread; ends the connection with it."""

    def __init__(self, script: Callable[[Peer], None]) -> None:
        self._script = script
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self.connections = 0
        self._peers: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for item in self._peers:
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                self._peers.append(connection)
                self.connections += 1
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            self._script(Peer(connection))
