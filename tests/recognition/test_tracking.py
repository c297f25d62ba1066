"""Tracks: one face, one id, through motion, gaps and crossings."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeface.recognition.tracking import Tracker, TrackerRules
from edgeface.recognition.values import Box, Face
from tests.support.people import face

FRAME_S = 0.1


def ids(tracker: Tracker, faces: list[Face], time_s: float) -> list[int]:
    return [track for track, _ in tracker.update(faces, time_s).active]


@pytest.mark.parametrize("speed_px", [0, 20, 60, 100], ids=lambda speed: f"{speed} px a frame")
def test_a_walking_person_is_one_track(speed_px: int) -> None:
    tracker = Tracker()
    found = [ids(tracker, [face(speed_px * number)], number * FRAME_S) for number in range(10)]
    assert found == [[1]] * 10


def test_a_face_that_appears_two_sizes_away_is_another_track() -> None:
    tracker = Tracker()
    assert ids(tracker, [face(100)], 0.0) == [1]
    assert ids(tracker, [face(300)], 0.1) == [2]


def test_a_growing_face_is_one_track() -> None:
    tracker = Tracker()
    sizes = [40 * 1.12**number for number in range(16)]
    seen = {
        track
        for number, size in enumerate(sizes)
        for track in ids(tracker, [face(300 - size / 2, 300 - size / 2, size)], number * FRAME_S)
    }
    assert seen == {1}


def test_missed_frames_are_bridged_where_the_person_would_be_by_then() -> None:
    tracker = Tracker()
    for number in range(6):
        ids(tracker, [face(60.0 * number)], number * FRAME_S)
    for number in range(6, 11):
        assert tracker.update([], number * FRAME_S).ended == ()
    assert ids(tracker, [face(60.0 * 11)], 11 * FRAME_S) == [1]


def test_a_track_ends_once_after_the_gap_and_its_id_is_not_used_again() -> None:
    tracker = Tracker(TrackerRules(max_gap_s=0.5))
    assert ids(tracker, [face(100)], 0.0) == [1]
    assert tracker.update([], 0.5).ended == ()
    assert tracker.update([], 0.51).ended == (1,)
    assert tracker.update([], 0.6).ended == ()
    assert ids(tracker, [face(100)], 0.7) == [2]


def test_two_people_who_pass_each_other_keep_their_tracks() -> None:
    tracker = Tracker()
    found = []
    for number in range(21):
        going, coming = face(40.0 * number, 200), face(800 - 40.0 * number, 230)
        found.append(ids(tracker, [going, coming], number * FRAME_S))
    assert found == [[1, 2]] * 21


def test_two_still_people_keep_their_tracks_whatever_the_order_of_the_faces() -> None:
    tracker = Tracker()
    left, right = face(100), face(180)
    assert ids(tracker, [left, right], 0.0) == [1, 2]
    assert ids(tracker, [right, left], 0.1) == [2, 1]


def test_a_face_of_another_size_at_the_same_place_is_another_track() -> None:
    tracker = Tracker()
    assert ids(tracker, [face(100, 100, 50)], 0.0) == [1]
    assert ids(tracker, [face(60, 60, 200)], 0.1) == [2]


def test_split_gives_the_place_a_new_id_and_does_not_report_the_old_one() -> None:
    tracker = Tracker()
    ids(tracker, [face(100)], 0.0)
    assert tracker.split(1) == 2
    update = tracker.update([face(105)], 0.1)
    assert [track for track, _ in update.active] == [2]
    assert update.ended == ()
    with pytest.raises(KeyError):
        tracker.split(1)


def test_flush_ends_everything() -> None:
    tracker = Tracker()
    ids(tracker, [face(0), face(500)], 0.0)
    assert tracker.flush() == (1, 2)
    assert tracker.flush() == ()


def test_a_clock_that_steps_back_does_no_harm() -> None:
    tracker = Tracker()
    assert [ids(tracker, [face(100)], t) for t in (5.0, 5.1, 1.0, 5.2)] == [[1]] * 4


def test_empty_and_infinite_boxes_are_left_out() -> None:
    tracker = Tracker()
    bad = [
        Face(Box(10, 10, 10, 50), face(0).landmarks, 0.9),
        Face(Box(math.nan, 0, 1, 1), face(0).landmarks, 0.9),
        Face(Box(0, 0, math.inf, 1), face(0).landmarks, 0.9),
    ]
    assert tracker.update([*bad, face(100)], 0.0).active[0][0] == 1
    assert len(tracker.update([*bad, face(100)], 0.1).active) == 1


@pytest.mark.parametrize("rules", [{"min_iou": 0.0}, {"min_iou": 1.0}, {"max_gap_s": 0.0}])
def test_rules_that_cannot_work_are_refused(rules: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="is not"):
        TrackerRules(**rules)


@given(
    st.lists(
        st.tuples(
            st.floats(0.01, 0.5),
            st.lists(
                st.tuples(st.floats(0, 1200), st.floats(0, 700), st.floats(20, 200)), max_size=5
            ),
            st.booleans(),
        ),
        max_size=25,
    )
)
@settings(max_examples=80)
def test_ids_are_unique_end_once_and_never_come_back(
    frames: list[tuple[float, list[tuple[float, float, float]], bool]],
) -> None:
    tracker = Tracker()
    time_s, alive, gone = 0.0, set[int](), set[int]()
    for step_s, boxes, split in frames:
        time_s += step_s
        faces = [face(*box) for box in boxes]
        update = tracker.update(faces, time_s)
        now = [track for track, _ in update.active]
        assert [found for _, found in update.active] == faces
        assert len(set(now)) == len(now)
        assert set(update.ended) <= alive
        gone |= set(update.ended)
        assert not gone & set(now)
        alive = (alive | set(now)) - gone
        if split and now:
            new = tracker.split(now[0])
            assert new not in alive | gone
            alive = (alive | {new}) - {now[0]}
            gone.add(now[0])
    assert set(tracker.flush()) == alive


def test_at_one_frame_a_second_a_person_stays_one_track() -> None:
    """Also over a frame without the face; who comes seconds later is another."""
    tracker = Tracker()
    for number in range(6):
        tracker.update([], float(number))
    assert tracker.interval_s == 1.0
    assert [ids(tracker, [face(100)], 6.0 + number) for number in range(3)] == [[1]] * 3
    assert tracker.update([], 9.0).ended == ()
    assert ids(tracker, [face(100)], 10.0) == [1]
    assert tracker.expire(12.4) == ()
    assert tracker.expire(12.6) == (1,)


def test_one_long_pause_does_not_change_the_rate_and_the_gap_has_a_bound() -> None:
    tracker = Tracker()
    for number in range(20):
        tracker.update([face(100)], number * FRAME_S)
    assert tracker.update([], 60.0).ended == (1,)
    assert tracker.interval_s == pytest.approx(FRAME_S)
    slow = Tracker()
    for number in range(7):
        slow.update([face(100)], number * 4.0)
    assert slow.expire(24.0 + 4.9) == ()
    assert len(slow.expire(24.0 + 5.1)) == 1
