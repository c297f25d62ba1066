"""A network camera on the loopback: Motion JPEG over HTTP, which tests can stall or cut."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

FRAME_S = 0.01


class MjpegServer:
    """Serves one gray picture after another at `url` until told otherwise."""

    def __init__(self, size: tuple[int, int] = (64, 48), frame_s: float = FRAME_S) -> None:
        self.stalled = threading.Event()
        self.cut = threading.Event()
        self.damage = threading.Event()
        """Set it to have one picture damaged; cleared when it was sent."""
        self.endless = threading.Event()
        """Set it to have pictures followed by one without an end."""
        self.closing = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server._serve(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._size = size
        self._frame_s = frame_s
        self._rng = np.random.default_rng(1)
        self._live = False
        self.show(120)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/stream.mjpg"

    def show(self, level: int, *, live: bool = False) -> None:
        """Pictures of this gray from now on; `live`: each with noise of its own, as a sensor's."""
        image = np.full((self._size[1], self._size[0], 3), level, np.uint8)
        self._image, self._jpeg = image, cv2.imencode(".jpg", image)[1].tobytes()
        self._live = live

    def _picture(self) -> bytes:
        if not self._live:
            return self._jpeg
        noise = self._rng.integers(0, 8, self._image.shape, np.uint8)
        return cv2.imencode(".jpg", self._image + noise)[1].tobytes()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        handler.end_headers()
        part = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%s\r\n"
        try:
            while not self.cut.is_set() and not self.closing.wait(self._frame_s):
                if self.stalled.is_set():
                    continue
                if self.endless.is_set():
                    handler.wfile.write(b"--frame\r\nContent-Type: image/jpeg\r\n\r\n\xff\xd8")
                    while not self.closing.is_set():
                        handler.wfile.write(bytes(1024 * 1024))
                damaged = self.damage.is_set()
                picture = bytes(len(self._jpeg)) if damaged else self._picture()
                handler.wfile.write(part % (len(picture), picture))
                if damaged:
                    self.damage.clear()
            handler.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def unused_port() -> int:
    """A loopback port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
