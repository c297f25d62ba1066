"""The faults. Each is worked by `tick` from one thread and never waits for long itself.

How far a run has come is counted in kills; each of the other faults comes at random points on
that scale, drawn beforehand, and lasts for a random time. They overlap as chance has it.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgeface.mqtt.localbroker import LocalBroker
from tests.support.flips import bits_of, flip
from tests.support.proxy import StallingProxy

FIRST_COMMIT_S = 60.0
"""A daemon that has committed nothing by then never will."""
EARLY_SHARE = 0.15
"""Of the kills: at any moment of the start, whatever it is doing."""
EARLY_S = 1.5
WORKING_S = 1.8
"""The others: at any moment of this time after its first event."""


@dataclass(frozen=True, slots=True)
class Span:
    """How long a fault lasts: evenly between two bounds, and now and then much longer."""

    shortest_s: float
    longest_s: float
    rare_s: float = 0.0
    rare_share: float = 0.0

    def draw(self, rng: random.Random) -> float:
        """Seconds."""
        if rng.random() < self.rare_share:
            return self.rare_s * rng.uniform(0.8, 1.2)
        return rng.uniform(self.shortest_s, self.longest_s)


class Fault:
    """Begins and ends again, `wanted` times."""

    def __init__(
        self,
        name: str,
        wanted: int,
        span: Span,
        rng: random.Random,
        begin: Callable[[], None],
        end: Callable[[], None],
        keep: Callable[[], None] = lambda: None,
    ) -> None:
        """`keep` is called again and again while it lasts."""
        self.name = name
        self.wanted = wanted
        self.done = 0
        self.total_s = 0.0
        self._span = span
        self._rng = rng
        self._begin = begin
        self._end = end
        self._keep = keep
        self._points = sorted(rng.random() for _ in range(wanted))
        self._not_before_s = 0.0
        self._until_s: float | None = None
        self._began_s = 0.0

    @property
    def finished(self) -> bool:
        """All of them are over."""
        return self.done == self.wanted and self._until_s is None

    @property
    def lasts(self) -> bool:
        """Whether it is on now."""
        return self._until_s is not None

    def tick(self, progress: float, now_s: float) -> None:
        """Begin or end when it is time; `progress` in [0, 1]."""
        if self._until_s is not None:
            self._keep()
            if now_s >= self._until_s:
                self.stop(now_s)
        elif (
            self.done < self.wanted
            and progress >= self._points[self.done]
            and now_s >= self._not_before_s
        ):
            self._began_s, self._until_s = now_s, now_s + self._span.draw(self._rng)
            self._begin()

    def stop(self, now_s: float) -> None:
        """End it if it lasts."""
        if self._until_s is None:
            return
        self._until_s = None
        self._end()
        self.done += 1
        self.total_s += now_s - self._began_s
        # Not at once again, and not always at the same moment of a life.
        self._not_before_s = now_s + self._rng.uniform(0.3, 2.0)


def broker_outages(broker: LocalBroker, wanted: int, rng: random.Random) -> Fault:
    """mosquitto is stopped, which saves its sessions, and started again on the same port."""
    span = Span(0.1, 1.5, rare_s=9.0, rare_share=0.1)
    return Fault("broker stopped and restarted", wanted, span, rng, broker.stop, broker.start)


def half_open(name: str, proxy: StallingProxy, wanted: int, rng: random.Random) -> Fault:
    """Connections stay open, and nothing comes through until what was sent is old."""
    return Fault(name, wanted, Span(0.3, 7.0), rng, proxy.stall, proxy.release)


def full_disk(folder: Path, wanted: int, rng: random.Random) -> Fault:
    """A file takes all that is free, and also what is freed meanwhile."""
    ballast = folder / "ballast"

    def fill() -> None:
        block = bytes(4096)
        with suppress(OSError), ballast.open("ab", buffering=0) as file:
            while True:
                file.write(block)

    def empty() -> None:
        ballast.unlink(missing_ok=True)

    return Fault("disk full", wanted, Span(0.5, 4.0), rng, fill, empty, keep=fill)


class Flips:
    """Single bits that flip in the device's files between two lives, a file at a time."""

    NAMES = (
        "outbox.sqlite",
        "outbox.sqlite-wal",
        "outbox.sqlite.last",
        "gallery.sqlite",
        "time",
        "fleet-floor.json",
    )

    def __init__(self, state: Path, wanted: int, kills: int, rng: random.Random) -> None:
        self.wanted = min(wanted, kills)
        self.done: Counter[str] = Counter()
        """By the file's name."""
        self._state = state
        self._rng = rng
        self._turns = set(rng.sample(range(1, kills + 1), self.wanted))

    def after_kill(self, number: int) -> str | None:
        """Flip a bit when it is this kill's turn; the name of the file."""
        files = [self._state / name for name in self.NAMES]
        files = [file for file in files if file.exists() and any(file.read_bytes())]
        if number not in self._turns or not files:
            return None
        least = min(self.done[file.name] for file in files)
        file = self._rng.choice([item for item in files if self.done[item.name] == least])
        content = file.read_bytes()
        ((byte, bit),) = bits_of(content, 0, len(content), 1, self._rng.getrandbits(32))
        flip(file, byte, bit)
        self.done[file.name] += 1
        return file.name


class KillClock:
    """When the present life ends."""

    def __init__(self, rng: random.Random) -> None:
        self.early = 0
        """Kills that did not wait for the first event."""
        self._rng = rng
        self._at_s: float | None = None

    def begin(self, now_s: float) -> None:
        """A life has begun."""
        self._at_s = None
        if self._rng.random() < EARLY_SHARE:
            self._at_s = now_s + self._rng.uniform(0.0, EARLY_S)
            self.early += 1

    def due(self, *, has_committed: bool) -> bool:
        """Whether it is time."""
        now_s = time.monotonic()
        if self._at_s is None and has_committed:
            self._at_s = now_s + self._rng.uniform(0.0, WORKING_S)
        return self._at_s is not None and now_s >= self._at_s
