"""A named thread that says it is alive: what it is given, and what became of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

WAIT_S: Final = 0.02
"""Between two looks of `Pulse.until`."""
_T = TypeVar("_T")
Seconds: TypeAlias = Callable[[], float]
"""A clock: seconds that never run backwards."""


class Pulse:
    """What a worker's function gets: when to stop, and how to say that it is alive.

    `beat()` is called by the worker at least every `limit_s`; the supervisor reads the rest.
    """

    def __init__(self, limit_s: float, now_s: Seconds = time.monotonic) -> None:
        self.stop = threading.Event()
        self._now_s = now_s
        self._limit_s = limit_s
        self._patience_s = limit_s
        self._last_s = now_s()

    def beat(self) -> None:
        """There was progress."""
        self._last_s = self._now_s()

    def limit(self, limit_s: float) -> None:
        """From now on the worker may be silent for so long, outside of `patience`."""
        self._limit_s = self._patience_s = limit_s
        self.beat()

    @contextmanager
    def patience(self, limit_s: float) -> Iterator[None]:
        """Within the block the worker may be silent for `limit_s`, e.g. while it loads models."""
        self.beat()
        self._patience_s = max(limit_s, self._limit_s)
        try:
            yield
        finally:
            self._patience_s = self._limit_s
            self.beat()

    def until(self, look: Callable[[], _T | None]) -> _T | None:
        """Wait, beating, for what `look` finds; None when told to stop before."""
        while (found := look()) is None and not self.stop.wait(WAIT_S):
            self.beat()
        return found

    @property
    def silent_s(self) -> float:
        """Seconds since the last beat."""
        return self._now_s() - self._last_s

    @property
    def overdue(self) -> bool:
        """Silent for longer than allowed."""
        return self.silent_s > self._patience_s


Task: TypeAlias = Callable[[Pulse], None]
"""A worker's function. It returns when `pulse.stop` is set, or for good when its work is done."""


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker is and how it is judged."""

    name: str
    task: Task
    limit_s: float = 15.0
    """The longest silence; a worker that is silent for longer is stuck."""
    critical: bool = True
    """The watchdog is fed only while this worker makes progress."""
    replace_stuck: Callable[[], bool] = lambda: False
    """Asked when the worker is stuck: True when a new thread can do without what the old one
    holds. Else the process has to be replaced."""
    may_linger: bool = False
    """At the end it may be left behind in a call that nobody can end, without harm."""


class Run:
    """One thread of a worker, from start to end."""

    def __init__(self, spec: WorkerSpec, now_s: Seconds = time.monotonic) -> None:
        self.pulse = Pulse(spec.limit_s, now_s)
        self.spec = spec
        self.error: BaseException | None = None
        # A thread that hangs in a driver must not keep the interpreter from ending.
        self.thread = threading.Thread(target=self._main, name=spec.name, daemon=True)
        self.thread.start()

    @property
    def alive(self) -> bool:
        """Whether the thread has not ended."""
        return self.thread.is_alive()

    def _main(self) -> None:
        try:
            self.spec.task(self.pulse)
        except BaseException as error:  # noqa: BLE001  (the supervisor decides what it means)
            self.error = error
