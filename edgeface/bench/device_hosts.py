"""The child processes of a benchmark, each with a pipe, and what their devices tell."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection as Pipe
from multiprocessing.connection import wait
from multiprocessing.context import SpawnProcess
from typing import Any, Final, Protocol, Self, TypeVar

from edgeface.base.errors import EvaluationError

PATIENCE_S: Final = 600.0
"""For any one phase."""
_END_S: Final = 30.0


class Told(Protocol):
    """What a process sends."""

    @property
    def name(self) -> str:
        """Of the device that it is about."""


_Item = TypeVar("_Item", bound=Told)


def _run(target: Callable[..., None], *arguments: Any) -> None:
    """The process. A terminal's Ctrl-C comes to all of them: the parent takes it and stops them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    target(*arguments)


class DeviceHosts:
    """`target(*arguments, pipe)` for each of the `arguments`, until it is told `stop`.

    `names` are those of the devices of all processes.
    """

    def __init__(
        self,
        target: Callable[..., None],
        arguments: Sequence[tuple[Any, ...]],
        names: Collection[str],
    ) -> None:
        self._target, self._arguments, self._names = target, arguments, frozenset(names)
        self._pipes: list[Pipe] = []
        self._processes: list[SpawnProcess] = []
        self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def respawn(self) -> None:
        """End all of them and start them again, as after a power cut."""
        self._stop()
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        for arguments in self._arguments:
            ours, theirs = context.Pipe()
            process = context.Process(target=_run, args=(self._target, *arguments, theirs))
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)

    def _stop(self) -> None:
        for pipe in self._pipes:
            with suppress(OSError):
                pipe.send("stop")
        for process in self._processes:
            process.join(_END_S)
            if process.is_alive():
                process.kill()
        self._processes.clear()
        self._pipes.clear()

    def tell(self, command: object) -> None:
        """All of them."""
        for pipe in self._pipes:
            pipe.send(command)

    def collect(
        self, kind: type[_Item], enough: Callable[[_Item], bool] = lambda _: True
    ) -> dict[str, _Item]:
        """Of each device the first of this kind that is enough. Raises EvaluationError."""
        found: dict[str, _Item] = {}
        deadline = time.monotonic() + PATIENCE_S
        while len(found) < len(self._names):
            left_s = deadline - time.monotonic()
            ready = wait(self._pipes, timeout=max(0.0, left_s))
            if not ready:
                late = sorted(self._names - found.keys())
                raise EvaluationError(f"not within {PATIENCE_S:.0f} s: {', '.join(late[:5])} ...")
            for pipe in ready:
                assert isinstance(pipe, Pipe)
                try:
                    item = pipe.recv()
                except EOFError as error:
                    raise EvaluationError("a device's process has ended") from error
                if isinstance(item, kind) and enough(item):
                    found.setdefault(item.name, item)
        return found
