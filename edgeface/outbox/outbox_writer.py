"""What the writer thread of the outbox knows, and how it gets that to disk.

Everything is in memory first and is brought to disk by `flush`. While the disk does not take it
(full, read-only, broken) events wait in memory, bounded, and are still published; that is the
live-only mode, and `status.degraded` says why.
"""

from __future__ import annotations

import dataclasses
import logging
from contextlib import suppress
from pathlib import Path
from typing import Final

from edgeface.base.clock import NS, Clock, utc_now
from edgeface.base.errors import StateError
from edgeface.base.files import set_aside
from edgeface.base.ids import uuid7
from edgeface.base.sqlite_file import UNUSABLE
from edgeface.contract import codec, event
from edgeface.contract.event import DroppedRange, Identity, Loss, Previous, Sighting
from edgeface.contract.topics import Topics
from edgeface.outbox.bounds import Enforcer, GapPause, lost_with, merge, says_unknown, take
from edgeface.outbox.counted import NOBODY, Counted, CountFile
from edgeface.outbox.outbox_file import OutboxFile, fault_of
from edgeface.outbox.rows import OutboxStatus, Row
from edgeface.settings.mqtt import OutboxSettings

_log = logging.getLogger(__name__)

DELETE_DELAY_S: Final = 0.2
"""Deletions wait this long for company: one that is lost by a crash only sends the event again."""
RETRY_MIN_S: Final = 1.0
RETRY_MAX_S: Final = 30.0
_DELETE_BATCH: Final = 512
MAX_UNSAVED: Final = 1_000
"""Events kept in memory while the file cannot be written."""


