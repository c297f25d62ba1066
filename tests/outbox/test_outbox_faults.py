"""The outbox on broken files, full disks and sudden ends."""

from __future__ import annotations

import os
import queue
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from edgeface.base.clock import Clock, ManualClock
from edgeface.base.errors import StateError
from edgeface.contract import event
from edgeface.contract.event import DroppedRange, new_session
from edgeface.outbox import outbox_file
from edgeface.outbox.outbox import Outbox
from edgeface.outbox.outbox_file import OutboxFile
from edgeface.outbox.outbox_writer import RETRY_MAX_S
from edgeface.outbox.rows import Row
from tests.support.messages import TOPICS, sighting
from tests.support.outboxes import announced, numbers, take_one, waiting, writer

ROOT = Path(__file__).resolve().parents[2]


def test_a_full_disk_keeps_events_in_memory_and_recovers_without_a_hole(tmp_path: Path) -> None:
    clock = ManualClock()
    found = writer(tmp_path / "outbox.db", clock)
    take_one(found, clock)
    assert found._file is not None
    pages = found._file._db.execute("PRAGMA page_count").fetchone()[0]
    found._file._db.execute(f"PRAGMA max_page_count = {pages}")
    for _ in range(20):
        take_one(found, clock)
    full = found.status
    assert full.degraded == "disk_full"
    assert full.unsaved > 0
    assert numbers(found) == list(range(1, 22))
    found._file._db.execute("PRAGMA max_page_count = 100000")
    clock.sleep(RETRY_MAX_S)
    take_one(found, clock)
    healed = found.status
    assert (healed.degraded, healed.unsaved) == (None, 0)
    found.close()
    assert [row.seq for row in OutboxFile(tmp_path / "outbox.db").oldest(99)] == list(range(1, 23))


def test_memory_is_bounded_while_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock()
    monkeypatch.setattr("edgeface.outbox.outbox_writer.MAX_UNSAVED", 10)
    found = writer(tmp_path / "outbox.db", clock, "aaaaaaaa")
    assert found._file is not None
    found._file._db.execute("PRAGMA query_only = 1")
    for _ in range(25):
        take_one(found, clock)
    assert found.status.degraded is not None
    assert numbers(found) == list(range(16, 26))
    found._file._db.execute("PRAGMA query_only = 0")
    clock.sleep(RETRY_MAX_S)
    gap = announced(found)
    assert gap.lost == event.Loss(15, (DroppedRange("aaaaaaaa", 1, 15, 15, "memory"),))


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


def test_what_was_in_a_broken_file_is_said_once_also_when_it_cannot_be_moved_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "outbox.db"
    clock = ManualClock()
    first = writer(path, clock, "aaaaaaaa")
    for _ in range(3):
        take_one(first, clock)
    first.close()
    found = writer(path, clock, "bbbbbbbb")
    path.write_bytes(b"rubbish" * 1000)
    assert found._file is not None
    found._file._db.execute("PRAGMA cache_size = 0")
    with monkeypatch.context() as read_only:
        read_only.setattr("edgeface.outbox.outbox_writer.set_aside", fail_to_move)
        for _ in range(2):
            waiting(found)
            take_one(found, clock)
            clock.sleep(RETRY_MAX_S)
        assert found.status.degraded == "corrupt"
    take_one(found, clock)
    assert (found.status.degraded, found.status.dropped) == (None, 3)
    lost = announced(found).lost
    assert lost.ranges == (DroppedRange("aaaaaaaa", 1, 3, 3, "corrupt"),)
    assert found.status.unannounced == 0
    found.close()


def fail_to_move(path: Path, name: str) -> NoReturn:
    raise OSError(f"{path}: cannot become {name}")


