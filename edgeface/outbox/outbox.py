"""The outbox: every event is on disk before it is published, and leaves it on the PUBACK of its
log copy.

One thread owns the file. Callers hand it functions, which it calls in batches, one transaction and
one fsync for each batch; what has to wait for that is called after it.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final, Self, TypeAlias

from edgeface.base.clock import NS, Clock
from edgeface.base.errors import ClosedError, StateError
from edgeface.contract.event import Sighting
from edgeface.contract.topics import Topics
from edgeface.outbox.outbox_writer import DELETE_DELAY_S, Writer
from edgeface.outbox.rows import OutboxStatus, Row
from edgeface.settings.mqtt import OutboxSettings

_log = logging.getLogger(__name__)

MAX_WAITING: Final = 10_000
"""Tasks that may wait for a writer that is stuck on its disk."""
_BEAT_S: Final = 1.0
_BATCH: Final = 512

Committed: TypeAlias = Callable[[Row], None]
Reply: TypeAlias = Callable[[list[Row]], None]
_Task: TypeAlias = Callable[[], None]


class Outbox:
    """Thread-safe front of the writer thread.

    `beat` is called at least once a second while the writer makes progress.
    """

    def __init__(
        self,
        path: Path,
        topics: Topics,
        session: str,
        *,
        clock: Clock,
        limits: OutboxSettings | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.session: Final = session
        """The session whose events are taken in."""
        self.oldest_at: datetime | None = None
        """Since when the oldest event waits; None when none does."""
        self._oldest: tuple[str, bool] | None = None
        """Its id, and whether the clock was synchronized when that was looked up."""
        self._looked_up_ns = 0
        self._path = path
        self._clock = clock
        self._beat = beat
        self._writer = Writer(path, topics, session, clock=clock, limits=limits or OutboxSettings())
        self._committed: Committed = lambda _: None
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        """None comes last: the end."""
        self._lock = threading.Lock()
        self._closed = False
        self.safe = False
        """At the end: all that was handed over is written, and only the file's closing is left."""
        self._opened: Future[None] = Future()
        # The writer thread's: what is called after the commit of the batch.
        self._new: list[Row] = []
        self._replies: list[_Task] = []
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)

    def when_committed(self, callback: Committed) -> None:
        """`callback` is called from the writer thread for each new event, after it is on disk (or
        in memory, while degraded). It must only enqueue. Set it before `start()`."""
        self._committed = callback

    def start(self) -> None:
        """Open the file and start the writer.

        A broken file is set aside and a new one begun; a disk that cannot be written only degrades.
        Raises StateError when another process has the file.
        """
        self._thread.start()
        error = self._opened.exception()
        if error is not None:
            self._thread.join()
            raise error

    @property
    def status(self) -> OutboxStatus:
        """The newest snapshot."""
        return self._writer.status

    @property
    def alive(self) -> bool:
        """Whether the writer thread runs."""
        return self._thread.is_alive()

    def append(self, sighting: Sighting, named: Callable[[str], None] = lambda _: None) -> None:
        """Hand over a decision; returns at once. Raises ClosedError. `named` is called with the
        event's id as the callback of `when_committed` is.

        Only while 10,000 tasks wait for a stuck disk is it dropped, counted and logged.
        """
        if self._tasks.qsize() >= MAX_WAITING:
            _log.error("the outbox's disk is stuck: an event was dropped")
            self._submit(self._writer.overflow)
            return
        self._submit(lambda: self._take(sighting, named))

    def fetch(self, limit: int, exclude: Iterable[str], reply: Reply) -> None:
        """Ask for the `limit` oldest events whose ids are not in `exclude`, in (session, seq)
        order; `reply` is called with them from the writer thread and must only enqueue."""
        hidden = frozenset(exclude)
        self._submit(
            lambda: self._replies.append(lambda: reply(self._writer.oldest(limit, hidden)))
        )

    def delivered(self, event_id: str) -> None:
        """The log copy of this event was acknowledged."""
        self._submit(lambda: self._writer.settle(event_id))

    def undeliverable(self, row: Row, reason: str) -> None:
        """This event was refused for what is in it: keep it as a dead letter, announce the gap."""
        self._submit(lambda: self._writer.give_up(row, reason))

    def announce_gaps(self) -> None:
        """Make a gap event of what was dropped since the last one, if anything was."""
        self._submit(self._writer.announce)

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write what was handed over, then close; idempotent. False when the writer did not end."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._tasks.put(None)
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _submit(self, task: _Task) -> None:
        with self._lock:
            if self._closed:
                raise ClosedError(f"{self._path}: the outbox is closed")
            self._tasks.put(task)

    def _run(self) -> None:
        try:
            self._writer.open()
            self._writer.flush(last=False)
        except StateError as error:
            self._opened.set_exception(error)
            return
        except Exception as error:  # noqa: BLE001 - `start` waits for an answer, whatever it is
            self._opened.set_exception(StateError(f"{self._path}: cannot be opened: {error!r}"))
            return
        self._opened.set_result(None)
        closing = False
        while not closing:
            tasks = self._collect()
            closing = None in tasks
            try:
                self._work(tasks, last=closing)
            except Exception:  # noqa: BLE001 - one bad batch must not end the outbox
                _log.exception("the outbox failed on a batch of %d tasks", len(tasks))
            self._beat()
        self.safe = not self._writer.status.unsaved
        self._writer.close()

    def _collect(self) -> list[_Task | None]:
        """Wait for tasks, at most until something else is due; then all that are there."""
        wait_s = _BEAT_S if self._writer.idle else DELETE_DELAY_S
        tasks: list[_Task | None] = []
        with suppress(queue.Empty):
            tasks.append(self._tasks.get(timeout=wait_s))
            while len(tasks) < _BATCH:
                tasks.append(self._tasks.get_nowait())
        return tasks

    def _work(self, tasks: list[_Task | None], *, last: bool) -> None:
        self._new, self._replies = [], []
        for task in tasks:
            if task is not None:
                task()
        self._writer.flush(last=last)
        for row in self._new:
            self._committed(row)
        for reply in self._replies:
            reply()
        self._look_up_oldest()

    def _look_up_oldest(self) -> None:
        """At most once a second while events wait: it reads past those that are to be deleted."""
        now_ns, waits = self._clock.monotonic_ns(), self.status.depth > 0
        if waits and self._oldest is not None and now_ns - self._looked_up_ns < _BEAT_S * NS:
            return
        self._looked_up_ns = now_ns
        rows = self._writer.oldest(1, frozenset()) if waits else []
        found = (rows[0].event_id, self._clock.synced()) if rows else None
        if found != self._oldest:
            self._oldest = found
            self.oldest_at = rows[0].waits_since(self._clock) if rows else None

    def _take(self, sighting: Sighting, named: Callable[[str], None]) -> None:
        row = self._writer.take(sighting)
        if row is not None:
            self._new.append(row)
            self._replies.append(lambda: named(row.event_id))
