"""The worker that answers Prometheus: `metrics.listen`.

It has a thread of its own, and so has each scrape: neither holds anything that the recognizer waits
for but the meters, for the time of a copy. Whatever becomes of it, the door goes on.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from edgeface.service.worker import Pulse
from edgeface.settings.base import is_loopback

if TYPE_CHECKING:  # the library is an extra
    from prometheus_client import CollectorRegistry
    from prometheus_client.registry import Collector

PATH: Final = "/metrics"
MAX_SCRAPES: Final = 4
"""At a time; whoever else connects is sent away."""
IDLE_S: Final = 5.0
"""A client that is silent for so long is left."""
RETRY_S: Final = 30.0
_WAIT_S: Final = 0.5

_log = logging.getLogger(__name__)


class Exporter:
    """`run` is the worker's function."""

    def __init__(self, address: tuple[str, int], make: Callable[[], Collector]) -> None:
        """`make` is called when the worker runs, and imports the library."""
        self._address = address
        self._make = make

    def run(self, pulse: Pulse) -> None:
        """Answer until told to stop. Without the library, or while the address cannot be used, it
        says so in the log and does nothing."""
        try:
            registry = self._registry()
        except ImportError as error:
            _log.error(
                "metrics.listen: no metrics without the package prometheus-client (%s); "
                "pip install 'edgeface[metrics]', or python3-prometheus-client from Debian",
                error,
            )
            return
        host, port = self._address
        while not pulse.stop.is_set():
            try:
                server = _Server(self._address, registry)
            except OSError as error:
                _log.error("metrics.listen: %s port %d cannot be used: %s", host, port, error)
                self._rest(pulse)
                continue
            with server:
                self._tell(host, port)
                while not pulse.stop.is_set():
                    pulse.beat()
                    server.handle_request()

    def _registry(self) -> CollectorRegistry:
        from prometheus_client import CollectorRegistry, ProcessCollector

        registry = CollectorRegistry()
        registry.register(self._make())
        ProcessCollector(registry=registry)
        return registry

    @staticmethod
    def _tell(host: str, port: int) -> None:
        _log.info("metrics are at http://%s:%d%s", f"[{host}]" if ":" in host else host, port, PATH)
        if not is_loopback(host):
            _log.warning(
                "metrics.listen: whoever reaches %s port %d reads the metrics; there is neither a "
                "password nor encryption",
                host,
                port,
            )

    @staticmethod
    def _rest(pulse: Pulse) -> None:
        for _ in range(round(RETRY_S / _WAIT_S)):
            pulse.beat()
            if pulse.stop.wait(_WAIT_S):
                return


class _Server(socketserver.ThreadingTCPServer):
    """Each connection in a thread, a bounded number of them."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    timeout = _WAIT_S

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry) -> None:
        """Raises OSError when the address cannot be used."""
        from prometheus_client import MetricsHandler

        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._free = threading.BoundedSemaphore(MAX_SCRAPES)

        class Handler(MetricsHandler.factory(registry)):  # type: ignore[misc]
            timeout = IDLE_S

            def do_GET(self) -> None:  # noqa: N802  (its name in the standard library)
                if urlsplit(self.path).path == PATH:
                    super().do_GET()
                else:
                    self.send_error(HTTPStatus.NOT_FOUND, explain=f"The metrics are at {PATH}.")

        super().__init__(address, Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a thread, where one is free."""
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, *_: Any) -> None:
        """A client that has gone is nothing; all else is a fault of ours."""
        error = sys.exception()
        if not isinstance(error, OSError):
            _log.error("metrics: a scrape failed: %s", error, exc_info=error)
