"""The books of the fault harness find every kind of disagreement, each by its own check."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest

from edgeface.base.clock import ManualClock, utc_now
from edgeface.contract import codec, event
from edgeface.contract.event import DroppedRange, Identity, Loss, Previous
from tests.faults.accounts import Books, Damage, DoorBook, Entry, Logged, Snapshot
from tests.support.messages import sighting


def logged(session: str, seq: int, previous: tuple[str, int] | None = None) -> Logged:
    event_id = f"{session}-{seq}"
    return Logged(event_id, session, seq, f"content {event_id}", False, previous, ())


def announcing(session: str, seq: int, *gaps: tuple[str, int, int]) -> Logged:
    return dataclasses.replace(logged(session, seq), gaps=gaps)


def good() -> Books:
    """Two sessions; 2 of the first came twice, 3 was dropped and is announced by the second."""
    door = DoorBook("door", redelivered=False)
    door.arrived["a-1"] = door.accepted["a-1"] = 1
    door.contents["a-1"] = "content a-1"
    return Books(
        snapshots=[
            Snapshot("a", 3, frozenset({("a", 2)}), 0),
            Snapshot("b", 2, frozenset(), frozenset()),
        ],
        ledger={("a", n): Entry("a", n, f"a-{n}", True) for n in (1, 2, 3)},
        log=[
            logged("a", 1),
            logged("a", 2),
            logged("a", 2),
            logged("b", 1, ("a", 3)),
            announcing("b", 2, ("a", 3, 3)),
        ],
        doors=[door],
    )


def wrong(books: Books) -> set[str]:
    """The promises that are broken."""
    return {check.promise for check in books.judge() if check.wrong}


def test_books_that_agree_are_right() -> None:
    assert wrong(good()) == set()


def lose(books: Books) -> None:
    del books.log[0]


def keep_quiet(books: Books) -> None:
    books.log[4] = logged("b", 2)


def forget(books: Books) -> None:
    books.snapshots[0] = Snapshot("a", 2, frozenset(), frozenset())
    books.log[3] = logged("b", 1, ("a", 2))


def skip_one(books: Books) -> None:
    books.log.append(logged("b", 4))


def break_chain(books: Books) -> None:
    books.log[3] = logged("b", 1, ("a", 2))


def invent(books: Books) -> None:
    books.log[4] = announcing("b", 2, ("a", 3, 9))


def reuse_number(books: Books) -> None:
    books.log.append(dataclasses.replace(logged("b", 1, ("a", 3)), event_id="other"))


def change_second_copy(books: Books) -> None:
    books.log[2] = dataclasses.replace(books.log[2], content="another")


def rename(books: Books) -> None:
    books.ledger["b", 2] = Entry("b", 2, "other", True)


def swap(books: Books) -> None:
    books.log[0], books.log[1] = books.log[1], books.log[0]


def open_twice(books: Books) -> None:
    books.doors[0].accepted["a-1"] = 2


def open_for_a_stranger(books: Books) -> None:
    books.doors[0].accepted["x-1"] = 1


def open_late(books: Books) -> None:
    books.doors[0].accepted_late = 1


def send_live_twice(books: Books) -> None:
    books.doors[0].arrived["a-1"] = 2


def send_another_live(books: Books) -> None:
    books.doors[0].contents["a-1"] = "another"


def never_open(books: Books) -> None:
    books.doors[0].accepted.clear()


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        pytest.param(lose, "neither on event/log", id="lost"),
        pytest.param(keep_quiet, "neither on event/log", id="dropped-in-silence"),
        pytest.param(forget, "not in the file", id="not-durable"),
        pytest.param(skip_one, "a hole", id="hole"),
        pytest.param(break_chain, "the one before", id="chain"),
        pytest.param(invent, "never was", id="invented-gap"),
        pytest.param(reuse_number, "two events", id="number-twice"),
        pytest.param(change_second_copy, "two events", id="two-contents"),
        pytest.param(rename, "was committed", id="other-id"),
        pytest.param(swap, "out of order", id="order"),
        pytest.param(open_twice, "accepted twice", id="opened-twice"),
        pytest.param(open_for_a_stranger, "never committed", id="opened-for-nothing"),
        pytest.param(open_late, "after its validity", id="opened-late"),
        pytest.param(send_live_twice, "sent twice", id="live-twice"),
        pytest.param(send_another_live, "another content", id="live-differs"),
        pytest.param(never_open, "nothing at all", id="never-opened"),
    ],
)
def test_what_does_not_agree_is_found(spoil: Callable[[Books], None], found: str) -> None:
    books = good()
    spoil(books)
    assert any(found in promise for promise in wrong(books)), wrong(books)


def test_what_was_in_memory_only_may_go_with_a_kill() -> None:
    books = good()
    books.ledger["b", 3] = Entry("b", 3, "b-3", on_disk=False)
    assert wrong(books) == set()
    books.ledger["b", 3] = Entry("b", 3, "b-3", on_disk=True)
    assert len(wrong(books)) == 2


@pytest.mark.parametrize(
    ("in_log", "still_waits", "too_late", "excused"),
    [
        pytest.param(True, False, False, True, id="brought-back"),
        pytest.param(False, False, False, False, id="not-by-the-log"),
        pytest.param(True, True, False, False, id="was-there-all-the-time"),
        pytest.param(True, False, True, False, id="before-the-damage"),
    ],
)
def test_an_event_may_come_after_younger_ones_where_damage_to_the_log_has_brought_it_back(
    in_log: bool, still_waits: bool, too_late: bool, excused: bool
) -> None:
    books = good()
    if still_waits:
        books.snapshots[-1] = Snapshot("b", 2, frozenset({("a", 3)}), frozenset())
    if not too_late:
        books.note_damage(in_log=in_log)
    books.log.append(logged("a", 3))
    if too_late:
        books.note_damage(in_log=in_log)
    assert any("out of order" in promise for promise in wrong(books)) != excused


@pytest.mark.parametrize("told", [False, True])
def test_what_a_kill_has_kept_from_being_told_may_be_lost_with_the_log(told: bool) -> None:
    books = good()
    books.snapshots[0] = Snapshot("a", 4, frozenset({("a", 2), ("a", 4)}), frozenset())
    if told:
        books.ledger["a", 4] = Entry("a", 4, "a-4", on_disk=True)
    assert any("the one before" in promise for promise in wrong(books))
    books.damaged.append(Damage(1, 3, in_log=True))
    assert (wrong(books) == set()) != told


def test_what_waited_at_a_flip_is_excused_by_a_loss_without_ranges_that_is_told_after_it() -> None:
    books = good()
    books.snapshots.insert(1, Snapshot("a", 3, frozenset({("a", 2), ("a", 3)}), frozenset()))
    books.log[4] = logged("b", 2)
    books.damaged.append(Damage(2, 3, in_log=False))
    assert len(wrong(books)) == 1
    books.log[2] = dataclasses.replace(books.log[2], unknown=True)
    assert len(wrong(books)) == 1
    books.log.append(dataclasses.replace(logged("b", 2), unknown=True))
    assert wrong(books) == set()


def test_a_line_that_a_kill_cut_short_is_no_entry() -> None:
    text = "a 1 id-1 disk\na 2 id-2 memory\na 3 id-"
    assert Entry.read(text) == [Entry("a", 1, "id-1", True), Entry("a", 2, "id-2", False)]


def test_events_are_read_as_the_contract_writes_them() -> None:
    clock = ManualClock()
    identity = Identity(
        event_id="0190a6e0-0000-7000-8000-000000000001",
        seq=1,
        session="b" * 8,
        site="hq",
        device="door-1",
        previous=Previous("a" * 8, 7),
    )
    payload = codec.to_json(event.recognition(sighting(clock), identity))
    live, late = Logged.read(payload), Logged.read(event.as_historical(payload))
    assert late == dataclasses.replace(live, historical=True)
    assert live.previous == ("a" * 8, 7)
    assert json.loads(live.content)["event_id"] == identity["event_id"]
    lost = Loss(3, (DroppedRange("a" * 8, 2, 4, 3, "count"),))
    gap = event.gap(lost, identity, announced_at=utc_now(clock), clock_synced=True)
    assert Logged.read(codec.to_json(gap)).gaps == (("a" * 8, 2, 4),)
