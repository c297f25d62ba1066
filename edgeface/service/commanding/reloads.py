"""`reload`: a request of the commands' thread that the main thread works."""

from __future__ import annotations

import queue
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from edgeface.contract.answers import ReloadData
from edgeface.service.commanding.admission import CommandRefusedError


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of it; true when the configuration was taken."""

    faults: tuple[str, ...] = ()
    """Why the old configuration stays, a line for each fault."""
    needs_restart: tuple[str, ...] = ()
    """Sections and keys that were changed and left as they were."""

    def __bool__(self) -> bool:
        return not self.faults


Done: TypeAlias = Callable[[Reloaded], None]


class Reloads:
    """The requests that wait for the main thread."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[Done] = queue.SimpleQueue()

    def ask(self, done: Done) -> None:
        """Have the configuration read again; `done` is called by the main thread."""
        self._waiting.put(done)

    def work(self, reload: Callable[[], Reloaded]) -> bool:
        """Called by the main thread: one reload answers everybody who waits. False when nobody
        did."""
        waiting: list[Done] = []
        with suppress(queue.Empty):
            while True:
                waiting.append(self._waiting.get_nowait())
        if not waiting:
            return False
        result = reload()
        for done in waiting:
            done(result)
        return True


def told(result: Reloaded) -> ReloadData:
    """The answer's data. Raises CommandRefusedError when the old configuration stays."""
    if not result:
        raise CommandRefusedError("not_reloaded", "; ".join(result.faults))
    return ReloadData(needs_restart=result.needs_restart)
