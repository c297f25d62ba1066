"""The outbox: nothing committed is lost, nothing dropped goes unsaid."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeface.errors import ClosedError, StateError
from edgeface.messaging import event
from edgeface.messaging.clock import KernelClock, ManualClock
from edgeface.messaging.event import DroppedRange, Gap, new_session
from edgeface.messaging.gaps import MAX_RANGES, merge, take
from edgeface.messaging.outbox import Outbox
from edgeface.messaging.outbox_file import OutboxFile
from edgeface.messaging.outbox_writer import RETRY_MAX_S, Writer
from edgeface.messaging.rows import OutboxLimits, Row
from tests.support.messages import TOPICS, sighting

ROOT = Path(__file__).resolve().parents[2]


def writer(path: Path, clock: ManualClock, session: str | None = None, **limits: float) -> Writer:
    found = Writer(
        path,
        TOPICS,
        session or new_session(),
        clock=clock,
        limits=OutboxLimits(**limits),  # type: ignore[arg-type]
    )
    found.open()
    return found


def take_one(writer: Writer, clock: ManualClock, **changes: object) -> Row:
    row = writer.take(sighting(clock, **changes))
    assert row is not None
    writer.flush(last=False)
    return row


def waiting(writer: Writer) -> list[Row]:
    return writer.oldest(1_000_000, frozenset())


def numbers(writer: Writer) -> list[int]:
    return [row.seq for row in waiting(writer)]


def announced(writer: Writer) -> Gap:
    writer.announce()
    writer.flush(last=False)
    found = event.parse(waiting(writer)[-1].payload)
    assert isinstance(found, Gap)
    return found


def test_an_event_is_on_disk_when_it_is_called_committed(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    found: list[list[str]] = []
    ids: list[str] = []
    outbox = Outbox(path, TOPICS, new_session(), clock=KernelClock())

    def look(row: Row) -> None:
        """What is on disk at this moment, as a crash would leave it."""
        copy = tmp_path / f"crash-{row.seq}"
        shutil.copytree(tmp_path, copy, ignore=shutil.ignore_patterns("crash-*"))
        found.append([left.event_id for left in OutboxFile(copy / "outbox.db").oldest(10)])
        ids.append(row.event_id)

    outbox.when_committed(look)
    with outbox:
        for _ in range(3):
            outbox.append(sighting(KernelClock()))
    assert len(ids) == 3
    assert all(event_id in there for event_id, there in zip(ids, found, strict=True))
    assert [row.seq for row in OutboxFile(path).oldest(10)] == [1, 2, 3]


def test_close_writes_what_was_handed_over_and_is_final(tmp_path: Path) -> None:
    clock = KernelClock()
    outbox = Outbox(tmp_path / "outbox.db", TOPICS, new_session(), clock=clock)
    outbox.start()
    for _ in range(200):
        outbox.append(sighting(clock))
    assert outbox.close()
    assert outbox.close()
    assert not outbox.alive
    assert OutboxFile(tmp_path / "outbox.db").totals()[0] == 200
    with pytest.raises(ClosedError):
        outbox.append(sighting(clock))


def test_rows_come_oldest_first_without_those_excluded_or_delivered(tmp_path: Path) -> None:
    clock = KernelClock()
    replies: queue.SimpleQueue[list[Row]] = queue.SimpleQueue()
    with Outbox(tmp_path / "outbox.db", TOPICS, new_session(), clock=clock) as outbox:
        for _ in range(6):
            outbox.append(sighting(clock))
        outbox.fetch(10, (), replies.put)
        rows = replies.get(timeout=5)
        assert [row.seq for row in rows] == [1, 2, 3, 4, 5, 6]
        outbox.delivered(rows[0].event_id, rows[3].event_id)
        outbox.fetch(2, {rows[1].event_id}, replies.put)
        assert [row.seq for row in replies.get(timeout=5)] == [3, 5]
    assert [row.seq for row in OutboxFile(tmp_path / "outbox.db").oldest(10)] == [2, 3, 5, 6]


def test_a_second_daemon_on_the_same_file_is_refused(tmp_path: Path) -> None:
    clock = KernelClock()
    path = tmp_path / "outbox.db"
    with Outbox(path, TOPICS, new_session(), clock=clock):
        script = (
            "import sys; from pathlib import Path\n"
            "from edgeface.messaging.outbox_file import OutboxFile\n"
            "OutboxFile(Path(sys.argv[1]))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(path)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert "is edgeface running already?" in done.stderr


def test_each_session_counts_from_one_and_names_the_one_before(tmp_path: Path) -> None:
    clock = ManualClock()
    first = writer(tmp_path / "outbox.db", clock, "aaaaaaaa")
    for _ in range(3):
        take_one(first, clock)
    first.close()
    writer(tmp_path / "outbox.db", clock, "bbbbbbbb").close()  # a session without an event
    third = writer(tmp_path / "outbox.db", clock, "cccccccc")
    rows = [take_one(third, clock) for _ in range(2)]
    found = [event.parse(row.payload) for row in rows]
    assert [item.seq for item in found] == [1, 2]
    assert found[0].previous == event.Previous("aaaaaaaa", 3)
    assert found[1].previous is None
    assert [(row.session[0], row.seq) for row in waiting(third)] == [
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("c", 1),
        ("c", 2),
    ]


def test_the_very_first_session_names_none(tmp_path: Path) -> None:
    clock = ManualClock()
    row = take_one(writer(tmp_path / "outbox.db", clock), clock)
    assert event.parse(row.payload).previous is None


def test_beyond_the_count_the_oldest_go_and_one_gap_event_names_them(tmp_path: Path) -> None:
    clock = ManualClock()
    found = writer(tmp_path / "outbox.db", clock, "aaaaaaaa", max_events=5)
    for _ in range(12):
        take_one(found, clock)
    assert numbers(found) == [8, 9, 10, 11, 12]
    assert found.status.dropped == found.status.unannounced == 7
    gap = announced(found)
    assert gap.seq == 13
    assert gap.lost == event.Lost(7, (DroppedRange("aaaaaaaa", 1, 7, 7, "count"),))
    assert found.status.unannounced == 0
    found.announce()
    found.flush(last=False)
    assert numbers(found) == [8, 9, 10, 11, 12, 13]


def test_what_was_dropped_is_remembered_over_a_restart(tmp_path: Path) -> None:
    clock = ManualClock()
    first = writer(tmp_path / "outbox.db", clock, "aaaaaaaa", max_events=2)
    for _ in range(4):
        take_one(first, clock)
    first.close()
    second = writer(tmp_path / "outbox.db", clock, "bbbbbbbb", max_events=2)
    assert announced(second).lost.ranges == (DroppedRange("aaaaaaaa", 1, 2, 2, "count"),)


def test_a_gap_event_that_is_dropped_itself_hands_its_ranges_on(tmp_path: Path) -> None:
    clock = ManualClock()
    found = writer(tmp_path / "outbox.db", clock, "aaaaaaaa", max_events=2)
    for _ in range(4):
        take_one(found, clock)
    assert announced(found).seq == 5
    for _ in range(4):
        take_one(found, clock)
    assert numbers(found) == [8, 9]
    lost = announced(found).lost
    said = {seq for r in lost.ranges for seq in range(r.first_seq, r.last_seq + 1)}
    assert said == {1, 2, 3, 4, 5, 6, 7}


def test_beyond_the_bytes_the_oldest_go(tmp_path: Path) -> None:
    clock = ManualClock()
    found = writer(tmp_path / "outbox.db", clock, max_bytes=20_000)
    for _ in range(6):
        take_one(found, clock, why={"padding": "x" * 5_000})
    assert numbers(found) == [4, 5, 6]
    assert found.status.bytes <= 20_000
    assert announced(found).lost.ranges[0].reason == "bytes"


def test_events_that_are_too_old_go(tmp_path: Path) -> None:
    clock = ManualClock()
    found = writer(tmp_path / "outbox.db", clock, max_age_s=100.0)
    take_one(found, clock)
    clock.advance(90)
    take_one(found, clock)
    clock.advance(60)
    found.flush(last=False)
    assert numbers(found) == [2]
    assert announced(found).lost.ranges[0].reason == "age"


@pytest.mark.parametrize(("synced", "left"), [(True, []), (False, [1])], ids=["synced", "unsynced"])
def test_the_age_over_a_reboot_is_known_only_with_a_clock(
    tmp_path: Path, synced: bool, left: list[int]
) -> None:
    before = ManualClock(boot_id="one")
    first = writer(tmp_path / "outbox.db", before, max_age_s=100.0)
    take_one(first, before)
    first.close()
    after = ManualClock(
        boot_id="two", boottime_ns=1, utc_ns=before.utc_ns() + 200 * 10**9, synced=synced
    )
    second = writer(tmp_path / "outbox.db", after, max_age_s=100.0)
    second.flush(last=False)
    assert numbers(second) == left


def test_a_row_of_another_boot_or_session_is_never_live(tmp_path: Path) -> None:
    clock = ManualClock(boot_id="one")
    row = take_one(writer(tmp_path / "outbox.db", clock, "aaaaaaaa"), clock)
    assert row.remaining_s(clock, "aaaaaaaa") == pytest.approx(4.8)
    assert not row.late(clock, "aaaaaaaa")
    assert row.remaining_s(clock, "bbbbbbbb") == 0
    other = ManualClock(boot_id="two", boottime_ns=0)
    assert row.remaining_s(other, "aaaaaaaa") == 0
    assert row.late(other, "aaaaaaaa")
    clock.advance(5)
    assert row.late(clock, "aaaaaaaa")


def test_a_full_disk_keeps_events_in_memory_and_recovers_without_a_hole(tmp_path: Path) -> None:
    clock = ManualClock()
    found = writer(tmp_path / "outbox.db", clock)
    take_one(found, clock)
    assert found._file is not None
    pages = found._file._db.execute("PRAGMA page_count").fetchone()[0]
    found._file._db.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(20):
        take_one(found, clock)
    assert found.status.degraded == "disk_full"
    assert found.status.unsaved > 0
    assert numbers(found) == list(range(1, 22))
    found._file._db.execute("PRAGMA max_page_count = 100000")
    clock.advance(RETRY_MAX_S)
    take_one(found, clock)
    assert found.status.degraded is None
    assert found.status.unsaved == 0
    found.close()
    assert [row.seq for row in OutboxFile(tmp_path / "outbox.db").oldest(99)] == list(range(1, 23))


def test_memory_is_bounded_while_the_disk_is_full(tmp_path: Path) -> None:
    clock = ManualClock()
    found = writer(tmp_path / "outbox.db", clock, "aaaaaaaa", max_unsaved=10)
    assert found._file is not None
    found._file._db.execute("PRAGMA query_only = 1")
    for _ in range(25):
        take_one(found, clock)
    assert found.status.degraded is not None
    assert numbers(found) == list(range(16, 26))
    found._file._db.execute("PRAGMA query_only = 0")
    clock.advance(RETRY_MAX_S)
    gap = announced(found)
    assert gap.lost == event.Lost(15, (DroppedRange("aaaaaaaa", 1, 15, 15, "memory"),))


@pytest.mark.parametrize(
    "content", [b"rubbish" * 1000, b"SQLite format 3\0" + b"\xff" * 5000], ids=["text", "head"]
)
def test_a_broken_file_is_set_aside_and_said(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(content)
    clock = ManualClock()
    found = writer(path, clock)
    assert found.status.set_aside is not None
    assert found.status.set_aside.read_bytes() == content
    take_one(found, clock)
    gap = announced(found)
    assert gap.lost.dropped is None
    found.close()
    assert len(OutboxFile(path).oldest(10)) == 2


def test_a_file_that_breaks_while_in_use_is_set_aside_and_its_range_said(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    clock = ManualClock()
    first = writer(path, clock, "aaaaaaaa")
    for _ in range(200):
        first.take(sighting(clock))
    first.flush(last=False)
    first.close()
    found = writer(path, clock, "bbbbbbbb")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (path.stat().st_size - 4096))
    assert found._file is not None
    found._file._db.execute("PRAGMA cache_size = 0")
    take_one(found, clock)
    take_one(found, clock)
    waiting(found)
    take_one(found, clock)
    assert found.status.set_aside is not None
    assert found.status.degraded is None
    assert DroppedRange("aaaaaaaa", 1, 200, 200, "corrupt") in announced(found).lost.ranges


def test_a_folder_that_cannot_be_written_only_degrades(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    clock = ManualClock()
    found = writer(blocked / "outbox.db", clock)
    take_one(found, clock)
    assert found.status.degraded == "cannot_open"
    assert numbers(found) == [1]


def test_an_event_that_breaks_the_contract_is_a_dead_letter_and_takes_no_number(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    found = writer(tmp_path / "outbox.db", clock)
    assert found.take(sighting(clock, why={"score": float("nan")})) is None
    assert found.take(sighting(clock, match=None)) is None
    take_one(found, clock)
    assert found.status.dead_letters == 2
    assert numbers(found) == [1]
    assert found._file is not None
    assert len(found._file.dead_letters()) == 2


def test_an_undeliverable_event_is_buried_and_announced(tmp_path: Path) -> None:
    clock = ManualClock()
    found = writer(tmp_path / "outbox.db", clock, "aaaaaaaa")
    row = take_one(found, clock)
    found.give_up(row, "payload format invalid")
    gap = announced(found)
    assert gap.lost.ranges == (DroppedRange("aaaaaaaa", 1, 1, 1, "refused"),)
    assert numbers(found) == [2]


def test_the_outbox_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    writer(tmp_path / "outbox.db", ManualClock())
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


KILLED = """
import sys
from pathlib import Path
from edgeface.messaging.clock import KernelClock
from edgeface.messaging.event import new_session
from edgeface.messaging.outbox import Outbox
from tests.support.messages import TOPICS, sighting

