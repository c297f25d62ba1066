"""The outbox: every event is on disk before it is published, and leaves it on the PUBACK of its
log copy.

One thread owns the file. Callers hand over operations, which it works through in batches, one
transaction and one fsync for each batch.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

from edgeface.base.clock import Clock
from edgeface.base.errors import ClosedError, StateError
from edgeface.contract.event import Sighting
from edgeface.contract.topics import Topics
from edgeface.outbox.outbox_writer import DELETE_DELAY_S, Writer
from edgeface.outbox.rows import OutboxLimits, OutboxStatus, Row

_log = logging.getLogger(__name__)

MAX_WAITING: Final = 10_000
"""Operations that may wait for a writer that is stuck on its disk."""
_BEAT_S: Final = 1.0
_BATCH: Final = 512

Committed: TypeAlias = Callable[[Row], None]
Reply: TypeAlias = Callable[[list[Row]], None]


@dataclass(frozen=True, slots=True)
class _Append:
    sighting: Sighting


@dataclass(frozen=True, slots=True)
class _Fetch:
    limit: int
    exclude: frozenset[str]
    reply: Reply


@dataclass(frozen=True, slots=True)
class _Delivered:
    event_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Undeliverable:
    row: Row
    reason: str


@dataclass(frozen=True, slots=True)
class _Announce:
    pass


@dataclass(frozen=True, slots=True)
class _Overflow:
    pass


@dataclass(frozen=True, slots=True)
class _Close:
    pass


_Operation: TypeAlias = (
    _Append | _Fetch | _Delivered | _Undeliverable | _Announce | _Overflow | _Close
)


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
        limits: OutboxLimits | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self.session: Final = session
        """The session whose events are taken in."""
        self._path = path
        self._beat = beat
        self._writer = Writer(path, topics, session, clock=clock, limits=limits or OutboxLimits())
        self._committed: Committed = lambda _: None
        self._operations: queue.SimpleQueue[_Operation] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._closed = False
        self._opened: queue.SimpleQueue[StateError | None] = queue.SimpleQueue()
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
        error = self._opened.get()
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

    def append(self, sighting: Sighting) -> None:
        """Hand over a decision; returns at once. Raises ClosedError.

        Only while 10,000 operations wait for a stuck disk is it dropped, counted and logged.
        """
        if self._operations.qsize() >= MAX_WAITING:
            _log.error("the outbox's disk is stuck: an event was dropped")
            self._submit(_Overflow())
            return
        self._submit(_Append(sighting))

    def fetch(self, limit: int, exclude: Iterable[str], reply: Reply) -> None:
        """Ask for the `limit` oldest events whose ids are not in `exclude`, in (session, seq)
        order; `reply` is called with them from the writer thread and must only enqueue."""
        self._submit(_Fetch(limit, frozenset(exclude), reply))

    def delivered(self, *event_ids: str) -> None:
        """The log copies of these events were acknowledged."""
        self._submit(_Delivered(event_ids))

    def undeliverable(self, row: Row, reason: str) -> None:
        """This event was refused for what is in it: keep it as a dead letter, announce the gap."""
        self._submit(_Undeliverable(row, reason))

    def announce_gaps(self) -> None:
        """Make a gap event of what was dropped since the last one, if anything was."""
        self._submit(_Announce())

    def close(self, timeout_s: float = 5.0) -> bool:
        """Write what was handed over, then close; idempotent. False when the writer did not end."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._operations.put(_Close())
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def _submit(self, operation: _Operation) -> None:
        with self._lock:
            if self._closed:
                raise ClosedError(f"{self._path}: the outbox is closed")
            self._operations.put(operation)

    def _run(self) -> None:
        try:
            self._writer.open()
            self._writer.flush(last=False)
        except StateError as error:
            self._opened.put(error)
            return
        except Exception as error:  # noqa: BLE001 - `start` waits for an answer, whatever it is
            self._opened.put(StateError(f"{self._path}: cannot be opened: {error!r}"))
            return
        self._opened.put(None)
        closing = False
        while not closing:
            operations = self._collect()
            closing = any(isinstance(item, _Close) for item in operations)
            try:
                self._work(operations, last=closing)
            except Exception:  # noqa: BLE001 - one bad batch must not end the outbox
                _log.exception("the outbox failed on a batch of %d operations", len(operations))
            self._beat()
        self._writer.close()

    def _collect(self) -> list[_Operation]:
        """Wait for operations, at most until something else is due; then all that are there."""
        wait_s = _BEAT_S if self._writer.idle else DELETE_DELAY_S
        operations: list[_Operation] = []
        with suppress(queue.Empty):
            operations.append(self._operations.get(timeout=wait_s))
            while len(operations) < _BATCH:
                operations.append(self._operations.get_nowait())
        return operations

    def _work(self, operations: list[_Operation], *, last: bool) -> None:
        new: list[Row] = []
        for item in operations:
            match item:
                case _Append(sighting):
                    row = self._writer.take(sighting)
                    if row is not None:
                        new.append(row)
                case _Delivered(event_ids):
                    self._writer.settle(*event_ids)
                case _Undeliverable(row, reason):
                    self._writer.give_up(row, reason)
                case _Announce():
                    self._writer.announce()
                case _Overflow():
                    self._writer.overflow()
                case _:
                    pass
        self._writer.flush(last=last)
        for row in new:
            self._committed(row)
        for item in operations:
            if isinstance(item, _Fetch):
                item.reply(self._writer.oldest(item.limit, item.exclude))
