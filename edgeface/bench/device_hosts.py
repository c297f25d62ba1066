"""The child processes of a benchmark, each with a pipe, and what their devices tell."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final, Protocol, Self, TypeVar

from edgeface.base.ending import held, let_go
from edgeface.base.errors import EdgefaceError, EvaluationError

PATIENCE_S: Final = 600.0
"""While nothing comes; a whole phase of a thousand devices on two cores may take longer."""
_LOOK_S: Final = 1.0
_END_S: Final = 30.0
_MOST: Final = 500
"""Characters of an error."""


class Told(Protocol):
    """What a process sends."""

    @property
    def name(self) -> str:
        """Of the device that it is about."""


@dataclass(frozen=True, slots=True)
class HostFailed:
    """Something in a process cannot go on; the benchmark ends with it."""

    text: str


_Item = TypeVar("_Item", bound=Told)


class ChildEnd(logging.Handler):
    """A process's end of the pipe. What it logs as an error is told as `HostFailed`."""

    def __init__(self, pipe: Pipe) -> None:
        super().__init__(logging.ERROR)
        self._pipe = pipe

    def tell(self, item: object) -> None:
        """From any thread."""
        self.acquire()
        try:
            with suppress(OSError):  # nobody listens any more
                self._pipe.send(item)
        finally:
            self.release()

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler`."""
        self.tell(HostFailed(record.getMessage()[:_MOST]))

    def hear(self) -> Any:
        """The next command; `stop` also when the parent is gone."""
        try:
            return self._pipe.recv()
        except (EOFError, OSError):
            return "stop"

    def waits(self) -> bool:
        """Whether there is a command."""
        return self._pipe.poll()


def _run(target: Callable[..., None], *arguments: Any) -> None:
    """The process. A terminal's Ctrl-C comes to all of them: the parent takes it and stops them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    let_go()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    *others, pipe = arguments
    line = ChildEnd(pipe)
    logging.basicConfig(level=logging.ERROR, handlers=[line])
    threading.excepthook = lambda failure: line.tell(HostFailed(str(failure.exc_value)[:_MOST]))
    try:
        target(*others, line)
    except (EdgefaceError, OSError) as error:
        line.tell(HostFailed(str(error)[:_MOST]))


def _end_with_parent() -> None:
    """However it ended, also while this process is busy."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


class DeviceHosts:
    """`target(*arguments, line)` for each of the `arguments`, until it is told `stop`.

    `names` are those of the devices of all processes; `watch` raises when they wait in vain.
    """

    def __init__(
        self,
        target: Callable[..., None],
        arguments: Sequence[tuple[Any, ...]],
        names: Collection[str],
        watch: Callable[[], None] = lambda: None,
    ) -> None:
        self._target, self._arguments, self._names = target, arguments, frozenset(names)
        self._watch = watch
        self._pipes: list[Pipe] = []
        self._processes: list[SpawnProcess] = []
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failure: object, *_: object) -> None:
        self._stop(_END_S if failure is None else 0.0)

    def respawn(self) -> None:
        """End all of them and start them again, as after a power cut."""
        self._stop(_END_S)
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        try:
            for arguments in self._arguments:
                with held():
                    ours, theirs = context.Pipe()
                    process = context.Process(target=_run, args=(self._target, *arguments, theirs))
                    process.start()
                    theirs.close()
                    self._pipes.append(ours)
                    self._processes.append(process)
        except BaseException:
            self._stop(0.0)
            raise

    def _stop(self, within_s: float) -> None:
        """All of them, those that do not end by themselves as well."""
        for pipe in self._pipes:
            with suppress(OSError):
                pipe.send("stop")
        end_s = time.monotonic() + within_s
        for process in self._processes:
            process.join(max(0.0, end_s - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()
        self._processes.clear()
        self._pipes.clear()

    def tell(self, command: object) -> None:
        """All of them."""
        for pipe in self._pipes:
            with suppress(OSError):  # it has ended: `collect` has its last words
                pipe.send(command)

    def collect(
        self, kind: type[_Item], enough: Callable[[_Item], bool] = lambda _: True
    ) -> dict[str, _Item]:
        """Of each device the first of this kind that is enough. Raises EvaluationError, and what
        `watch` raises."""
        found: dict[str, _Item] = {}
        heard_s = time.monotonic()
        while len(found) < len(self._names):
            ready = wait(self._pipes, timeout=_LOOK_S)
            self._watch()
            if ready:
                heard_s = time.monotonic()
            elif time.monotonic() - heard_s >= PATIENCE_S:
                late = sorted(self._names - found.keys())
                raise EvaluationError(f"nothing for {PATIENCE_S:.0f} s: {', '.join(late[:5])} ...")
            for pipe in ready:
                assert isinstance(pipe, Pipe)
                item = _received(pipe)
                if isinstance(item, kind) and enough(item):
                    found.setdefault(item.name, item)
        return found


def _received(pipe: Pipe) -> Any:
    try:
        item = pipe.recv()
    except (EOFError, OSError) as error:
        raise EvaluationError("a device's process has ended") from error
    if isinstance(item, HostFailed):
        raise EvaluationError(item.text)
    return item
