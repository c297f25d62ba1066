"""How much a network camera may send without a picture.

FFmpeg collects a picture until it ends, and has no bound for it: a part of Motion JPEG without an
end takes all memory. What has arrived is asked of the kernel, and too much of it ends the
connection, which FFmpeg then takes for the end of the stream.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

MAX_BYTES: Final = 64 * 1024 * 1024
"""Without a picture: far more than a key frame of 12 megapixels."""

_PORTS: Final = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
_LOOK_S: Final = 0.1
_RECEIVED_AT: Final = 128
"""`tcpi_bytes_received` in the kernel's `struct tcp_info` (linux/tcp.h, since 4.1)."""

_log = logging.getLogger(__name__)


class ReceiveGuard:
    """Watches this process's TCP connections to the camera at `url`, in a thread of its own.

    `what` names it in the log. `picture()` may be called from any thread.
    """

    def __init__(self, url: str, what: str) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS.get(parts.scheme, 0)
        self._what = what
        self._stop = threading.Event()
        self._pictures = 0
        self._thread = threading.Thread(target=self._run, name=f"guard {what}", daemon=True)
        self._thread.start()

    def picture(self) -> None:
        """One has come."""
        self._pictures += 1

    def close(self) -> None:
        """Stop watching; safe to call twice."""
        self._stop.set()

    def _run(self) -> None:
        addresses: set[str] = set()
        with suppress(OSError):
            found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            addresses = {str(item[4][0]) for item in found}
        counted = 0
        before: dict[str, int] = {}  # by inode: what had arrived with the last picture
        while not self._stop.wait(_LOOK_S):
            now = {}
            for inode, connection in _connections():
                with connection:
                    if not self._is_camera(connection, addresses):
                        continue
                    now[inode] = _received(connection)
                    if now[inode] - before.get(inode, 0) > MAX_BYTES:
                        self._cut(connection)
            if self._pictures != counted:
                counted, before = self._pictures, now

    def _is_camera(self, connection: socket.socket, addresses: set[str]) -> bool:
        try:
            peer = connection.getpeername()
        except OSError:
            return False
        return len(peer) >= 2 and peer[1] == self._port and peer[0] in addresses

    def _cut(self, connection: socket.socket) -> None:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
            _log.warning("%s sent %d MiB without a picture: cut off", self._what, MAX_BYTES >> 20)


def _connections() -> list[tuple[str, socket.socket]]:
    """The sockets of this process, each by a handle of its own, with their inodes."""
    found = []
    for handle in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            inode = str(handle.readlink())
            if inode.startswith("socket:"):
                found.append((inode, socket.socket(fileno=os.dup(int(handle.name)))))
    return found


def _received(connection: socket.socket) -> int:
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED_AT + 8)
        return int(struct.unpack_from("=Q", info, _RECEIVED_AT)[0])
    except (OSError, struct.error):
        return 0
