"""The pipeline on scripted faces: which decisions come, about whom, and at what cost."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgeface.recognition.alignment import RETAIL
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.pipeline import NOT_A_FACE, Pipeline
from edgeface.recognition.values import Embedding
from tests.support.doorstep import Scene
from tests.support.people import face, gallery, uniform_calibration


@pytest.fixture
def scene(anna: Embedding) -> Scene:
    """A door that knows Anna."""
    return Scene(gallery([anna], ["p_annaannaaa"]))


def test_somebody_enrolled_is_recognized_at_the_third_good_frame(
    scene: Scene, anna: Embedding
) -> None:
    scene.play(2, (500, anna))
    assert scene.decisions == []
    scene.play(1, (500, anna))
    (decision,) = scene.decisions
    assert decision.outcome == "recognized"
    assert decision.person_id == "p_annaannaaa"
    assert decision.basis.faces_in_view == 1
    assert decision.basis.time_s == pytest.approx(scene.time_s)
    assert decision.duration_s == pytest.approx(0.2)


def test_a_stranger_is_unknown_after_two_seconds_and_once(scene: Scene, boris: Embedding) -> None:
    scene.play(60, (500, boris))
    assert scene.outcomes() == [(1, "unknown")]


def test_nobody_is_recognized_in_an_empty_gallery(anna: Embedding) -> None:
    scene = Scene(gallery([]))
    scene.play(40, (500, anna))
    assert scene.outcomes() == [(1, "unknown")]


def test_a_track_that_ends_early_is_inconclusive(scene: Scene, anna: Embedding) -> None:
    scene.play(2, (500, anna))
    scene.play(10)
    assert scene.outcomes() == [(1, "inconclusive")]
    assert scene.pipeline.idle


def test_the_validity_of_a_late_word_counts_from_the_last_face(
    scene: Scene, boris: Embedding
) -> None:
    scene.play(5, (500, boris))
    last_s = scene.time_s
    scene.play(10)
    (decision,) = scene.decisions
    assert decision.basis.time_s == pytest.approx(last_s)


def test_a_face_that_is_too_small_is_refused_with_the_gate(scene: Scene, anna: Embedding) -> None:
    scene.stage.actors = [(face(500, size=20), anna)]
    result = scene.step()
    assert [sight.gate for sight in result.sights] == ["too_small"]
    scene.play(10)
    (decision,) = scene.decisions
    assert decision.outcome == "rejected_quality"
    assert decision.why["gate"] == "too_small"
    assert scene.stage.embedded == 0


def test_landmarks_on_one_point_are_no_face(scene: Scene, anna: Embedding) -> None:
    broken = dataclasses.replace(face(500), landmarks=np.full((5, 2), 300, np.float32))
    scene.stage.actors = [(broken, anna)]
    (sight,) = scene.step().sights
    assert sight.gate == NOT_A_FACE
    assert sight.quality is None


def test_all_faces_of_a_frame_are_embedded_together(
    scene: Scene, anna: Embedding, boris: Embedding
) -> None:
    scene.play(3, (300, anna), (800, boris))
    assert scene.stage.batches == [2, 2, 2]
    assert scene.outcomes() == [(1, "recognized")]
    assert scene.decisions[0].basis.faces_in_view == 2


def test_who_steps_in_front_of_a_recognized_person_inherits_nothing(
    scene: Scene, anna: Embedding, boris: Embedding
) -> None:
    scene.play(10, (500, anna))
    scene.play(40, (505, boris))
    assert scene.outcomes() == [(1, "recognized"), (2, "unknown")]


def test_the_face_that_split_a_track_counts_for_the_new_one(
    scene: Scene, anna: Embedding, boris: Embedding
) -> None:
    scene.play(2, (500, boris))
    scene.stage.actors = [(face(502), anna)]
    (sight,) = scene.step().sights
    assert sight.track_id == 2
    assert sight.embedded
    scene.play(2, (502, anna))
    assert scene.outcomes() == [(1, "inconclusive"), (2, "recognized")]


def test_somebody_who_stands_there_does_not_cost_an_embedding_per_frame(
    scene: Scene, anna: Embedding
) -> None:
    scene.play(300, (500, anna))
    # 30 s: three to recognize, then two a second to see that it is still the same person.
    assert scene.stage.embedded <= 3 + 2 * 30


def test_a_stranger_who_stands_there_costs_no_more_than_the_kept_crops_and_rechecks(
    scene: Scene, boris: Embedding
) -> None:
    scene.play(300, (500, boris))
    assert scene.stage.embedded <= 8 + 2 * 30 + 10


def test_a_better_crop_is_worth_an_embedding(scene: Scene, boris: Embedding) -> None:
    scene.stage.actors = [(face(500, size=60), boris)]
    for _ in range(10):
        scene.step()
    scene.stage.actors = [(face(500, size=95), boris)]
    assert scene.step().sights[0].embedded


def test_faces_are_cut_from_the_full_image_when_they_were_found_in_a_small_one(
    scene: Scene, anna: Embedding
) -> None:
    scene.play(3, (500, anna), small=True)
    assert scene.stage.seen[0] == ((180, 320, 3), (4.0, 4.0))
    assert scene.outcomes() == [(1, "recognized")]


def test_faces_are_cut_out_as_the_embedder_wants_them(scene: Scene, anna: Embedding) -> None:
    scene.stage.alignment = RETAIL
    scene.play(3, (500, anna))
    assert scene.outcomes() == [(1, "recognized")]


def test_a_person_in_two_overlapping_tracks_is_announced_once(
    scene: Scene, anna: Embedding
) -> None:
    scene.play(4, (200, anna), (900, anna))
    assert scene.outcomes() == [(1, "recognized")]
    assert scene.pipeline.held_back == 1


def test_a_silent_camera_ends_the_tracks(scene: Scene, boris: Embedding) -> None:
    scene.play(5, (500, boris))
    assert scene.pipeline.pause(scene.time_s + 0.5, scene.gallery) == ()
    (decision,) = scene.pipeline.pause(scene.time_s + 2, scene.gallery)
    assert decision.outcome == "unknown"
    assert scene.pipeline.idle


def test_flushing_says_the_last_word_about_everybody(
    scene: Scene, anna: Embedding, boris: Embedding
) -> None:
    scene.play(2, (200, boris), (900, anna))
    decisions = scene.pipeline.flush(scene.time_s, scene.gallery)
    assert [decision.outcome for decision in decisions] == ["inconclusive", "inconclusive"]
    assert scene.pipeline.idle
    assert scene.pipeline.flush(scene.time_s, scene.gallery) == ()


def test_a_decision_is_not_lost_when_the_embedder_fails_in_that_frame(
    scene: Scene, anna: Embedding, boris: Embedding
) -> None:
    scene.play(2, (200, boris))
    scene.play(7)
    scene.stage.fail_embedding = True
    scene.stage.actors = [(face(900), anna)]
    with pytest.raises(RuntimeError):
        scene.step()
    scene.stage.fail_embedding = False
    scene.step()
    assert scene.outcomes() == [(1, "inconclusive")]


def test_a_frame_that_cannot_be_measured_takes_no_other_decision_with_it(
    scene: Scene, anna: Embedding, boris: Embedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.play(2, (200, boris))

    def fail(*_: object) -> None:
        raise MemoryError

    scene.stage.actors = [(face(200), boris), (face(900), anna)]
    monkeypatch.setattr("edgeface.recognition.pipeline.assess", fail)
    with pytest.raises(MemoryError):
        scene.step()
    decisions = scene.pipeline.flush(scene.time_s, scene.gallery)
    assert [(item.track_id, item.outcome) for item in decisions] == [(1, "inconclusive")]


def test_another_gallery_counts_from_the_next_frame(scene: Scene, boris: Embedding) -> None:
    scene.play(2, (500, boris))
    scene.index = gallery([boris], ["p_borisboris"], revision=2)
    scene.play(1, (500, boris))
    assert scene.decisions[0].person_id == "p_borisboris"


def test_another_accelerator_keeps_the_tracks(scene: Scene, anna: Embedding) -> None:
    scene.play(2, (500, anna))
    scene.pipeline.use(scene.stage, scene.stage)
    scene.play(1, (500, anna))
    assert scene.outcomes() == [(1, "recognized")]


def test_a_later_pipeline_goes_on_counting(scene: Scene, anna: Embedding) -> None:
    scene.play(3, (200, anna))
    scene.pipeline = Pipeline(
        scene.stage,
        scene.stage,
        uniform_calibration(),
        scene.rules,
        first_track_id=scene.pipeline.next_track_id,
    )
    scene.play(3, (200, anna))
    assert scene.outcomes() == [(1, "recognized"), (2, "recognized")]


def test_one_good_frame_is_enough_where_the_rules_say_so(anna: Embedding) -> None:
    scene = Scene(gallery([anna]), DecisionRules(min_agreeing=1))
    scene.play(1, (500, anna))
    assert scene.outcomes() == [(1, "recognized")]
