"""An outbox in which single bits have flipped: no event is handed on that is not as it was
committed, and none is missing that no gap event speaks of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgeface.base.clock import ManualClock
from edgeface.contract import event
from edgeface.contract.event import DroppedRange, Gap, Previous
from edgeface.outbox.counted import Counted
from edgeface.outbox.outbox_file import STEPS, OutboxFile
from edgeface.outbox.rows import Row
from tests.support.flips import PAGE, bits_of, flip, flipped
from tests.support.outboxes import announced, take_one, waiting, writer

BEFORE, NOW = "a" * 8, "b" * 8
EVENTS = 6
NAMED = [(3551, 7), (4031, 7), (3402, 4), (3900, 2), (63, 0), (63, 1)]
"""Which have ended the daemon at every start, or kept it from storing: in the texts of the schema
and in the number of the format."""


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def rows(tmp_path: Path, clock: ManualClock) -> list[Row]:
    """What a session has left in `outbox.db`."""
    found = writer(tmp_path / "outbox.db", clock, BEFORE)
    rows = [take_one(found, clock) for _ in range(EVENTS)]
    found.close()
    return rows


def check(path: Path, rows: list[Row], clock: ManualClock, place: object) -> bool:
    """Begin a session; whether the file was good enough for every row."""
    found = writer(path, clock, NOW)
    waiting(found)
    first = take_one(found, clock)
    found.announce()
    found.flush(last=False)
    assert found.status.degraded is None, place
    assert event.parse(first.payload).previous == Previous(BEFORE, EVENTS), place
    handed = [row for row in waiting(found) if row.session == BEFORE]
    assert [row for row in handed if row not in rows] == [], place
    said = [event.parse(row.payload) for row in waiting(found) if row.session == NOW]
    lost = [item.lost for item in said if isinstance(item, Gap)]
    named = {
        number
        for item in lost
        for part in item.ranges
        for number in range(part.first_seq, part.last_seq + 1)
    }
    assert named <= set(range(1, EVENTS + 1)), place
    if not any(item.dropped is None for item in lost):
        assert {row.seq for row in handed} | named == set(range(1, EVENTS + 1)), place
    found.close()
    return len(handed) == EVENTS


def test_a_bit_of_the_file_spoils_a_row_or_sets_the_file_aside(
    tmp_path: Path, rows: list[Row], clock: ManualClock
) -> None:
    content, last = ((tmp_path / name).read_bytes() for name in ("outbox.db", "outbox.db.last"))
    bits = bits_of(content, 0, PAGE, 60) + bits_of(content, PAGE, len(content), 60)
    path = tmp_path / "damaged.db"
    whole = 0
    for place in flipped(content, path, [*NAMED, (18, 6), *bits]):
        (tmp_path / "damaged.db.last").write_bytes(last)
        whole += check(path, rows, clock, place)
    assert whole < 60


def test_a_bit_of_the_index_costs_no_event_and_none_is_sent_for_ever(
    tmp_path: Path, rows: list[Row], clock: ManualClock
) -> None:
    path, content = tmp_path / "damaged.db", (tmp_path / "outbox.db").read_bytes()
    name = rows[2].event_id.encode()
    places = [at for at in range(len(content)) if content.startswith(name, at)]
    assert len(places) == 3, "in the row, in its payload, and in the index"
    lost = set()
    for byte, _ in flipped(content, path, [(at + 30, 0) for at in places]):
        found = writer(path, clock, NOW)
        assert found.status.set_aside is None, byte
        handed = waiting(found)
        lost.add(EVENTS - len(handed))
        for row in handed:
            found.settle(row.event_id)
        clock.sleep(1)
        take_one(found, clock)
        found.announce()
        found.flush(last=True)
        assert [row.session for row in waiting(found)][:1] == [NOW], byte
        assert found.status.depth == len(waiting(found)) <= 2, byte
        found.close()
    assert lost == {0, 1}


def as_a_power_cut_leaves(path: Path, copy: Path) -> None:
    for ending in ("", "-wal", ".last"):
        shutil.copyfile(f"{path}{ending}", f"{copy}{ending}")


@pytest.mark.parametrize("byte", [40, 5_000, 30_000, 60_000, 90_000])
def test_events_that_damage_to_the_log_has_taken_are_announced(
    tmp_path: Path, clock: ManualClock, byte: int
) -> None:
    path, copy = tmp_path / "outbox.db", tmp_path / "copy.db"
    found = writer(path, clock, BEFORE)
    rows = [take_one(found, clock) for _ in range(EVENTS)]
    as_a_power_cut_leaves(path, copy)
    flip(tmp_path / "copy.db-wal", byte, 3)
    check(copy, rows, clock, byte)


@pytest.mark.parametrize("noted", [2, 100, 255, 300])
def test_a_bit_of_the_note_beside_a_damaged_log_costs_no_event_in_silence(
    tmp_path: Path, clock: ManualClock, noted: int
) -> None:
    path, copy = tmp_path / "outbox.db", tmp_path / "copy.db"
    found = writer(path, clock, BEFORE)
    rows = [take_one(found, clock) for _ in range(EVENTS)]
    as_a_power_cut_leaves(path, copy)
    flip(tmp_path / "copy.db-wal", 40, 3)
    flip(tmp_path / "copy.db.last", noted, 7)
    check(copy, rows, clock, noted)


@pytest.mark.parametrize("again", [False, True], ids=["killed", "killed-and-damaged"])
def test_a_session_without_an_event_forgets_nothing_of_what_the_one_before_has_counted(
    tmp_path: Path, clock: ManualClock, again: bool
) -> None:
    path, copy, third = (tmp_path / name for name in ("outbox.db", "copy.db", "third.db"))
    found = writer(path, clock, BEFORE)
    rows = [take_one(found, clock) for _ in range(EVENTS)]
    as_a_power_cut_leaves(path, copy)
    flip(tmp_path / "copy.db-wal", 60_000, 3)
    killed = writer(copy, clock, "c" * 8)
    killed.flush(last=False)  # which brings to disk what is lost
    as_a_power_cut_leaves(copy, third)
    if again:
        flip(tmp_path / "third.db-wal", 40, 3)
    check(third, rows, clock, again)


def test_a_session_that_is_lost_whole_is_announced_and_named(
    tmp_path: Path, rows: list[Row], clock: ManualClock
) -> None:
    path, copy = tmp_path / "outbox.db", tmp_path / "copy.db"
    shutil.copyfile(path, copy)
    second = writer(path, clock, NOW)
    for _ in range(3):
        take_one(second, clock)
    second.close()
    shutil.copyfile(f"{path}.last", f"{copy}.last")
    third = writer(copy, clock, "c" * 8)
    assert event.parse(take_one(third, clock).payload).previous == Previous(NOW, 3)
    third.announce()
    third.flush(last=False)
    gap = event.parse(waiting(third)[-1].payload)
    assert isinstance(gap, Gap)
    # What the session before it had made beyond the file's end, nobody can say.
    assert gap.lost == event.Loss(None, (DroppedRange(NOW, 1, 3, 3, "corrupt"),))
    third.close()


def test_how_far_it_has_counted_is_damaged_and_then_its_log_and_both_are_made_good(
    tmp_path: Path, rows: list[Row], clock: ManualClock
) -> None:
    path, copy = tmp_path / "outbox.db", tmp_path / "copy.db"
    second = writer(path, clock, NOW)
    take_one(second, clock)
    as_a_power_cut_leaves(path, copy)
    second.close()
    flip(copy, copy.read_bytes().index(b"digest", PAGE), 3)  # the key, in the table's first row
    flip(tmp_path / "copy.db-wal", 40, 3)
    third = writer(copy, clock, "c" * 8)
    assert event.parse(take_one(third, clock).payload).previous == Previous(NOW, 1)
    third.close()
    file = OutboxFile(copy)
    assert file.counted == Counted("c" * 8, 1, 3)
    file.close()
    fourth = writer(copy, clock, "d" * 8)
    assert announced(fourth).lost.dropped is None, "nobody knows what the log had held"
    fourth.close()


def test_a_loss_without_a_number_is_announced_after_a_kill_as_well(
    tmp_path: Path, rows: list[Row], clock: ManualClock
) -> None:
    path = tmp_path / "outbox.db"
    path.write_bytes(b"rubbish" * 1000)
    killed = writer(path, clock, NOW)
    take_one(killed, clock)
    assert killed._file is not None
    killed._file.close()
    third = writer(path, clock, "c" * 8)
    third.announce()
    gap = event.parse(waiting(third)[-1].payload)
    assert isinstance(gap, Gap)
    assert gap.lost.dropped is None
    third.close()


def test_a_note_beside_the_file_that_is_older_or_damaged_changes_nothing(
    tmp_path: Path, rows: list[Row], clock: ManualClock
) -> None:
    note = tmp_path / "outbox.db.last"
    old = note.read_bytes()
    second = writer(tmp_path / "outbox.db", clock, NOW)
    take_one(second, clock)
    second.close()
    for content in (old, note.read_bytes().replace(b" 1 ", b" 9 "), b"", b"\xff" * 300):
        note.write_bytes(content)
        third = writer(tmp_path / "outbox.db", clock, "c" * 8)
        assert third._previous == Previous(NOW, 1)
        assert third.status.dropped == 0
        third.close()


def test_an_outbox_of_the_first_format_is_brought_up_to_date_with_what_waits(
    tmp_path: Path, rows: list[Row], clock: ManualClock
) -> None:
    path = tmp_path / "old.db"
    names = ", ".join(Row.__dataclass_fields__)
    old = OutboxFile(tmp_path / "outbox.db")._db
    old.execute("PRAGMA locking_mode = NORMAL")
    old.execute("ATTACH ? AS old", (str(path),))
    for statement in STEPS[0]:
        old.execute(statement.replace("CREATE TABLE ", "CREATE TABLE old."))
    old.execute(f"INSERT INTO old.event ({names}) SELECT {names} FROM main.event")
    old.execute("INSERT INTO old.gap VALUES ('99999999', 1, 2, 2, 'count')")
    old.execute("INSERT INTO old.meta SELECT * FROM main.meta WHERE key IN ('session', 'last_seq')")
    old.execute("PRAGMA old.user_version = 1")
    old.close()
    found = writer(path, clock, NOW)
    assert waiting(found) == rows
    assert found._previous == Previous(BEFORE, EVENTS)
    assert found._gaps == [DroppedRange("99999999", 1, 2, 2, "count")]
    found.close()
    again = writer(path, clock, NOW)
    assert (waiting(again), again.status.set_aside) == (rows, None)
    again.close()
