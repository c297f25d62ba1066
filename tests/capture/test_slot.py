"""The hand-over in which the latest item wins."""

from __future__ import annotations

import threading

import pytest

from edgeface.base.errors import ClosedError, FrameTimeoutError
from edgeface.capture.slot import LatestSlot

WAIT_S = 10.0


def test_the_latest_item_wins_and_the_others_are_counted() -> None:
    slot: LatestSlot[int] = LatestSlot()
    for number in range(5):
        slot.put(number)
        assert slot.drops == number
    assert slot.get(WAIT_S) == 4
    assert slot.drops == 4


def test_an_item_is_given_out_once() -> None:
    slot: LatestSlot[int] = LatestSlot()
    slot.put(1)
    slot.get(WAIT_S)
    with pytest.raises(FrameTimeoutError):
        slot.get(0)
    slot.put(2)
    assert slot.drops == 0


def test_closing_wakes_whoever_waits() -> None:
    slot: LatestSlot[int] = LatestSlot()
    caught: list[Exception] = []

    def wait() -> None:
        try:
            slot.get(60)
        except ClosedError as error:
            caught.append(error)

    waiter = threading.Thread(target=wait)
    waiter.start()
    slot.close()
    waiter.join(WAIT_S)
    assert caught


def test_an_item_left_at_closing_can_still_be_taken() -> None:
    slot: LatestSlot[int] = LatestSlot()
    slot.put(1)
    slot.close()
    slot.close()
    assert slot.get(WAIT_S) == 1
    with pytest.raises(ClosedError):
        slot.get(WAIT_S)
    with pytest.raises(ClosedError):
        slot.put(2)


def test_waiting_for_a_free_slot_loses_nothing() -> None:
    slot: LatestSlot[int] = LatestSlot()

    def produce() -> None:
        for n in range(200):
            assert slot.put_when_free(n, WAIT_S)
        slot.close()

    producer = threading.Thread(target=produce)
    producer.start()
    taken = [slot.get(WAIT_S) for _ in range(200)]
    producer.join(WAIT_S)
    with pytest.raises(ClosedError):
        slot.get(WAIT_S)
    assert taken == list(range(200))
    assert slot.drops == 0


def test_a_slot_that_stays_full_is_left_as_it_is() -> None:
    slot: LatestSlot[int] = LatestSlot()
    slot.put(1)
    assert not slot.put_when_free(2, 0)
    assert slot.get(0) == 1


def test_many_producers_and_consumers_account_for_every_item() -> None:
    slot: LatestSlot[int] = LatestSlot()
    taken: list[int] = []

    def consume() -> None:
        try:
            while True:
                taken.append(slot.get(WAIT_S))
        except ClosedError:
            pass

    consumers = [threading.Thread(target=consume) for _ in range(2)]
    producers = [
        threading.Thread(target=lambda: [slot.put(n) for n in range(500)]) for _ in range(2)
    ]
    for thread in (*consumers, *producers):
        thread.start()
    for thread in producers:
        thread.join(WAIT_S)
    slot.close()
    for thread in consumers:
        thread.join(WAIT_S)
    assert len(taken) + slot.drops == 1000
