"""`edgeface door --json` as a process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Self

from edgeface.contract.topics import Topics
from edgeface.security.keys import SigningKey
from tests.support.messages import TOPICS

ROOT = Path(__file__).resolve().parents[2]


def pin(folder: Path, key: SigningKey) -> Path:
    """The device's public key as a door is given it."""
    pinned = folder / "pinned.pub"
    pinned.write_bytes(key.public.pem())
    return pinned


class DoorProcess:
    """Follows the device of `topics`, by its `pinned` key; killed at the end of `with`."""

    def __init__(
        self,
        pinned: Path | str,
        *more: object,
        topics: Topics = TOPICS,
        stderr: int | None = None,
    ) -> None:
        where = ["--site", topics.site, "--device", topics.device, "--key", pinned]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "edgeface", "door", "--json", *map(str, [*where, *more])],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate(timeout=20)

    def next(self, *kinds: str) -> dict[str, Any]:
        """The next line, or the next whose `door` is one of `kinds`."""
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            found: dict[str, Any] = json.loads(line)
            if not kinds or found["door"] in kinds:
                return found
        raise AssertionError("the door has ended")

    def verdict(self) -> str:
        """The reason of the next one."""
        return str(self.next("open", "shut")["reason"])

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)
