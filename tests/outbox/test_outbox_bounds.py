"""The bounds of the outbox: nothing that is dropped goes unsaid."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeface.base.clock import ManualClock
from edgeface.contract import event
from edgeface.contract.event import DroppedRange
from edgeface.outbox.bounds import GAP_PAUSE_MAX_S, MAX_RANGES, merge, take
from tests.support.outboxes import announced, numbers, take_one, waiting, writer


def test_beyond_the_count_the_oldest_go_and_one_gap_event_names_them(tmp_path: Path) -> None:
    clock = ManualClock()
    found = writer(tmp_path / "outbox.db", clock, "aaaaaaaa", max_events=5)
    for _ in range(12):
        take_one(found, clock)
    assert numbers(found) == [8, 9, 10, 11, 12]
    assert found.status.dropped == found.status.unannounced == 7
    gap = announced(found)
    assert gap.seq == 13
    assert gap.lost == event.Loss(7, (DroppedRange("aaaaaaaa", 1, 7, 7, "count"),))
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
    clock.sleep(90)
    take_one(found, clock)
    clock.sleep(60)
    found.flush(last=False)
    assert numbers(found) == [2]
    assert announced(found).lost.ranges[0].reason == "age"


@pytest.mark.parametrize("limits", [{"max_age_s": 100.0}, {"max_events": 1}], ids=["age", "count"])
def test_an_event_that_its_index_does_not_find_any_more_does_not_hold_the_writer_up(
    tmp_path: Path, limits: dict[str, float]
) -> None:
    """A bit of its id has flipped in the table while it is in use: it cannot be deleted."""
    clock, path = ManualClock(), tmp_path / "outbox.db"
    first = writer(path, clock, "aaaaaaaa")
    found = take_one(first, clock).event_id.encode() + b"aaaaaaaa"
    first.close()
    content = path.read_bytes()
    assert content.count(found) == 1
    second = writer(path, clock, "bbbbbbbb", **limits)
    path.write_bytes(content.replace(found, bytes([found[0] ^ 1]) + found[1:]))
    assert second._file is not None
    second._file._db.execute("PRAGMA cache_size = 0")
    clock.sleep(150)
    take_one(second, clock)
    assert second.status.degraded is None
    assert [row.session for row in waiting(second)][-1:] == ["bbbbbbbb"]


@pytest.mark.parametrize(("synced", "left"), [(True, []), (False, [1])], ids=["synced", "unsynced"])
def test_the_age_over_a_reboot_is_known_only_with_a_clock(
    tmp_path: Path, synced: bool, left: list[int]
) -> None:
    before = ManualClock(boot_id="one")
    first = writer(tmp_path / "outbox.db", before, max_age_s=100.0)
    take_one(first, before)
    first.close()
    after = ManualClock(boot_id="two", boottime_ns=1, utc_ns=before.utc_ns() + 200 * 10**9)
    after.disciplined = synced
    second = writer(tmp_path / "outbox.db", after, max_age_s=100.0)
    second.flush(last=False)
    assert numbers(second) == left


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


def test_a_gap_event_that_is_refused_makes_no_dead_letter_and_no_gap_of_its_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    found = writer(tmp_path / "outbox.db", clock, "aaaaaaaa")
    found.give_up(take_one(found, clock), "larger than the broker's 20 bytes")
    announced(found)
    for _ in range(50):
        (gap,) = waiting(found)
        found.give_up(gap, "larger than the broker's 20 bytes")
        found.flush(last=False)
        assert not found.status.gap_due
        found.announce()
        assert waiting(found) == []
        clock.sleep(GAP_PAUSE_MAX_S)
        found.announce()
        found.flush(last=False)
    assert found.status.dead_letters == 1
    found.settle(waiting(found)[0].event_id)
    found.give_up(take_one(found, clock), "payload format invalid")
    gap_event = announced(found)
    assert [item.first_seq for item in gap_event.lost.ranges] == [53]
    # What stands in the log is the same each time, and thinned out there.
    assert len({record.getMessage() for record in caplog.records}) == 3


def test_what_a_refused_gap_event_announced_is_announced_again_with_its_own_number(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    found = writer(tmp_path / "outbox.db", clock, "aaaaaaaa")
    found.give_up(take_one(found, clock), "packet too large")
    announced(found)
    (row,) = waiting(found)
    found.give_up(row, "packet too large")
    clock.sleep(GAP_PAUSE_MAX_S)
    assert announced(found).lost.ranges == (DroppedRange("aaaaaaaa", 1, 2, 2, "refused"),)


def test_that_nobody_knows_how_many_are_lost_is_said_again_when_its_gap_event_is_refused(
    tmp_path: Path,
) -> None:
    clock = ManualClock()
    found = writer(tmp_path / "outbox.db", clock, "aaaaaaaa")
    found.overflow()
    assert announced(found).lost.dropped is None
    (row,) = waiting(found)
    found.give_up(row, "packet too large")
    clock.sleep(GAP_PAUSE_MAX_S)
    again = announced(found).lost
    assert (again.dropped, len(again.ranges)) == (None, 1)