@pytest.mark.parametrize(
    "flipped",
    [
        pytest.param("UPDATE meta SET value = 'aaaaaaac!' WHERE key = 'session'", id="session"),
        pytest.param("UPDATE meta SET value = CAST(x'e1616161' AS TEXT)", id="no_utf8"),
        pytest.param("UPDATE meta SET value = '1~' WHERE key = 'last_seq'", id="last_seq"),
        pytest.param("DELETE FROM meta WHERE key = 'last_seq'", id="last_seq_gone"),
        pytest.param("INSERT INTO gap VALUES ('aaaaaaaa', -1, 1, 1, 'count', x'')", id="gap"),
    ],
)
def test_bits_that_flip_inside_a_value_cost_no_event_before_or_after(
    tmp_path: Path, flipped: str
) -> None:
    """SQLite has no checksums: its own check passes. What is said of the session before has to be
    left out, or no event would keep the contract any more."""
    path = tmp_path / "outbox.db"
    clock = ManualClock()
    first = writer(path, clock, "aaaaaaaa")
    take_one(first, clock)
    first.close()
    with sqlite3.connect(path) as connection:
        connection.execute(flipped)
    connection.close()
    committed: queue.SimpleQueue[Row] = queue.SimpleQueue()
    with Outbox(path, TOPICS, "bbbbbbbb", clock=clock) as found:
        found.when_committed(committed.put)
        found.append(sighting(clock))
        assert committed.get(timeout=10).session == "bbbbbbbb"
        assert (found.status.dead_letters, found.status.set_aside) == (0, None)
    after = writer(path, clock, "cccccccc")
    assert [row.session for row in waiting(after)] == ["aaaaaaaa", "bbbbbbbb"]
    after.close()


@pytest.mark.parametrize("column", ["session", "event_id", "kind", "payload", "seq"])
def test_a_row_that_is_not_as_it_was_committed_becomes_a_gap_that_names_it(
    tmp_path: Path, column: str
) -> None:
    path = tmp_path / "outbox.db"
    clock = ManualClock()
    first = writer(path, clock, "aaaaaaaa")
    for _ in range(3):
        take_one(first, clock)
    first.close()
    with sqlite3.connect(path) as connection:
        text = "7" if column == "seq" else "CAST(x'e16161616161616161' AS TEXT)"
        connection.execute(f"UPDATE event SET {column} = {text} WHERE seq = 2")
    connection.close()
    found = writer(path, clock, "bbbbbbbb")
    assert [row.seq for row in waiting(found)] == [1, 3]
    found.flush(last=False)
    assert (found.status.unannounced, found.status.dropped) == (
        1 + (column == "kind"),
        1 + (column == "kind"),
    )
    lost = announced(found).lost
    assert lost.ranges == (DroppedRange("aaaaaaaa", 2, 2, 1, "corrupt"),)
    assert (lost.dropped is None) == (column == "kind"), "a gap event would have said more"
    assert found.status.set_aside is None
    found.close()
    assert [row.seq for row in OutboxFile(path).oldest(9)] == [1, 3, 1]


def test_the_start_ends_whatever_the_opening_ran_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> NoReturn:
        raise RuntimeError("something that nobody has thought of")

    monkeypatch.setattr("edgeface.outbox.outbox_writer.OutboxFile", fail)
    outbox = Outbox(tmp_path / "outbox.db", TOPICS, "aaaaaaaa", clock=ManualClock())
    with pytest.raises(StateError, match="nobody has thought of"):
        outbox.start()


