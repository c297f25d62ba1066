"""What the process is told and tells: signals as a queue, and sd_notify(3).

A handler only notes the signal, the main thread does the work. systemd is told by a datagram to the
socket that NOTIFY_SOCKET names.
"""

from __future__ import annotations

import os
import queue
import signal
import socket
import time
from collections.abc import Mapping
from types import FrameType
from typing import Any, Final, Self

HANDLED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class SignalQueue:
    """Context manager that catches SIGTERM, SIGINT and SIGHUP; the old handlers come back after.

    Used by the main thread alone.
    """

    def __init__(self) -> None:
        # SimpleQueue may be entered again from a signal handler; queue.Queue may not.
        self._queue: queue.SimpleQueue[signal.Signals] = queue.SimpleQueue()
        self._before: dict[signal.Signals, Any] = {}
        self.ending = False
        """SIGTERM or SIGINT has come, whether or not it was taken out yet."""

    def __enter__(self) -> Self:
        for number in HANDLED:
            self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def get(self, timeout_s: float) -> signal.Signals | None:
        """The next signal, waiting for one at most `timeout_s`; None when there was none."""
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.ending |= number in (signal.SIGTERM, signal.SIGINT)
        self._queue.put(signal.Signals(number))


class Notifier:
    """Does nothing where systemd did not ask; never raises."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]
        for_us = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        text = environ.get("WATCHDOG_USEC", "")
        self.watchdog_s: float | None = int(text) / 1e6 if for_us and text.isdecimal() else None
        """WatchdogSec of the unit; None when there is no watchdog."""

    def ready(self, status: str) -> None:
        """Started, or done with reloading."""
        self._send("READY=1", f"STATUS={status}")

    def reloading(self) -> None:
        """A new configuration is being read; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str) -> None:
        """The end has begun."""
        self._send("STOPPING=1", f"STATUS={status}")

    def watchdog(self) -> None:
        """Everything makes progress."""
        self._send("WATCHDOG=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                # A service manager that does not read must not hold up the main thread.
                sender.setblocking(False)
                sender.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            return
