"""Waits grow, are bounded, and are not those of everybody else."""

from __future__ import annotations

import random

from edgeface.base.backoff import RECONNECT_CAP_S, Backoff


def test_a_broker_that_is_back_is_found_within_ten_seconds_and_not_by_all_at_once() -> None:
    backoff = Backoff(draw=random.Random(1).uniform)
    waits = [backoff.next_s() for _ in range(1000)][10:]
    assert max(waits) <= RECONNECT_CAP_S == 10.0
    assert min(waits) < 1.0
    assert 4.5 < sum(waits) / len(waits) < 5.5


def test_the_wait_doubles_within_bounds_and_starts_again() -> None:
    backoff = Backoff(floor_s=0.1, base_s=0.5, cap_s=8.0, draw=random.Random(1).uniform)
    waits = [backoff.next_s() for _ in range(50)]
    assert all(0.1 <= wait <= 8.0 for wait in waits)
    assert all(wait <= 0.5 * 2**n for n, wait in enumerate(waits[:5]))
    assert max(waits) > 4.0
    backoff.reset()
    assert backoff.next_s() <= 0.5
