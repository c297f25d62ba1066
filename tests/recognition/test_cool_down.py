"""One person in two related tracks is announced once."""

from __future__ import annotations

from edgeface.recognition.cool_down import CoolDown


def test_an_overlapping_track_is_held_back_and_counted() -> None:
    names = CoolDown(2.0)
    names.open(1, 0.0)
    assert names.admit(1, "p_a", 0.5)
    names.open(2, 1.0)
    assert not names.admit(2, "p_a", 1.5)
    assert names.held_back == 1


def test_after_the_time_it_is_announced_again() -> None:
    names = CoolDown(2.0)
    names.open(1, 0.0)
    names.open(2, 0.0)
    assert names.admit(1, "p_a", 0.5)
    assert names.admit(2, "p_a", 2.5)
    assert names.held_back == 0


def test_another_person_is_not_held_back() -> None:
    names = CoolDown(2.0)
    names.open(1, 0.0)
    names.open(2, 0.0)
    assert names.admit(1, "p_a", 0.5)
    assert names.admit(2, "p_b", 0.5)


def test_who_leaves_and_comes_back_is_announced() -> None:
    names = CoolDown(2.0)
    names.open(1, 0.0)
    assert names.admit(1, "p_a", 0.5)
    names.close(1, 0.8)
    names.open(2, 0.8)
    assert names.admit(2, "p_a", 1.2)


def test_a_split_track_is_held_back_also_over_somebody_in_between() -> None:
    names = CoolDown(2.0)
    names.open(1, 0.0)
    assert names.admit(1, "p_a", 0.5)
    names.close(1, 0.8)
    names.open(2, 0.8, split_from=1)
    names.close(2, 1.0)
    names.open(3, 1.0, split_from=2)
    assert not names.admit(3, "p_a", 1.4)
    assert names.held_back == 1


def test_no_time_holds_nothing_back() -> None:
    names = CoolDown(0.0)
    names.open(1, 0.0)
    names.open(2, 0.0)
    assert names.admit(1, "p_a", 0.5)
    assert names.admit(2, "p_a", 0.5)


def test_ten_thousand_visits_leave_no_trace() -> None:
    names = CoolDown(2.0)
    for visit in range(10_000):
        time_s = visit * 1.0
        names.open(visit, time_s, split_from=visit - 1 if visit % 3 else None)
        names.admit(visit, f"p_{visit}", time_s + 0.5)
        names.close(visit, time_s + 0.9)
    assert len(names._spans) < 5
    assert len(names._announced) < 5
