"""The real daemon as a process, with what it tells systemd."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import cv2
import numpy as np
import yaml

from tests.support.broker import eventually

ROOT = Path(__file__).resolve().parents[2]
START_S = 30.0


def write_visits(folder: Path, people: list[Path], frames: int = 6, gap: int = 6) -> Path:
    """A folder of pictures: everybody in turn for `frames`, nobody in between for `gap`."""
    folder.mkdir()
    number = 0
    for path in people:
        photograph = cv2.imread(str(path))
        assert photograph is not None
        scale = 460 / photograph.shape[0]
        person = cv2.resize(photograph, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for step in range(frames + gap):
            image = np.full((480, 640, 3), 90, np.uint8)
            if step < frames:
                left = 60 + 2 * step
                image[20:, left : left + person.shape[1]] = person[:460]
            cv2.imwrite(str(folder / f"{number:04d}.png"), image)
            number += 1
    return folder


def write_config(folder: Path, port: int, **sections: Any) -> Path:
    """A configuration with everything in `folder`."""
    file = folder / "edgeface.yaml"
    content = {
        "site": "hq",
        "device": "door-1",
        "state_dir": "state",
        "mqtt": {"host": "127.0.0.1", "port": port},
        "log": {"format": "text"},
        "health": {"interval_s": 0.5},
    }
    file.write_text(yaml.safe_dump(content | sections))
    return file


def edgeface(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run one verb to its end."""
    return subprocess.run(
        [sys.executable, "-m", "edgeface", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
        env=_environment(environ),
        cwd="/",
    )


class DaemonProcess:
    """`edgeface run -c FILE`, as the last words of the command `before`."""

    def __init__(self, file: Path, before: Sequence[str] = (), **environ: str) -> None:
        self.file = file
        self._log = file.with_suffix(f".log{time.monotonic_ns()}")
        self._notify = file.parent / f"n{time.monotonic_ns() % 10**9}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self._notify))
        self.told: list[bytes] = []
        """The datagrams to systemd."""
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*before, sys.executable, "-m", "edgeface", "run", "-c", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(environ | {"NOTIFY_SOCKET": str(self._notify)}),
                cwd=ROOT if before else "/",
            )

    @property
    def log(self) -> str:
        return self._log.read_text()

    def wait_told(self, start: bytes, count: int = 1, timeout_s: float = START_S) -> bytes:
        """Until systemd was told something that begins so, `count` times in all."""
        end_s = time.monotonic() + timeout_s
        while True:
            found = [message for message in self.told if message.startswith(start)]
            if len(found) >= count:
                return found[count - 1]
            left_s = end_s - time.monotonic()
            assert left_s > 0, f"never told {start!r}: {self.told}\n{self.log}"
            self._socket.settimeout(min(left_s, 0.2))
            try:
                self.told.append(self._socket.recv(4096))
            except TimeoutError:
                assert self.process.poll() is None, self.log

    def wait_ready(self) -> Self:
        self.wait_told(b"READY=1")
        return self

    def wait_log(self, enough: Callable[[str], bool]) -> str:
        """Until the log says enough."""
        eventually(lambda: enough(self.log), START_S)
        return self.log

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Signal and wait: exit code and how long it took."""
        began_s = time.monotonic()
        self.process.send_signal(number)
        code = self.process.wait(START_S)
        return code, time.monotonic() - began_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    path = os.pathsep.join(filter(None, (more.get("PYTHONPATH"), str(ROOT))))
    return {**os.environ, **more, "PYTHONPATH": path}
