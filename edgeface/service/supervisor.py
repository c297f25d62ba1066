"""Starts workers, restarts those that fail, notices those that hang, and stops them all.

It has no thread of its own: the main thread calls `check()` a few times a second.
"""

from __future__ import annotations

import logging
import random
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from edgeface.base.backoff import STABLE_S, Backoff
from edgeface.base.errors import EdgefaceError
from edgeface.service.worker import Pulse, Run, Seconds, WorkerSpec
from edgeface.settings.daemon import ServiceSettings

_log = logging.getLogger(__name__)

CLEAN: Final = 0
BEYOND_BUDGET: Final = 4
STUCK: Final = 5

RESTART_MIN_S: Final = 0.5
RESTART_MAX_S: Final = 10.0
SILENT_S: Final = 3.0
"""A critical worker that says nothing for so long is told of, whatever it may take at the most."""


class FatalError(Exception):
    """Raised by a worker when a restart would not help; the process ends with the cause's code."""

    def __init__(self, cause: EdgefaceError) -> None:
        super().__init__(str(cause))
        self.cause = cause


@contextmanager
def fatal(*kinds: type[EdgefaceError], when: bool) -> Iterator[None]:
    """Errors of these kinds are a FatalError `when` the first attempt was made, and otherwise a
    failure like any other: what has worked once may work again."""
    try:
        yield
    except kinds as error:
        if when:
            raise FatalError(error) from error
        raise


@dataclass(frozen=True, slots=True)
class Exit:
    """Why the process has to end."""

    code: int
    reason: str
    """For people; empty for a clean end."""
    cause: EdgefaceError | None = None
    """The error that makes a restart useless."""


@dataclass(slots=True)
class _Worker:
    spec: WorkerSpec
    """What runs next; `run` may still be of another one, which was told to stop."""
    run: Run | None = None
    failures: deque[float] = field(default_factory=deque)
    """When it failed, within the window."""
    restart_at_s: float | None = None
    trouble: str = ""
    """What the last failure was."""


@dataclass(frozen=True, slots=True)
class _Guest:
    name: str
    pulse: Pulse
    alive: Callable[[], bool]


