"""The books: what was committed against what arrived, and every way in which they can disagree.

Pure. What was committed is known from two sources that the publisher has no hand in: the outbox's
file as it lay there after each end of the daemon (`Snapshot`), and the ledger that is written at
each commit (`Entry`). What arrived is known from subscribers.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Snapshot(NamedTuple):
    """The outbox's file between two lives."""

    session: str
    last_seq: int
    """All of 1 to this were committed by `session`, which wrote last."""
    waiting: frozenset[tuple[str, int]]
    """(session, seq) of the events in it."""
    unannounced: frozenset[tuple[str, int]]
    """Those of dropped events that no gap event has named yet, or one that is still in it."""


class Damage(NamedTuple):
    """A bit that flipped in one of the outbox's files, between two lives."""

    snapshots: int
    """How many had been taken."""
    arrived: int
    """How many messages had come on `~/event/log`."""
    in_log: bool
    """Whether it was in SQLite's write-ahead log: its newest transactions go, and with them also
    what they had deleted is there again."""


class Entry(NamedTuple):
    """One line of the ledger."""

    session: str
    seq: int
    event_id: str
    on_disk: bool

    @classmethod
    def read(cls, text: str) -> list[Entry]:
        """The whole lines."""
        lines = [line.split() for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [cls(item[0], int(item[1]), item[2], item[3] == "disk") for item in lines]


@dataclass(frozen=True, slots=True)
class Logged:
    """One message of `~/event/log`."""

    event_id: str
    session: str
    seq: int
    content: str
    """Everything but `historical`, in one order."""
    historical: bool
    previous: tuple[str, int] | None
    gaps: tuple[tuple[str, int, int], ...]
    """(session, first, last) of what it announces as dropped."""
    unknown: bool = False
    """It announces more, without a number."""

    @classmethod
    def read(cls, payload: bytes) -> Logged:
        """With plain JSON, not with the code under test."""
        found: dict[str, Any] = json.loads(payload)
        historical = bool(found.pop("historical"))
        previous, lost = found.get("previous"), found.get("lost") or {"dropped": 0, "ranges": []}
        return cls(
            found["event_id"],
            found["session"],
            found["seq"],
            json.dumps(found, sort_keys=True),
            historical,
            None if previous is None else (previous["session"], previous["last_seq"]),
            tuple((r["session"], r["first_seq"], r["last_seq"]) for r in lost["ranges"]),
            lost["dropped"] is None,
        )


@dataclass
class DoorBook:
    """What one door saw on `~/event` and did."""

    name: str
    redelivered: bool
    """Whether its session outlives its connection, so that the broker may deliver again."""
    arrived: Counter[str] = field(default_factory=Counter)
    """How often each event id came."""
    contents: dict[str, str] = field(default_factory=dict)
    accepted: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[str] = field(default_factory=Counter)
    late_s: list[float] = field(default_factory=list)
    """For each arrival after its validity, how much after."""
    accepted_late: int = 0
    malformed: int = 0

    @property
    def duplicates(self) -> int:
        """Arrivals of an id that had come before."""
        return self.arrived.total() - len(self.arrived)


@dataclass(frozen=True, slots=True)
class Check:
    """One promise, and how often it was broken."""

    promise: str
    wrong: int
    example: str = ""


@dataclass
class Books:
    """Filled by the harness, judged once at the end."""

    snapshots: list[Snapshot] = field(default_factory=list)
    damaged: list[Damage] = field(default_factory=list)
    ledger: dict[tuple[str, int], Entry] = field(default_factory=dict)
    log: list[Logged] = field(default_factory=list)
    malformed: int = 0
    wrong_signature: int = 0
    doors: list[DoorBook] = field(default_factory=list)

    @property
    def committed(self) -> dict[str, int]:
        """Session -> its last committed sequence number, in the order of the sessions."""
        found: dict[str, int] = {}
        for item in self.snapshots:
            found[item.session] = max(item.last_seq, found.get(item.session, 0))
        return found

    @property
    def announced(self) -> set[tuple[str, int]]:
        """Everything that gap events name."""
        return {
            (session, seq)
            for item in self.log
            for session, first, last in item.gaps
            for seq in range(first, last + 1)
        }

    @property
    def seen(self) -> set[tuple[str, int]]:
        """Everything on `~/event/log`."""
        return {(item.session, item.seq) for item in self.log}

    @property
    def _last_unknown(self) -> int:
        """The place of the last gap event that speaks of a loss without ranges."""
        return max((n for n, item in enumerate(self.log) if item.unknown), default=-1)

    @property
    def excused(self) -> set[tuple[str, int]]:
        """What was to be sent or announced at a flip after which a gap event speaks of a loss
        without ranges: a file that was set aside does not tell what was in it."""
        last = self._last_unknown
        before = [
            self.snapshots[item.snapshots - 1]
            for item in self.damaged
            if item.snapshots and item.arrived <= last
        ]
        committed = self.committed
        return {
            key
            for found in before
            for key in found.waiting | found.unannounced
            if key[1] <= committed.get(key[0], 0)  # else it is the row in which the bit has flipped
        }

    @property
    def untold(self) -> set[tuple[str, int]]:
        """What the last life before a bit flipped in the log, or in a file that was set aside with
        its log, had committed when it was killed, and had told nobody of: the kill came within the
        commit, before its number was noted beside the file, and then it was in that log alone."""
        found: set[tuple[str, int]] = set()
        for session, last in (
            self.snapshots[item.snapshots - 1][:2]
            for item in self.damaged
            if item.snapshots and (item.in_log or item.arrived <= self._last_unknown)
        ):
            told = max((n for s, n in self.ledger if s == session), default=0)
            found |= {(session, number) for number in range(told + 1, last + 1)}
        return found

    def missing(self) -> list[tuple[str, int]]:
        """Committed, and neither seen nor announced as dropped."""
        known = self.seen | self.announced | self.excused | self.untold
        everything = {(s, n) for s, last in self.committed.items() for n in range(1, last + 1)}
        everything |= {key for key, item in self.ledger.items() if item.on_disk}
        return sorted(everything - known)

    def note_damage(self, *, in_log: bool) -> None:
        """A bit has flipped now."""
        self.damaged.append(Damage(len(self.snapshots), len(self.log), in_log))

    def brought_back(self, place: int) -> bool:
        """Whether the event at this place of the log had gone from the outbox, as too old or too
        much, and is there again since the transaction that deleted it was lost to a flipped bit. No
        outbox could know; it had better be late than lost."""
        item = self.log[place]
        for damage in self.damaged:
            if damage.in_log and damage.arrived <= place:
                before = self.snapshots[: damage.snapshots]
                made = any(s.session == item.session and s.last_seq >= item.seq for s in before)
                if made and (item.session, item.seq) not in before[-1].waiting:
                    return True
        return False

    def judge(self) -> list[Check]:
        """All promises."""
        return [
            _check("committed, but neither on event/log nor in a gap event", self.missing()),
            _check("told as committed, but not in the file after the end", self._not_durable()),
            _check("a hole in a session's sequence numbers", self._holes()),
            _check("a session that names another than the one before, or its end", self._chain()),
            _check("a gap event that names what never was", self._invented()),
            _check("one sequence number or id for two events", self._ambiguous()),
            _check("an id that is not the one that was committed", self._renamed()),
            _check("first arrivals on event/log out of order", self._disorder()),
            Check("malformed on event/log", self.malformed),
            Check("wrong signature on event/log", self.wrong_signature),
            *(check for door in self.doors for check in self._judge_door(door)),
        ]

    def _judge_door(self, door: DoorBook) -> list[Check]:
        known = {item.event_id: item.content for item in self.log}
        known_ids = known.keys() | {item.event_id for item in self.ledger.values()}
        checks = [
            Check(f"{door.name}: accepted after its validity", door.accepted_late),
            _check(
                f"{door.name}: accepted twice",
                [event_id for event_id, count in door.accepted.items() if count > 1],
            ),
            _check(
                f"{door.name}: accepted what was never committed",
                [event_id for event_id in door.accepted if event_id not in known_ids],
            ),
            _check(
                f"{door.name}: another content than on event/log",
                [i for i, content in door.contents.items() if known.get(i, content) != content],
            ),
            Check(f"{door.name}: malformed on event", door.malformed),
            Check(f"{door.name}: accepted nothing at all", int(not door.accepted)),
        ]
        if not door.redelivered:
            checks.append(Check(f"{door.name}: live copies sent twice", door.duplicates))
        return checks

    def _not_durable(self) -> list[tuple[str, int]]:
        committed = self.committed
        return [
            key
            for key, item in self.ledger.items()
            if item.on_disk and item.seq > committed.get(item.session, 0)
        ]

    def _holes(self) -> list[tuple[str, int]]:
        known = self.seen | self.announced | self.excused
        top: Counter[str] = Counter()
        for session, seq in known:
            top[session] = max(top[session], seq)
        return [(s, n) for s, last in top.items() for n in range(1, last) if (s, n) not in known]

    def _chain(self) -> list[str]:
        """Of each session whose first event arrived: does it name the committed one before? A later
        event may instead, where the file could not be opened at the start."""
        sessions, untold = list(self.committed.items()), self.untold
        before: dict[str, list[list[tuple[str, int]]]] = {}
        ends: list[list[tuple[str, int]]] = [[]]
        for session, last in sessions:
            before[session] = ends
            while last and (session, last) in untold:
                ends, last = [[(session, last)], *ends], last - 1
            ends = (
                [[(session, last)], *(e for e in ends if e and e[0][0] == session)]
                if last
                else ends
            )
        named: dict[str, list[tuple[str, int]]] = {}
        for item in {(i.session, i.seq): i for i in self.log}.values():
            if item.seq == 1 or item.previous is not None:
                named.setdefault(item.session, []).extend([item.previous] if item.previous else [])
        return [
            f"{session} names {found}, not {before[session]}"
            for session, found in named.items()
            if session in before and found not in before[session]
        ]

    def _invented(self) -> list[tuple[str, int]]:
        committed = self.committed
        in_memory = {key for key, item in self.ledger.items() if not item.on_disk}
        return sorted(
            key
            for key in self.announced
            if key[1] > committed.get(key[0], 0) and key not in in_memory
        )

    def _ambiguous(self) -> list[str]:
        by_number: dict[tuple[str, int], Logged] = {}
        by_id: dict[str, Logged] = {}
        found = []
        for item in self.log:
            first = by_number.setdefault((item.session, item.seq), item)
            same = by_id.setdefault(item.event_id, item)
            if first.event_id != item.event_id or same.content != item.content:
                found.append(f"{item.session} {item.seq} {item.event_id}")
        return found

    def _renamed(self) -> list[tuple[str, int]]:
        return [
            (item.session, item.seq)
            for item in self.log
            if (entry := self.ledger.get((item.session, item.seq))) is not None
            and entry.event_id != item.event_id
        ]

    def _disorder(self) -> list[tuple[str, int]]:
        order = {session: number for number, session in enumerate(self.committed)}
        met: set[tuple[str, int]] = set()
        highest = (-1, 0)
        found = []
        for place, item in enumerate(self.log):
            key = (item.session, item.seq)
            if key in met or item.session not in order:
                continue
            met.add(key)
            rank = (order[item.session], item.seq)
            if rank < highest and not self.brought_back(place):
                found.append(key)
            highest = max(highest, rank)
        return found


def _check(promise: str, broken: Iterable[object]) -> Check:
    found = list(broken)
    return Check(promise, len(found), str(found[0]) if found else "")