def test_a_folder_that_cannot_be_written_only_degrades(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    clock = ManualClock()
    found = writer(blocked / "outbox.db", clock)
    take_one(found, clock)
    assert found.status.degraded == "cannot_open"
    assert numbers(found) == [1]


def test_a_session_whose_file_opens_late_names_the_one_before_once(tmp_path: Path) -> None:
    clock = ManualClock()
    path = tmp_path / "outbox.db"
    first = writer(path, clock, "aaaaaaaa")
    for _ in range(3):
        take_one(first, clock)
    first.close()
    hidden = tmp_path / "hidden.db"
    path.rename(hidden)
    path.mkdir()  # SQLite cannot open a folder
    second = writer(path, clock, "bbbbbbbb")
    early = [take_one(second, clock) for _ in range(2)]
    assert second.status.degraded is not None
    path.rmdir()
    hidden.rename(path)
    clock.sleep(RETRY_MAX_S)
    second.flush(last=False)
    assert second.status.degraded is None
    assert second.take(sighting(clock, latency_ms="bad")) is None, "and is not lost with it"
    late = [take_one(second, clock) for _ in range(2)]
    told = [event.parse(row.payload).previous for row in (*early, *late)]
    assert told == [None, None, event.Previous("aaaaaaaa", 3), None]
    assert [(row.session[0], row.seq) for row in waiting(second)] == [
        *(("a", number) for number in (1, 2, 3)),
        *(("b", number) for number in (1, 2, 3, 4)),
    ]
    second.close()
    third = writer(path, clock, "cccccccc")
    assert event.parse(take_one(third, clock).payload).previous == event.Previous("bbbbbbbb", 4)


def test_after_a_kill_with_a_full_disk_the_log_may_know_more_than_the_next_session_names(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    killed = writer(tmp_path / "outbox.db", clock, "aaaaaaaa")
    take_one(killed, clock)
    assert killed._file is not None
    killed._file._db.execute("PRAGMA query_only = 1")
    sent = [take_one(killed, clock).seq for _ in range(2)]
    killed._file.close()  # as SIGKILL leaves it
    following = take_one(writer(tmp_path / "outbox.db", clock, "bbbbbbbb"), clock)
    assert event.parse(following.payload).previous == event.Previous("aaaaaaaa", 1)
    assert sent == [2, 3], "which were sent live and to the log"


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
    assert found._file._db.execute("SELECT count(*) FROM dead_letter").fetchone() == (2,)


class Unforeseen(dict[str, object]):
    """A trace that cannot be written, for no reason that anybody thought of."""

    def items(self) -> NoReturn:
        raise RuntimeError("unforeseen")


def test_a_decision_that_fails_takes_none_of_its_batch_with_it(tmp_path: Path) -> None:
    clock = ManualClock()
    outbox = Outbox(tmp_path / "outbox.db", TOPICS, "aaaaaaaa", clock=clock)
    committed: queue.SimpleQueue[Row] = queue.SimpleQueue()
    outbox.when_committed(committed.put)
    for why in ({}, Unforeseen(odd=1), {}):
        outbox.append(sighting(clock, why=why))
    with outbox:
        assert [committed.get(timeout=10).seq for _ in range(2)] == [1, 2]
        assert outbox.status.dead_letters == 1


def test_an_undeliverable_event_is_buried_and_announced(tmp_path: Path) -> None:
    clock = ManualClock()
    found = writer(tmp_path / "outbox.db", clock, "aaaaaaaa")
    row = take_one(found, clock)
    found.give_up(row, "payload format invalid")
    gap = announced(found)
    assert gap.lost.ranges == (DroppedRange("aaaaaaaa", 1, 1, 1, "refused"),)
    assert numbers(found) == [2]


KILLED = """
import sys
from pathlib import Path
from typing import NoReturn
from edgeface.base.clock import Clock
from edgeface.contract.event import new_session
from edgeface.outbox.outbox import Outbox
from tests.support.messages import TOPICS, sighting

clock = Clock()
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
    for count in (3, 40):
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
    assert len(sessions) == 2
    for session in sessions:
        seqs = [row.seq for row in rows if row.session == session]
        assert seqs == list(range(1, len(seqs) + 1))
    firsts = [event.parse(row.payload).previous for row in rows if row.seq == 1]
    assert [item.session if item else None for item in firsts] == [None, sessions[0]]


def test_a_locked_file_is_an_error_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocker = sqlite3.connect(tmp_path / "outbox.db", isolation_level=None)
    blocker.execute("BEGIN EXCLUSIVE")
    monkeypatch.setattr(outbox_file, "LOCK_TIMEOUT_S", 0.1)
    with pytest.raises(StateError, match="in use"):
        Outbox(tmp_path / "outbox.db", TOPICS, new_session(), clock=Clock()).start()
    blocker.close()