class Supervisor:
    """Owns the workers' threads. Used by one thread.

    A worker that raises is started again after a pause that grows with its failures within
    `restart_window_s`; more than `restart_budget` of them end the process. A worker that returns is
    done.
    """

    def __init__(
        self,
        limits: ServiceSettings,
        *,
        now_s: Seconds = time.monotonic,
        draw: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """`draw`: of the pauses, see `Backoff`."""
        self.limits = limits
        """May be replaced; holds from the next failure on."""
        self._now_s = now_s
        self._backoff = Backoff(floor_s=0.0, base_s=RESTART_MIN_S, cap_s=RESTART_MAX_S, draw=draw)
        self._workers: dict[str, _Worker] = {}
        self._guests: list[_Guest] = []
        self._left: list[Run] = []
        """Those that were stuck and were replaced."""
        self._stopping = False
        self.restarts = 0
        """Workers started again after a failure."""

    def start(self, spec: WorkerSpec) -> None:
        """Start a worker."""
        self._workers[spec.name] = _Worker(spec, Run(spec, self._now_s))

    def adopt(self, name: str, limit_s: float, alive: Callable[[], bool]) -> Callable[[], None]:
        """Watch a thread that somebody else started; returns the function with which it beats.

        It cannot be restarted: when it is dead or silent the process has to end.
        """
        guest = _Guest(name, Pulse(limit_s, self._now_s), alive)
        self._guests.append(guest)
        return guest.pulse.beat

    def restart(self, spec: WorkerSpec, timeout_s: float) -> bool:
        """Replace a worker by one of the same name that does something else; no failure.

        False when the old one did not stop in time; the new one then starts once it has.
        """
        old = self._workers[spec.name]
        if old.run is not None:
            old.run.pulse.stop.set()
            old.run.thread.join(timeout_s)
            if old.run.alive:
                old.spec = spec
                return False
        self.start(spec)
        return True

    def finished(self, name: str) -> bool:
        """Whether the worker has done all its work."""
        worker = self._workers[name]
        return worker.run is None and worker.restart_at_s is None

    @property
    def troubles(self) -> tuple[str, ...]:
        """Of each worker that failed a moment ago, and may again, with what; and the critical ones
        that wait for something longer than is usual, though not too long yet."""
        now_s = self._now_s()
        found = [
            worker.trouble
            for worker in self._workers.values()
            if worker.failures
            and (worker.restart_at_s is not None or now_s - worker.failures[-1] < STABLE_S)
        ]
        runs = [worker.run for worker in self._workers.values() if worker.run is not None]
        pulses = {run.spec.name: run.pulse for run in runs if run.spec.critical and run.alive}
        pulses |= {guest.name: guest.pulse for guest in self._guests}
        return (
            *found,
            *(
                f"worker {name} has been silent for {SILENT_S:g} s or more: what it works with, a "
                "file, a device or the network, does not answer"
                for name, pulse in pulses.items()
                if pulse.silent_s >= SILENT_S
            ),
        )

    def healthy(self) -> bool:
        """Whether every critical worker makes progress; the watchdog is fed only then.

        One that waits for its restart counts: the budget bounds that.
        """
        runs = [worker.run for worker in self._workers.values() if worker.run is not None]
        pulses = [run.pulse for run in runs if run.spec.critical]
        pulses += [guest.pulse for guest in self._guests]
        return not any(pulse.overdue for pulse in pulses)

    def check(self) -> Exit | None:
        """One round; the reason to end the process, if there is one. Nothing while stopping."""
        if self._stopping:
            return None
        for guest in self._guests:
            if not guest.alive():
                return Exit(BEYOND_BUDGET, f"worker {guest.name} has ended by itself")
            if guest.pulse.overdue:
                return Exit(BEYOND_BUDGET, _stuck(guest.name, guest.pulse))
        for worker in list(self._workers.values()):
            reason = self._check(worker)
            if reason is not None:
                return reason
        return None

    def stop(self, timeout_s: float, names: Collection[str] | None = None) -> tuple[str, ...]:
        """Tell workers to stop, then wait for all of them together at most `timeout_s`.

        `names` are those meant, by default all. Returns the names of the threads that are still
        there and may not be; nothing is restarted from now on. May be called again.
        """
        self._stopping = True
        there = [worker.run for worker in self._workers.values() if worker.run] + self._left
        runs = [run for run in there if names is None or run.spec.name in names]
        for run in runs:
            run.pulse.stop.set()
        end_s = time.monotonic() + timeout_s
        for run in runs:
            run.thread.join(0 if run.spec.may_linger else max(0.0, end_s - time.monotonic()))
        # Those that may be left behind get what is left of the time, if anything is.
        for run in runs:
            run.thread.join(max(0.0, end_s - time.monotonic()))
            if run.error is not None and not isinstance(run.error, FatalError):
                _log.warning("worker %s stopped with: %s", run.thread.name, run.error)
        return tuple(run.spec.name for run in runs if run.alive and not run.spec.may_linger)

    def _check(self, worker: _Worker) -> Exit | None:
        name, run = worker.spec.name, worker.run
        if run is None:
            if worker.restart_at_s is not None and self._now_s() >= worker.restart_at_s:
                worker.restart_at_s = None
                worker.run = Run(worker.spec, self._now_s)
                self.restarts += 1
            return None
        if run.alive:
            if not run.pulse.overdue:
                return None
            reason = _stuck(name, run.pulse)
            if not run.spec.replace_stuck():
                return Exit(BEYOND_BUDGET, reason)
            # The thread may wake up one day: it finds its stop set then.
            run.pulse.stop.set()
            self._left.append(run)
            return self._failed(worker, reason)
        if run.spec is not worker.spec:
            self.start(worker.spec)
            return None
        if run.error is None:
            worker.run = None
            return None
        if isinstance(run.error, FatalError):
            return Exit(run.error.cause.exit_code, str(run.error), run.error.cause)
        _log.error("worker %s failed: %s", name, run.error, exc_info=run.error)
        return self._failed(worker, f"worker {name} failed: {run.error}")

    def _failed(self, worker: _Worker, reason: str) -> Exit | None:
        now_s = self._now_s()
        worker.run, worker.trouble = None, reason
        worker.failures.append(now_s)
        window_s = self.limits.restart_window_s
        while now_s - worker.failures[0] > window_s:
            worker.failures.popleft()
        count = len(worker.failures)
        if count > self.limits.restart_budget:
            why = f"{reason} ({count} failures within {window_s:g} s, giving up)"
            return Exit(BEYOND_BUDGET, why)
        pause_s = self._backoff.after_s(count)
        worker.restart_at_s = now_s + pause_s
        _log.warning("worker %s starts again in %.1f s", worker.spec.name, pause_s)
        return None


def _stuck(name: str, pulse: Pulse) -> str:
    return f"worker {name} is stuck: nothing from it for {pulse.silent_s:.0f} s"
