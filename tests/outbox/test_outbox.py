"""The outbox: nothing committed is lost."""

from __future__ import annotations

import queue
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgeface.base.clock import Clock, ManualClock
from edgeface.base.errors import ClosedError
from edgeface.contract import event
from edgeface.contract.event import new_session
from edgeface.outbox.outbox import Outbox
from edgeface.outbox.outbox_file import OutboxFile
from edgeface.outbox.rows import Row
from tests.support.broker import eventually
from tests.support.messages import TOPICS, sighting
from tests.support.outboxes import take_one, waiting, writer

ROOT = Path(__file__).resolve().parents[2]


def test_an_event_is_on_disk_when_it_is_called_committed(tmp_path: Path) -> None:
    path = tmp_path / "outbox.db"
    found: list[list[str]] = []
    ids: list[str] = []
    outbox = Outbox(path, TOPICS, new_session(), clock=Clock())

    def look(row: Row) -> None:
        """What is on disk at this moment, as a crash would leave it."""
        copy = tmp_path / f"crash-{row.seq}"
        shutil.copytree(tmp_path, copy, ignore=shutil.ignore_patterns("crash-*"))
        found.append([left.event_id for left in OutboxFile(copy / "outbox.db").oldest(10)])
        ids.append(row.event_id)

    outbox.when_committed(look)
    with outbox:
        for _ in range(3):
            outbox.append(sighting(Clock()))
    assert len(ids) == 3
    assert all(event_id in there for event_id, there in zip(ids, found, strict=True))
    assert [row.seq for row in OutboxFile(path).oldest(10)] == [1, 2, 3]


def test_close_writes_what_was_handed_over_and_is_final(tmp_path: Path) -> None:
    clock = Clock()
    outbox = Outbox(tmp_path / "outbox.db", TOPICS, new_session(), clock=clock)
    outbox.start()
    for _ in range(200):
        outbox.append(sighting(clock))
    assert outbox.close()
    assert outbox.close()
    assert not outbox.alive
    assert OutboxFile(tmp_path / "outbox.db").count == 200
    with pytest.raises(ClosedError):
        outbox.append(sighting(clock))


def test_what_a_stuck_disk_cannot_take_in_is_counted_and_the_next_gap_event_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeface.outbox.outbox.MAX_WAITING", 3)
    clock = Clock()
    outbox = Outbox(tmp_path / "outbox.db", TOPICS, new_session(), clock=clock)
    for _ in range(5):
        outbox.append(sighting(clock))
    outbox.announce_gaps()
    with outbox:
        pass
    assert outbox.status.dropped == 2
    rows = OutboxFile(tmp_path / "outbox.db").oldest(10)
    assert [row.seq for row in rows] == [1, 2, 3, 4]
    gap = event.parse(rows[-1].payload)
    assert isinstance(gap, event.Gap)
    assert gap.lost.dropped is None


def test_what_is_committed_is_told_before_anybody_gets_it_from_the_file(tmp_path: Path) -> None:
    clock = Clock()
    told: list[int] = []
    outbox = Outbox(tmp_path / "outbox.db", TOPICS, new_session(), clock=clock)
    outbox.when_committed(lambda row: told.append(row.seq))
    outbox.fetch(10, (), lambda rows: told.extend(-row.seq for row in rows))
    outbox.append(sighting(clock))
    outbox.append(sighting(clock))
    with outbox:
        pass
    assert told == [1, 2, -1, -2]


def test_rows_come_oldest_first_without_those_excluded_or_delivered(tmp_path: Path) -> None:
    clock = Clock()
    replies: queue.SimpleQueue[list[Row]] = queue.SimpleQueue()
    with Outbox(tmp_path / "outbox.db", TOPICS, new_session(), clock=clock) as outbox:
        for _ in range(6):
            outbox.append(sighting(clock))
        outbox.fetch(10, (), replies.put)
        rows = replies.get(timeout=5)
        assert [row.seq for row in rows] == [1, 2, 3, 4, 5, 6]
        outbox.delivered(rows[0].event_id)
        outbox.delivered(rows[3].event_id)
        outbox.fetch(2, {rows[1].event_id}, replies.put)
        assert [row.seq for row in replies.get(timeout=5)] == [3, 5]
    assert [row.seq for row in OutboxFile(tmp_path / "outbox.db").oldest(10)] == [2, 3, 5, 6]


def test_a_second_daemon_on_the_same_file_is_refused(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "outbox.db"
    with Outbox(path, TOPICS, new_session(), clock=clock):
        script = (
            "import sys; from pathlib import Path\n"
            "from edgeface.outbox import outbox_file\n"
            "outbox_file.LOCK_TIMEOUT_S = 0.1\n"
            "outbox_file.OutboxFile(Path(sys.argv[1]))\n"
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


def test_a_row_of_another_boot_or_session_is_never_live(tmp_path: Path) -> None:
    clock = ManualClock(boot_id="one")
    row = take_one(writer(tmp_path / "outbox.db", clock, "aaaaaaaa"), clock)
    assert row.remaining_s(clock, "aaaaaaaa") == pytest.approx(4.8)
    assert not row.late(clock, "aaaaaaaa")
    assert row.remaining_s(clock, "bbbbbbbb") == 0
    other = ManualClock(boot_id="two", boottime_ns=0)
    assert row.remaining_s(other, "aaaaaaaa") == 0
    assert row.late(other, "aaaaaaaa")
    clock.sleep(5)
    assert row.late(clock, "aaaaaaaa")


def test_the_outbox_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    writer(tmp_path / "outbox.db", ManualClock())
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_since_when_the_oldest_event_waits_is_known_while_one_does(tmp_path: Path) -> None:
    clock = ManualClock()
    with Outbox(tmp_path / "outbox.db", TOPICS, new_session(), clock=clock) as outbox:
        replies: queue.SimpleQueue[list[Row]] = queue.SimpleQueue()
        assert outbox.oldest_at is None
        made_ns = clock.utc_ns()
        outbox.append(sighting(clock))
        eventually(lambda: outbox.oldest_at is not None)
        clock.sleep(60)
        outbox.append(sighting(clock))
        outbox.fetch(2, (), replies.put)
        first, second = replies.get(timeout=5)
        assert outbox.oldest_at == datetime.fromtimestamp(made_ns / 1e9, UTC)
        outbox.delivered(first.event_id)
        clock.sleep(1)
        eventually(lambda: outbox.oldest_at == second.waits_since(clock))
        outbox.delivered(second.event_id)
        eventually(lambda: outbox.oldest_at is None)


def test_an_age_does_not_come_from_a_clock_that_was_wrong(tmp_path: Path) -> None:
    """A Pi without a battery clock wakes up in the past, and NTP then sets it forward by years."""
    clock = ManualClock(boot_id="one")
    clock.disciplined = False
    row = take_one(writer(tmp_path / "outbox.db", clock), clock)
    clock.sleep(30)
    clock.disciplined = True
    clock.utc_offset_ns += 10 * 365 * 86_400 * 10**9
    now = datetime.fromtimestamp(clock.utc_ns() / 1e9, UTC)
    assert (now - row.waits_since(clock)).total_seconds() == pytest.approx(30)
    later = ManualClock(boot_id="two", boottime_ns=5 * 10**9)
    assert later.utc_ns() / 1e9 - row.waits_since(later).timestamp() == pytest.approx(5)
