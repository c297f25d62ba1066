"""A TCP proxy that can stall a connection without closing it, as a pulled cable does."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class StallingProxy:
    """Forwards 127.0.0.1:`port` to another loopback port. After `stall()` bytes of the connections
    that exist are held back in both directions, also when their client has gone; `release()` lets
    them through. Connections made after `stall()` are forwarded as usual."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._gates: list[threading.Event] = []
        self._open = threading.Event()
        self._open.set()
        self._sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def stall(self) -> None:
        """Hold back what goes over the present connections."""
        self._open.clear()
        self._open, stalled = threading.Event(), self._open
        self._open.set()
        self._gates.append(stalled)

    def release(self) -> None:
        """Let everything through that was held back."""
        for gate in self._gates:
            gate.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self.release()
        for item in list(self._sockets):
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)
            item.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._server.accept()
                try:
                    target = socket.create_connection(("127.0.0.1", self._target_port))
                except OSError:  # nobody listens there now
                    client.close()
                    continue
                threading.Thread(
                    target=self._serve, args=(client, target, self._open), daemon=True
                ).start()

    def _serve(self, client: socket.socket, target: socket.socket, gate: threading.Event) -> None:
        """One connection, to its end in both directions."""
        self._sockets.update((client, target))
        back = threading.Thread(target=self._pump, args=(target, client, gate), daemon=True)
        back.start()
        self._pump(client, target, gate)
        back.join()
        self._sockets.difference_update((client, target))
        client.close()
        target.close()

    def _pump(self, source: socket.socket, sink: socket.socket, gate: threading.Event) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                gate.wait()
                sink.sendall(data)
        gate.wait()
        # Whatever ended one direction: the other side has to hear of it.
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
