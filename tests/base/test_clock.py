"""Stamps on two clocks."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from edgeface.base.clock import (
    ACCEPT_S,
    NS,
    Clock,
    ManualClock,
    StepWatch,
    boottime_of_sensor,
    stamp_at,
    stamp_now,
)


def test_a_past_instant_is_mapped_to_utc_by_its_age() -> None:
    clock = ManualClock(boottime_ns=500 * NS, utc_ns=1_700_000_000 * NS)
    stamp = stamp_at(clock, 500 * NS - 250_000_000)
    assert stamp.boottime_ns == 499_750_000_000
    assert stamp.captured_at == datetime.fromtimestamp(1_699_999_999.75, UTC)


def test_no_frame_comes_from_the_future() -> None:
    clock = ManualClock()
    assert stamp_at(clock, clock.boottime_ns() + NS) == stamp_now(clock)


def test_a_correction_of_the_clock_moves_utc_but_not_boottime() -> None:
    clock = ManualClock()
    before = stamp_now(clock)
    clock.utc_offset_ns += -3600 * NS
    after = stamp_now(clock)
    assert after.boottime_ns == before.boottime_ns
    assert before.captured_at - after.captured_at == timedelta(hours=1)


@pytest.mark.parametrize(
    ("suspended_s", "sensor_s", "expected_s"),
    [
        pytest.param(0, 999.9, 999.9, id="never suspended"),
        pytest.param(300, 699.9, 999.9, id="monotonic after a suspend"),
        pytest.param(300, 999.9, 999.9, id="boot time after a suspend"),
        pytest.param(0, 1000.5, 1000.0, id="from the future"),
    ],
)
def test_a_sensor_stamp_is_read_on_the_clock_it_was_taken_on(
    suspended_s: int, sensor_s: float, expected_s: float
) -> None:
    clock = ManualClock(boottime_ns=1000 * NS, suspended_ns=suspended_s * NS)
    assert boottime_of_sensor(clock, round(sensor_s * NS)) == round(expected_s * NS)


def test_the_system_clock_is_this_machines() -> None:
    clock = Clock()
    assert clock.monotonic_ns() <= clock.boottime_ns()
    now = datetime.now(UTC)
    assert abs(stamp_now(clock).captured_at - now) < timedelta(seconds=5)
    event = threading.Event()
    assert not clock.wait(event, 0)
    event.set()
    assert clock.wait(event, 60)
    clock.sleep(-1)


def test_the_manual_clock_moves_only_by_waiting() -> None:
    clock = ManualClock()
    began_ns = clock.boottime_ns()
    clock.sleep(2)
    assert not clock.wait(threading.Event(), 3)
    event = threading.Event()
    event.set()
    assert clock.wait(event, 100)
    assert clock.boottime_ns() - began_ns == 5 * NS


def test_the_kernel_tells_boot_and_synchronization() -> None:
    clock = Clock()
    assert len(clock.boot_id()) == 36
    assert clock.synced() == (clock.sync_trouble() is None)


def test_a_step_is_noticed_until_it_is_undone_or_has_stood_for_long() -> None:
    clock = ManualClock()
    watch = StepWatch(clock)
    for by_s, words in ((90_061, "forward by 1 day, 1:01:01 "), (-7200, "back by 2:00:00 ")):
        clock.utc_offset_ns += by_s * NS
        assert words in str(watch.trouble())
        clock.sleep(ACCEPT_S - 1)
        assert words in str(watch.trouble())
        clock.utc_offset_ns -= by_s * NS
        assert watch.trouble() is None
    clock.utc_offset_ns += 60 * NS
    assert watch.trouble() is not None
    clock.sleep(ACCEPT_S)
    assert watch.trouble() is None


def test_a_clock_that_is_slewed_or_was_not_synchronized_before_was_not_stepped() -> None:
    clock = ManualClock()
    clock.disciplined = False
    watch = StepWatch(clock)
    clock.utc_offset_ns += 86_400 * NS
    clock.disciplined = True
    assert watch.trouble() is None
    for _ in range(100):
        clock.utc_offset_ns += NS // 10
        assert watch.trouble() is None


def test_what_sets_a_stepped_clock_right_is_a_correction() -> None:
    """clock_settime(2) makes the clock one that is not synchronized."""
    clock = ManualClock()
    watch = StepWatch(clock)
    clock.utc_offset_ns += 86_400 * NS
    clock.disciplined = False
    assert watch.trouble() is not None
    clock.utc_offset_ns -= 86_399 * NS
    clock.disciplined = True
    assert watch.trouble() is None