clock = KernelClock()
outbox = Outbox(Path(sys.argv[1]), TOPICS, new_session(), clock=clock)
outbox.when_committed(lambda row: print(row.event_id, row.session, row.seq, flush=True))
outbox.start()
while True:
    outbox.append(sighting(clock))
    if sys.stdin.readline() == "":
        break
"""


def test_kill_9_of_the_writer_loses_no_committed_row(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    committed: list[str] = []
    for count in (1, 7, 40):
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("\n" * 2000)
        child.stdin.flush()
        for _ in range(count):
            committed.append(child.stdout.readline().split()[0])
        os.kill(child.pid, signal.SIGKILL)
        committed += [line.split()[0] for line in child.stdout if line.count(" ") == 2]
        child.wait()
        child.stdin.close()
        child.stdout.close()
    rows = OutboxFile(path).oldest(1_000_000)
    assert {row.event_id for row in rows} >= set(committed)
    assert len({row.event_id for row in rows}) == len(rows)
    sessions = list(dict.fromkeys(row.session for row in rows))
    assert len(sessions) == 3
    for session in sessions:
        seqs = [row.seq for row in rows if row.session == session]
        assert seqs == list(range(1, len(seqs) + 1))
    firsts = [event.parse(row.payload).previous for row in rows if row.seq == 1]
    assert [item.session if item else None for item in firsts] == [None, *sessions[:2]]


def test_a_locked_file_is_an_error_at_the_start(tmp_path: Path) -> None:
    blocker = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StateError, match="in use"):
        Outbox(tmp_path / "outbox.db", TOPICS, new_session(), clock=KernelClock()).start()
    blocker.close()


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 20)), max_size=30))
def test_merged_ranges_count_every_drop_once(drops: list[tuple[str, int]]) -> None:
    ranges: list[DroppedRange] = []
    for session, seq in drops:
        ranges = merge(ranges, [DroppedRange(session * 8, seq, seq, 1, "count")])
    covered = [(r.session[0], seq) for r in ranges for seq in range(r.first_seq, r.last_seq + 1)]
    assert covered == drops
    assert sum(r.dropped for r in ranges) == len(drops)


def test_a_gap_event_stays_small() -> None:
    ranges = [DroppedRange("a" * 32, n, n, 1, "count") for n in range(1, 400, 2)]
    lost, later = take(ranges)
    assert len(lost.ranges) == MAX_RANGES
    assert lost.dropped == MAX_RANGES
    assert later == ranges[MAX_RANGES:]
