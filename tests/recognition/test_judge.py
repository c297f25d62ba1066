"""The judge of one track: what it says, when, and how often."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeface.recognition.decision import Decision, DecisionRules
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.judge import Judge
from edgeface.recognition.values import Embedding
from tests.support.people import (
    crop,
    everybody,
    gallery,
    identity,
    moment,
    quality,
    uniform_calibration,
    unit,
    view,
)

RNG = np.random.default_rng(11)
ANNA, BERT, STRANGER = (identity(RNG) for _ in range(3))
INDEX = gallery([ANNA, BERT], ["p_anna", "p_bert"])
CALIBRATION = uniform_calibration()
FRAME_S = 0.1


def judge(rules: DecisionRules | None = None) -> Judge:
    return Judge(1, rules or DecisionRules(), CALIBRATION, moment(0.0))


def watch(
    track: Judge,
    person: Embedding,
    frames: int,
    start_s: float = 0.0,
    index: GalleryIndex = INDEX,
    weight: float = 0.8,
    likeness: float = 0.85,
) -> list[Decision]:
    """Show so many frames of a person; what was said."""
    rng = np.random.default_rng(5)
    said = []
    for number in range(frames):
        now_s = start_s + number * FRAME_S
        assert track.add(crop(view(person, rng, likeness), now_s, weight))
        decision = track.look(index, everybody(index), now_s)
        said += [decision] if decision else []
    return said


def close(track: Judge, now_s: float = 9.0, index: GalleryIndex = INDEX) -> Decision | None:
    return track.close(index, everybody(index), now_s)


def test_an_enrolled_person_is_recognized_at_the_third_good_frame_and_only_once() -> None:
    track = judge()
    assert watch(track, ANNA, 2) == []
    (said,) = watch(track, ANNA, 40, 0.2)
    assert said.outcome == "recognized"
    assert (said.person_id, said.display_name) == ("p_anna", "Name p_anna")
    assert (said.frames, said.agreeing) == (3, 3)
    assert said.score is not None
    assert said.threshold is not None
    assert said.margin is not None
    assert said.score > said.threshold
    assert said.quality == quality()
    assert track.recognized
    assert close(track) is None


def test_a_stranger_is_unknown_once_after_two_seconds_and_nothing_at_the_end() -> None:
    track = judge()
    assert watch(track, STRANGER, 20) == []
    (said,) = watch(track, STRANGER, 80, 2.0)
    assert said.outcome == "unknown"
    assert (said.person_id, said.display_name) == (None, None)
    assert said.score is not None
    assert close(track) is None
    assert track.looks <= 3


def test_a_stranger_who_leaves_early_is_unknown_at_the_end() -> None:
    track = judge()
    assert watch(track, STRANGER, 5) == []
    said = close(track)
    assert said is not None
    assert said.outcome == "unknown"
    assert close(track) is None
    assert track.look(INDEX, everybody(INDEX), 10.0) is None


def test_the_two_seconds_count_from_the_first_good_frame() -> None:
    track = judge()
    assert watch(track, STRANGER, 20, start_s=50.0) == []
    (said,) = watch(track, STRANGER, 1, start_s=52.0)
    assert said.outcome == "unknown"


def test_unknown_may_be_followed_by_one_recognized() -> None:
    track = judge()
    # Far away and half hidden: nothing like the template, yet the same face all along.
    said = watch(track, unit(0.3 * ANNA + 0.95 * STRANGER), 25, weight=0.1)
    assert [decision.outcome for decision in said] == ["unknown"]
    rng = np.random.default_rng(6)
    later = []
    for number in range(30):
        now_s = 2.5 + number * FRAME_S
        assert track.add(crop(view(unit(ANNA + 0.4 * STRANGER), rng, 0.95), now_s, 0.9))
        decision = track.look(INDEX, everybody(INDEX), now_s)
        later += [decision] if decision else []
    assert [decision.outcome for decision in later] == ["recognized"]
    assert later[0].person_id == "p_anna"
    assert close(track) is None


def test_two_people_alike_are_ambiguous_and_never_a_name() -> None:
    twins = gallery([ANNA, ANNA], ["p_anna", "p_anne"])
    track = judge()
    said = watch(track, ANNA, 40, index=twins)
    assert [decision.outcome for decision in said] == ["ambiguous"]
    assert said[0].person_id is None
    assert said[0].margin == 0
    assert said[0].score is not None
    assert said[0].score > 0.5
    assert {entry["person_id"] for entry in said[0].why["near"]} == {"p_anna", "p_anne"}
    assert close(track, index=twins) is None


def test_an_empty_gallery_recognizes_nobody_and_spends_no_look() -> None:
    track = judge()
    empty = GalleryIndex.empty()
    said = watch(track, ANNA, 25, index=empty)
    assert [decision.outcome for decision in said] == ["unknown"]
    assert (said[0].score, said[0].threshold, said[0].margin) == (None, None, None)
    assert said[0].why["templates"] == 0
    assert track.looks == 0
    # The gallery arrives while she is still there.
    assert [decision.outcome for decision in watch(track, ANNA, 5, 2.5)] == ["recognized"]


def test_who_is_not_allowed_is_not_recognized() -> None:
    track = judge()
    rng = np.random.default_rng(1)
    nobody = np.array([False, True])
    for number in range(30):
        track.add(crop(view(ANNA, rng), number * FRAME_S))
        decision = track.look(INDEX, nobody, number * FRAME_S)
        assert decision is None or decision.outcome == "unknown"
    assert not track.recognized


def test_too_few_good_frames_are_inconclusive() -> None:
    track = judge()
    assert watch(track, ANNA, 2) == []
    track.refuse("blurred")
    said = close(track)
    assert said is not None
    assert said.outcome == "inconclusive"
    assert (said.person_id, said.score, said.frames) == (None, None, 2)
    assert said.why["refused"] == {"blurred": 1}


def test_a_track_without_any_crop_is_inconclusive() -> None:
    said = close(judge())
    assert said is not None
    assert said.outcome == "inconclusive"
    assert said.quality is None


def test_no_usable_frame_is_rejected_with_the_gate_that_refused_most() -> None:
    track = judge()
    for gate, weight in (("too_small", 0.1), ("blurred", 0.3), ("blurred", 0.2)):
        track.refuse(gate, quality(weight))
        assert track.look(INDEX, everybody(INDEX), 5.0) is None
    said = close(track)
    assert said is not None
    assert said.outcome == "rejected_quality"
    assert said.why["gate"] == "blurred"
    assert said.why["refused"] == {"too_small": 1, "blurred": 2}
    assert said.quality == quality(0.3)


def test_another_face_is_not_added() -> None:
    track = judge()
    watch(track, STRANGER, 3)
    assert track.add(crop(BERT, 0.5)) is False
    assert track.add(crop(view(STRANGER, RNG), 0.6)) is True
    said = close(track)
    assert said is not None
    assert said.why["good_frames"] == 4


def test_a_crop_that_is_not_a_number_is_not_added() -> None:
    track = judge()
    watch(track, ANNA, 1)
    assert track.add(crop(np.full(128, np.nan, dtype=np.float32), 0.5)) is False


def test_a_late_good_view_is_found_at_the_end_of_the_track() -> None:
    track = judge(replace(DecisionRules(), unknown_after_s=60.0))
    between = unit(0.25 * ANNA + 0.97 * STRANGER)
    assert watch(track, between, 6, weight=0.1) == []
    rng = np.random.default_rng(6)
    for number in range(8):
        # The first of these spends the second look; the rest would wait for a minute.
        seen = view(unit(ANNA + 0.6 * STRANGER), rng, 0.95)
        assert track.add(crop(seen, 1 + number * FRAME_S, 0.12))
        assert track.look(INDEX, everybody(INDEX), 1 + number * FRAME_S) is None
    said = close(track, 2.0)
    assert said is not None
    assert said.outcome == "recognized"


def test_the_best_crops_are_kept_and_the_rest_forgotten() -> None:
    track = judge(replace(DecisionRules(), best_frames=4))
    rng = np.random.default_rng(2)
    for number, weight in enumerate((0.1, 0.9, 0.2, 0.8, 0.3, 0.7, 0.1, 0.6)):
        track.add(crop(view(STRANGER, rng), number * FRAME_S, weight))
    said = close(track)
    assert said is not None
    assert sorted(entry["weight"] for entry in said.why["kept"]) == [0.6, 0.7, 0.8, 0.9]
    assert said.why["good_frames"] == 8
    assert said.frames == 4
    assert said.quality == quality(0.9)


def test_the_trace_is_json() -> None:
    track = judge()
    (said,) = watch(track, ANNA, 3)
    trace = json.loads(json.dumps(said.why))
    assert trace["looks"] == 1
    assert trace["good_frames"] == 3
    assert trace["near"][0]["person_id"] == "p_anna"
    assert [entry["at_s"] for entry in trace["kept"]] == [0.0, 0.1, 0.2]


class Track:
    """A judge that is shown one face after another, and what it said last."""

    def __init__(self) -> None:
        self.judge = judge(DecisionRules(max_looks=2))
        self.said: Decision | None = None

    def show(self, likeness: float, weight: float, *times_s: float) -> None:
        """Somebody with this cosine to Anna, in frames of these times."""
        across = unit(STRANGER - (STRANGER @ ANNA) * ANNA)
        seen = unit(likeness * ANNA + np.sqrt(1 - likeness**2) * across)
        for time_s in times_s:
            self.judge.last_seen = moment(time_s)
            assert self.judge.add(crop(seen, time_s, weight))
            self.said = self.judge.look(INDEX, everybody(INDEX), time_s) or self.said


def test_a_frame_that_was_not_used_does_not_prolong_a_name() -> None:
    track = Track()
    track.show(0.25, 0.1, 0.0, 0.1, 0.2)
    track.show(0.8, 0.9, *np.arange(0.3, 1.05, 0.1).tolist())
    # Too poor to be kept, and alike enough to be no other track: it may be anybody.
    track.show(0.25, 0.05, 1.5)
    assert track.said is None
    track.show(0.25, 0.05, 2.1)
    assert track.said is not None
    assert track.said.outcome == "recognized"
    assert track.said.basis.time_s == pytest.approx(1.0)
    assert track.said.duration_s == pytest.approx(2.1)


def test_a_frame_that_names_nobody_does_not_prolong_a_name() -> None:
    track = Track()
    track.show(0.25, 0.1, 0.0, 0.1, 0.2)
    track.show(0.8, 0.9, 0.3, 0.4, 0.5, 0.6)
    assert track.said is None
    track.show(0.25, 0.2, 2.1)
    assert track.said is not None
    assert track.said.outcome == "recognized"
    assert track.said.frames == 8
    assert track.said.agreeing == 4
    assert track.said.basis.time_s == pytest.approx(0.6)


def test_what_names_nobody_counts_from_the_newest_frame_that_was_used() -> None:
    track = Track()
    track.show(0.25, 0.9, 0.0, 1.0, 2.0)
    assert track.said is not None
    assert track.said.outcome == "unknown"
    assert track.said.basis.time_s == pytest.approx(2.0)


def test_without_a_good_frame_it_counts_from_the_newest_face() -> None:
    track = judge()
    track.refuse("too_small")
    track.last_seen = moment(0.3)
    said = close(track, 1.0)
    assert said is not None
    assert said.basis.time_s == pytest.approx(0.3)


people = st.sampled_from(["anna", "bert", "between", "stranger", "refused"])


@given(
    st.lists(st.tuples(people, st.floats(0.0, 1.0), st.floats(0.01, 1.0)), min_size=1, max_size=40),
    st.integers(1, 5),
    st.integers(1, 4),
)
@settings(max_examples=60)
def test_whatever_comes_the_order_of_what_is_said_holds(
    frames: list[tuple[str, float, float]], max_looks: int, min_agreeing: int
) -> None:
    rules = DecisionRules(max_looks=max_looks, min_agreeing=min_agreeing, same_track_min=-1)
    track = Judge(1, rules, CALIBRATION, moment(0.0))
    rng = np.random.default_rng(1)
    faces = {"anna": ANNA, "bert": BERT, "between": unit(ANNA + BERT), "stranger": STRANGER}
    said, now_s = [], 0.0
    for name, weight, step_s in frames:
        now_s += step_s
        if name == "refused":
            track.refuse("blurred")
        else:
            track.add(crop(view(faces[name], rng), now_s, weight))
        said.append(track.look(INDEX, everybody(INDEX), now_s))
    said.append(close(track, now_s))
    outcomes = [decision.outcome for decision in said if decision]
    assert 1 <= len(outcomes) <= 2
    if len(outcomes) == 2:
        assert outcomes[0] in ("unknown", "ambiguous")
        assert outcomes[1] == "recognized"
    assert track.looks <= max_looks
    for decision in filter(None, said):
        json.dumps(decision.why)
        if decision.outcome == "recognized":
            assert decision.person_id in INDEX.people
            assert decision.agreeing >= min_agreeing
            assert decision.score is not None
            assert decision.threshold is not None
            assert decision.score >= decision.threshold
            assert decision.margin is not None
            assert decision.margin >= rules.min_margin
        else:
            assert decision.person_id is None
            assert decision.display_name is None
    good = [name for name, _, _ in frames if name != "refused"]
    if len(good) < min_agreeing:
        assert outcomes == ["inconclusive" if good else "rejected_quality"]


def test_the_looks_do_not_depend_on_the_scores() -> None:
    """A stranger and an enrolled face that never reaches the threshold are looked at alike."""
    times = []
    for person in (STRANGER, unit(0.3 * ANNA + 0.95 * STRANGER)):
        track = judge()
        rng = np.random.default_rng(3)
        weights = np.random.default_rng(4).uniform(0.1, 1, 60)
        taken = []
        for number, weight in enumerate(weights):
            track.add(crop(view(person, rng), number * FRAME_S, float(weight)))
            before = track.looks
            track.look(INDEX, everybody(INDEX), number * FRAME_S)
            taken += [number] if track.looks > before else []
        times.append(taken)
    assert times[0] == times[1]
    assert times[0][0] == 2
    assert len(times[0]) == 3


@pytest.mark.parametrize("looks", [1, 2, 3, 6])
def test_no_more_looks_are_taken_than_the_rules_allow(looks: int) -> None:
    track = judge(replace(DecisionRules(), max_looks=looks))
    rng = np.random.default_rng(3)
    for number in range(400):
        track.add(crop(view(STRANGER, rng), number * FRAME_S, 0.01 + number / 500))
        track.look(INDEX, everybody(INDEX), number * FRAME_S)
    close(track, 40.0)
    assert track.looks == looks