class Writer:
    """Belongs to one thread; only `status` may be read from others."""

    def __init__(
        self, path: Path, topics: Topics, session: str, *, clock: Clock, limits: OutboxSettings
    ) -> None:
        self.status = OutboxStatus()
        """The newest snapshot, replaced whole."""
        self._path = path
        self._topics = topics
        self._session = session
        self._clock = clock
        self._limits = limits
        self._file: OutboxFile | None = None
        self._broken: OutboxFile | None = None
        """What was in use before, until it can be set aside."""
        self._enforcer = Enforcer(limits, clock)
        self._count_file = CountFile(path)
        self._noted: Counted | None = None
        self._life = 1
        """Which of the sessions that have written this one is."""
        self._previous: Previous | None = None
        """Not told yet: the next event does, the first one as a rule."""
        self._seq = 0
        self._unsaved: list[Row] = []
        self._settled: dict[str, int] = {}
        """Ids of events that may go, and since when, on CLOCK_MONOTONIC; the oldest first."""
        self._letters: list[tuple[int, str, bytes]] = []
        self._gaps: list[DroppedRange] = []
        self._gaps_changed = False
        self._unknown_loss = False
        self._gap_id: str | None = None
        self._pause = GapPause(clock)
        self._retry_s = RETRY_MIN_S
        self._retry_at_ns = 0

    @property
    def idle(self) -> bool:
        """Whether no deletion waits for its batch."""
        return not self._settled

    def open(self) -> None:
        """Open the file, or degrade and say why. Raises StateError when another process has it."""
        codec.prepare(event.Recognition)
        try:
            self._adopt(OutboxFile(self._path))
        except (*UNUSABLE, OSError) as error:
            if isinstance(error, StateError) and fault_of(error) == "locked":
                raise
            self._unknown_loss |= fault_of(error) == "corrupt"
            self._failed(error)

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def take(self, sighting: Sighting) -> Row | None:
        """Make an event of a decision; None when it does not keep the contract (dead letter)."""
        identity = self._identity()
        try:
            payload = codec.to_json(event.recognition(sighting, identity))
            event.parse(payload)
        except Exception as error:  # noqa: BLE001 - one bad decision must not take others with it
            self._seq -= 1
            self._previous = identity["previous"]
            _log.error("an event does not keep the contract and was not sent: %r", error)
            self._bury(f"contract: {error}", repr(sighting).encode(errors="replace"))
            return None
        expires_ns = sighting.captured_boottime_ns + round(sighting.validity_s * NS)
        row = self._row(identity, payload, expires_ns)
        self._unsaved.append(row)
        return row

    def settle(self, event_id: str) -> None:
        """It need not be sent again; deleted from the file with the next batch."""
        if event_id == self._gap_id:
            self._pause.reset()
        count = len(self._unsaved)
        self._unsaved = [row for row in self._unsaved if row.event_id != event_id]
        if len(self._unsaved) == count and self._file is not None:
            self._settled.setdefault(event_id, self._clock.monotonic_ns())

    def give_up(self, row: Row, reason: str) -> None:
        """Make a dead letter of an event that cannot be delivered for what is in it. Of a gap event
        nothing but what it announced is kept, and announced again, with it, after a pause: another
        would be refused as well."""
        self._gap_id = None if row.event_id == self._gap_id else self._gap_id
        self.settle(row.event_id)
        self._lose([row], "refused")
        if row.kind == "gap":
            self._pause.begin()
            _log.error("a gap event cannot be delivered (%s): it is made again later", reason)
            return
        more = {"event_id": row.event_id}
        _log.error("an event cannot be delivered (%s): dead letter", reason, extra=more)
        self._bury(reason, row.payload)

    def announce(self) -> None:
        """Make a gap event of what was dropped, if anything was and no pause is kept."""
        if not self._gap_due():
            return
        lost, self._gaps = take(self._gaps)
        if self._unknown_loss:
            lost = Loss(dropped=None, ranges=lost.ranges)
            self._unknown_loss = False
        self._gaps_changed = True
        identity = self._identity()
        found = event.gap(
            lost,
            identity,
            announced_at=utc_now(self._clock),
            clock_synced=self._clock.synced(),
        )
        row = self._row(identity, codec.to_json(found), 0)
        self._gap_id = row.event_id
        self._unsaved.append(row)

    def _gap_due(self) -> bool:
        return (bool(self._gaps) or self._unknown_loss) and self._pause.over

    def oldest(self, limit: int, exclude: frozenset[str]) -> list[Row]:
        """The events that have waited longest and are not in `exclude`. What is in memory only is
        always younger than what is in the file."""
        hidden = exclude | self._settled.keys()
        rows: list[Row] = []
        if self._file is not None:
            try:
                rows = self._file.oldest(limit + len(hidden))
            except UNUSABLE as error:
                self._failed(error)
        return [row for row in (*rows, *self._unsaved) if row.event_id not in hidden][:limit]

    def flush(self, *, last: bool) -> None:
        """Bring to disk what is due; `last` before closing, when everything is."""
        if self._due(last=last):
            self._persist()
        excess = len(self._unsaved) - MAX_UNSAVED
        if excess > 0:
            self._lose(self._unsaved[:excess], "memory")
            del self._unsaved[:excess]
        count, size = (self._file.count, self._file.size) if self._file is not None else (0, 0)
        self._report(
            depth=max(0, count - len(self._settled) + len(self._unsaved)),
            bytes=size + sum(len(row.payload) for row in self._unsaved),
            unsaved=len(self._unsaved),
            last_seq=self._seq,
            gap_due=self._gap_due(),
            unannounced=sum(item.dropped for item in self._gaps) + self._unknown_loss,
        )

    def overflow(self) -> None:
        """Count a decision that could not even wait; the next gap event says that some are lost."""
        self._unknown_loss = True
        self._report(dropped=self.status.dropped + 1)

    def _identity(self) -> Identity:
        self._seq += 1
        previous, self._previous = self._previous, None
        return Identity(
            event_id=uuid7(self._clock.utc_ns()),
            seq=self._seq,
            session=self._session,
            site=self._topics.site,
            device=self._topics.device,
            previous=previous,
        )

    def _row(self, identity: Identity, payload: bytes, expires_boottime_ns: int) -> Row:
        return Row(
            event_id=identity["event_id"],
            session=identity["session"],
            seq=identity["seq"],
            kind="event" if expires_boottime_ns else "gap",
            boot_id=self._clock.boot_id(),
            created_boottime_ns=self._clock.boottime_ns(),
            created_utc_ns=self._clock.utc_ns(),
            clock_synced=self._clock.synced(),
            expires_boottime_ns=expires_boottime_ns,
            payload=payload,
        )

    def _bury(self, reason: str, payload: bytes) -> None:
        self._letters.append((self._clock.utc_ns(), reason, payload))
        del self._letters[:-MAX_UNSAVED]
        self._report(dead_letters=self.status.dead_letters + 1)

    def _lose(self, rows: list[Row], reason: event.DropReason) -> None:
        self._gaps = merge(self._gaps, lost_with(rows, reason))
        self._unknown_loss |= says_unknown(rows)
        self._gaps_changed = True
        self._report(dropped=self.status.dropped + len(rows))

    def _due(self, *, last: bool) -> bool:
        now_ns = self._clock.monotonic_ns()
        if self.status.degraded is not None:
            return last or now_ns >= self._retry_at_ns
        if last or self._unsaved or self._letters or self._gaps_changed:
            return True
        file = self._file
        if file is not None and (file.spoiled or self._enforcer.age_due(file)):
            return True
        since_ns = next(iter(self._settled.values()), now_ns)
        return len(self._settled) >= _DELETE_BATCH or now_ns - since_ns >= DELETE_DELAY_S * NS

    def _persist(self) -> None:
        """All or nothing; on failure everything is kept and tried again later. A file that turns
        out to be broken is replaced, and the new one is written at once."""
        for attempt in range(2):
            try:
                if self._file is None:
                    self.open()
                if self._file is not None:
                    self._write(self._file)
                return
            except (*UNUSABLE, StateError) as error:
                fault = fault_of(error)
                if fault == "corrupt":
                    self._replace_broken(error)
                elif not self._free_space() or attempt > 0:
                    self._degrade(fault, error)
                    return

    def _write(self, file: OutboxFile) -> None:
        with file.transaction():
            file.remove(self._settled)
            file.add(self._unsaved)
            dropped, spoiled = self._enforcer.enforce(file, self._unsaved)
            gaps = merge(self._gaps, [item for item in spoiled if item is not None])
            for rows, reason in dropped:
                gaps = merge(gaps, lost_with(rows, reason))
            if dropped or spoiled or self._gaps_changed:
                file.set_gaps(gaps)
            file.unknown = self._unknown_loss or None in spoiled
            if self._letters:
                file.bury(self._letters)
            if self._seq:
                file.counted = Counted(self._session, self._seq, self._life)
        self._note_count(file)
        self._unknown_loss |= any(says_unknown(rows) for rows, _ in dropped)
        lost = sum(len(rows) for rows, _ in dropped)
        if lost:
            _log.warning("the outbox is full: the %d oldest events were dropped", lost)
        if spoiled:
            _log.error("%s: %d damaged events were dropped", self._path, len(spoiled))
            self._unknown_loss |= None in spoiled
            lost += len(spoiled)
        if self.status.degraded is not None:
            _log.warning("the outbox writes to %s again", self._path)
        self._gaps, self._gaps_changed = gaps, False
        self._settled.clear()
        self._unsaved.clear()
        self._letters.clear()
        self._retry_s = RETRY_MIN_S
        self._report(degraded=None, dropped=self.status.dropped + lost)

    def _note_count(self, file: OutboxFile) -> None:
        if file.counted in (None, NOBODY, self._noted):
            return
        try:
            self._count_file.write(file.counted)
            self._noted = file.counted
        except OSError as error:
            if self.status.degraded is None:
                _log.warning("the last number is not noted beside %s: %s", self._path, error)

    def _free_space(self) -> bool:
        """Make room on a full disk: of the log, whose pages go into the file, and of delivered
        events, whose deletion frees pages. Whether either worked."""
        freed = False
        if self._file is None:
            return freed
        with suppress(*UNUSABLE):
            freed = self._file.shrink_log()
        if self._settled:
            with suppress(*UNUSABLE):
                with self._file.transaction():
                    self._file.remove(self._settled)
                self._settled.clear()
                freed = True
        return freed

    def _failed(self, error: Exception) -> None:
        """Replace the file when it is broken, and else go on without it for a while."""
        fault = fault_of(error)
        if fault == "corrupt":
            self._replace_broken(error)
        else:
            self._degrade(fault, error)

    def _degrade(self, reason: str, error: Exception) -> None:
        if self.status.degraded != reason:
            _log.error("the outbox cannot write (%s: %s): events are live only", reason, error)
        self._retry_at_ns = self._clock.monotonic_ns() + round(self._retry_s * NS)
        self._retry_s = min(2 * self._retry_s, RETRY_MAX_S)
        self._report(degraded=reason)

    def _adopt(self, file: OutboxFile, *, replaces: bool = False) -> None:
        try:
            (gaps, gaps_good), known = file.gaps(), file.counted
        except UNUSABLE:
            file.close()
            raise
        noted = self._count_file.read()
        found = [item for item in (known, noted) if item not in (None, NOBODY)]
        lost, gone = _lost_tail(known, noted), bool(file.new and noted and not replaces)
        # A tail may be lacking: to the session that the file has last, or to one it does not name.
        skipped = noted.life > known.life if known and noted else known is None and not file.new
        self._unknown_loss |= not gaps_good or file.short or file.unknown or gone or skipped
        # Also when the file could not be opened until now: the log learns of it late, but once.
        last = max(found, key=lambda item: (item.life, item.last_seq), default=None)
        if last is not None:
            file.counted = last  # before this session's first event no lower number is noted
            if last.session != self._session:
                self._previous, self._life = last.previous, last.life + 1
        if lost is not None:
            _log.error("%s: the newest events were lost by damage: %s", self._path, lost)
            self._report(dropped=self.status.dropped + lost.dropped)
        self._gaps = merge(gaps, [*([lost] if lost else []), *self._gaps])
        self._gaps_changed |= lost is not None or not gaps_good
        self._file, self._broken = file, None
        self._enforcer = Enforcer(self._limits, self._clock)

    def _replace_broken(self, error: Exception) -> None:
        """Move the broken file away, announce what was in it, and begin a new one."""
        if self._file is not None:
            self._file.close()
            self._broken, self._file = self._file, None
        self._settled.clear()
        try:
            place = set_aside(self._path, f"broken-{self._clock.utc_ns() // NS}")
        except OSError as failure:
            self._degrade("corrupt", failure)
            return
        _log.error("%s is broken (%s); it was set aside as %s", self._path, error, place)
        self._report(set_aside=place)
        self._gaps_changed = True
        broken, self._broken = self._broken, None
        if broken is not None:
            self._gaps = merge(self._gaps, broken.pending_ranges())
            self._report(dropped=self.status.dropped + broken.count)
        try:
            self._adopt(OutboxFile(self._path), replaces=True)
        except (*UNUSABLE, OSError) as failure:
            self._degrade("cannot_open", failure)

    def _report(self, **changes: object) -> None:
        self.status = dataclasses.replace(self.status, **changes)  # type: ignore[arg-type]


def _lost_tail(known: Counted | None, noted: Counted | None) -> DroppedRange | None:
    """What the file has lost at its end, of the session that wrote last: it is `known` there, and
    more was `noted` beside it."""
    if known is None or noted is None:
        return None
    first = known.last_seq + 1 if noted.session == known.session else 1
    if noted.life < known.life or first > noted.last_seq:
        return None
    return DroppedRange(noted.session, first, noted.last_seq, noted.last_seq - first + 1, "corrupt")
