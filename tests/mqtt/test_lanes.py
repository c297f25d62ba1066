"""The bookkeeping of live and log copies, without network or disk."""

from __future__ import annotations

import pytest

from edgeface.base.backoff import Backoff
from edgeface.base.clock import NS, ManualClock
from edgeface.mqtt.lanes import LOG_WINDOW, LiveLane, LogLane
from edgeface.outbox.rows import Row

SESSION = "aaaaaaaa"


def row(clock: ManualClock, seq: int = 1, *, valid_s: float = 5.0, session: str = SESSION) -> Row:
    return Row(
        event_id=f"{session}-{seq}",
        session=session,
        seq=seq,
        kind="event",
        boot_id=clock.boot_id(),
        created_boottime_ns=clock.boottime_ns(),
        created_utc_ns=clock.utc_ns(),
        clock_synced=True,
        expires_boottime_ns=clock.boottime_ns() + round(valid_s * NS),
        payload=b"{}",
    )


def lane() -> LogLane:
    return LogLane(Backoff(floor_s=1, base_s=1, cap_s=1))


def feed(found: LogLane, rows: list[Row], now_s: float = 0.0) -> None:
    request = found.fetch(now_s)
    assert request is not None
    found.arrived(rows, request[1])


@pytest.mark.parametrize(
    ("valid_s", "expiry_s"),
    [(5.0, 5), (4.999, 4), (1.999, 1), (1.0, 1), (0.999, None), (0.0, None), (-3.0, None)],
)
def test_expiry_is_the_floor_of_what_is_left_and_never_zero(
    valid_s: float, expiry_s: int | None
) -> None:
    clock = ManualClock()
    live = LiveLane(clock, SESSION)
    live.open()
    live.offer(row(clock, valid_s=valid_s))
    found = live.next()
    assert (found[1] if found else None) == expiry_s
    assert live.next() is None


def test_a_live_event_is_not_carried_to_the_next_connection() -> None:
    clock = ManualClock()
    live = LiveLane(clock, SESSION)
    live.offer(row(clock, 1))
    live.open()
    live.offer(row(clock, 2))
    live.close()
    live.open()
    assert live.next() is None
    assert live.missed == {"offline": 1, "expired": 0, "connection_lost": 1, "too_large": 0}


def test_an_event_of_another_session_is_never_live() -> None:
    clock = ManualClock()
    live = LiveLane(clock, SESSION)
    live.open()
    live.offer(row(clock, session="bbbbbbbb"))
    assert live.next() is None


@pytest.mark.parametrize(
    ("receive_maximum", "window"), [(65_535, LOG_WINDOW), (10, 8), (3, 1), (2, 1), (1, 1)]
)
def test_the_log_leaves_room_for_live_events(receive_maximum: int, window: int) -> None:
    clock, found = ManualClock(), lane()
    found.begin(receive_maximum)
    feed(found, [row(clock, seq) for seq in range(1, 41)])
    sent = 0
    while (item := found.next()) is not None:
        sent += 1
        found.sent(sent, item)
    assert sent == window


def test_an_answer_from_before_the_connection_broke_is_stale() -> None:
    clock, found = ManualClock(), lane()
    found.begin(10)
    request = found.fetch(0)
    assert request is not None
    found.end(0)
    found.begin(10)
    found.arrived([row(clock)], request[1])
    assert found.next() is None
    assert found.fetch(0) is not None


def test_after_a_refusal_it_waits_then_tries_one_and_then_goes_on() -> None:
    clock, found = ManualClock(), lane()
    rows = [row(clock, seq) for seq in range(1, 5)]
    found.begin(10)
    feed(found, rows)
    for mid in range(1, 5):
        item = found.next()
        assert item is not None
        found.sent(mid, item)
    for mid in range(1, 5):
        assert found.acknowledged(mid, 0x97, 0.0) == (rows[mid - 1], "refused")
    assert found.fetch(0.9) is None
    feed(found, rows, now_s=1.0)
    item = found.next()
    assert item is rows[0]
    found.sent(5, item)
    assert found.next() is None
    assert found.acknowledged(5, 0x10, 1.1) == (rows[0], "delivered")
    assert found.next() is rows[1]


def test_a_payload_that_is_refused_is_undeliverable_and_stops_nothing() -> None:
    clock, found = ManualClock(), lane()
    rows = [row(clock, 1), row(clock, 2)]
    found.begin(10)
    feed(found, rows)
    item = found.next()
    assert item is not None
    found.sent(1, item)
    assert found.acknowledged(1, 0x99, 0.0) == (rows[0], "undeliverable")
    assert found.next() is rows[1]


def test_what_makes_the_broker_disconnect_is_found_one_by_one() -> None:
    clock, found = ManualClock(), lane()
    rows = [row(clock, 1), row(clock, 2)]
    found.begin(10)
    feed(found, rows)
    for mid in (1, 2):
        item = found.next()
        assert item is not None
        found.sent(mid, item)
    assert found.end(0x95) is None
    found.begin(10)
    feed(found, rows)
    item = found.next()
    assert item is not None
    found.sent(1, item)
    assert found.next() is None
    assert found.end(0x95) is rows[0]


def test_a_connection_that_just_breaks_makes_nothing_undeliverable() -> None:
    clock, found = ManualClock(), lane()
    for _ in range(5):
        found.begin(1)
        feed(found, [row(clock)])
        item = found.next()
        assert item is not None
        found.sent(1, item)
        assert found.end(0) is None


def test_the_lane_is_idle_when_the_outbox_has_no_more() -> None:
    found = lane()
    found.begin(10)
    assert not found.idle
    feed(found, [])
    assert found.idle
    found.committed()
    assert not found.idle
