"""A private mosquitto process on a loopback port, for the demo and the tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from edgeface.base.errors import BrokerError

HOST: Final = "127.0.0.1"

_START_TIMEOUT_S: Final = 10.0
_STOP_TIMEOUT_S: Final = 5.0
_ATTEMPTS: Final = 5


def find_mosquitto() -> Path:
    """The broker's program, also outside PATH where Debian puts it. Raises BrokerError."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise BrokerError(
            "the MQTT broker mosquitto is missing: install it with apt-get install mosquitto"
        )
    return Path(found)


def tethered(command: Sequence[str]) -> list[str]:
    """The command, so that the kernel ends it (SIGTERM) when the thread that starts it ends, even
    by SIGKILL (prctl(2), PR_SET_PDEATHSIG). As it is where util-linux's `setpriv` is missing."""
    setpriv = shutil.which("setpriv")
    return [*([setpriv, "--pdeathsig", "TERM"] if setpriv else []), *command]


def free_port() -> int:
    """A loopback TCP port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


class LocalBroker:
    """mosquitto with everybody allowed, on 127.0.0.1 only, its files in `folder`.

    `start()` returns when it answers; `stop()` keeps the port. Unless `persistence`
    is on, retained messages are gone after a restart. `extra` are more lines of its configuration.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        persistence: bool = False,
        extra: Iterable[str] = (),
    ) -> None:
        self.host: Final = HOST
        self.port = port or 0
        self._folder = folder
        self._persistence = persistence
        self._extra = tuple(extra)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What mosquitto wrote to its log."""
        path = self._folder / "mosquitto.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    @property
    def pid(self) -> int | None:
        """Of its process; None while there is none."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start and wait until it answers. Raises BrokerError with mosquitto's own words."""
        if self._process is not None and self._process.poll() is None:
            return
        program = find_mosquitto()
        self._folder.mkdir(parents=True, exist_ok=True)
        choose = self.port == 0
        # Somebody else may take a port that was free a moment ago. One that it had before may be
        # taken for a moment by who looks for it there: a connection out of a port to itself.
        for _ in range(_ATTEMPTS):
            if choose:
                self.port = free_port()
            if self._launch(program):
                return
        raise BrokerError(f"mosquitto did not start on {HOST}:{self.port}: {self.log[-500:]}")

    def stop(self) -> None:
        """Stop it as systemd would; its clients are told. Safe to call twice."""
        self._end(subprocess.Popen.terminate)

    def kill(self) -> None:
        """SIGKILL: nobody is told."""
        self._end(subprocess.Popen.kill)

    def check(self) -> None:
        """Raise BrokerError where it was started and has ended by itself."""
        if self._process is not None and (status := self._process.poll()) is not None:
            last = self.log.strip().rpartition("\n")[2]
            raise BrokerError(f"mosquitto has ended by itself, status {status}; its log: {last}")

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _launch(self, program: Path) -> bool:
        config = self._folder / "mosquitto.conf"
        config.write_text("\n".join(self._configuration()) + "\n", encoding="utf-8")
        with (self._folder / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                tethered([str(program), "-c", str(config)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is the owner's to take
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while time.monotonic() < deadline and self._process.poll() is None:
            with suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                return self._process.poll() is None
            time.sleep(0.01)
        self.kill()
        return False

    def _configuration(self) -> list[str]:
        """The lines of its file; a broker that is set up otherwise has its own."""
        lines = [
            f"listener {self.port} {HOST}",
            "allow_anonymous true",
            "log_type error",
            "log_type warning",
            "log_type notice",
            "set_tcp_nodelay true",
            f"persistence {'true' if self._persistence else 'false'}",
            f"persistence_location {self._folder}/",
            *self._extra,
        ]
        # Else it becomes `mosquitto`, who may not read the folder.
        return [*lines, *(["user root"] if os.geteuid() == 0 else [])]

    def _end(self, how: Callable[[subprocess.Popen[bytes]], None]) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        how(process)
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
