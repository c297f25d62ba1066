"""The inference worker with models that fail on demand, driven frame by frame."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from edgeface.base.errors import FrameTimeoutError, ModelError
from edgeface.service.checked_models import WRONG_ANSWERS
from edgeface.service.recognizing import Recognizer, give_up_stuck, rules_of
from edgeface.service.supervisor import FatalError
from tests.support.doorstep import IMAGE
from tests.support.people import gallery, identity
from tests.support.recognizer_world import SETTINGS, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_decision_reaches_the_outbox_with_what_it_rests_on(world: World) -> None:
    world.frames(5, world.anna)
    world.run()
    (sighting,) = world.said
    assert sighting.event_type == "recognized"
    assert sighting.match is not None
    assert sighting.match.person_id == "p_annaannaaa"
    assert sighting.match.margin is None
    assert sighting.accelerator == "cpu"
    assert sighting.models.detector == "sha256:" + "a" * 64
    assert sighting.gallery.templates == 1
    assert sighting.latency_ms == 0
    assert sighting.validity_s == 5.0
    counters = world.board.meters.counters()
    assert counters["events_recognized"] == 1
    assert counters["frames"] == 5


def test_at_the_end_every_track_gets_its_last_word(world: World) -> None:
    world.frames(2, world.anna)
    world.run()
    assert world.outcomes() == ["inconclusive"]


def test_a_silent_camera_ends_the_tracks(world: World) -> None:
    world.frames(2, world.anna)
    counted: list[int] = []
    world.slot.items += [
        lambda: world.clock.sleep(2),
        FrameTimeoutError("nothing"),
        lambda: counted.append(len(world.said)),
    ]
    world.run()
    assert counted == [1]


def test_a_frame_that_is_still_on_its_way_is_waited_for(world: World) -> None:
    """Two frames a second that take half a second to come: within `max_gap_s` of one another."""
    for _ in range(5):
        world.frames(1, world.anna, late_s=0.5)
        world.slot.items += [lambda: world.clock.sleep(0.25), FrameTimeoutError("nothing")]
        world.slot.items.append(lambda: world.clock.sleep(0.15))
    world.run()
    assert world.outcomes() == ["recognized"]


def test_frames_of_long_ago_do_not_keep_a_track_for_as_long(world: World) -> None:
    """As they lie in a driver's buffers after the camera was held up."""
    world.frames(2, world.anna, late_s=3600.0)
    counted: list[int] = []
    world.slot.items += [
        lambda: world.clock.sleep(2),
        FrameTimeoutError("nothing"),
        lambda: counted.append(len(world.said)),
    ]
    world.run()
    assert counted == [1]


def test_models_that_cannot_be_used_at_the_start_end_the_process(world: World) -> None:
    world.failure = ModelError("model.tflite: differs")
    with pytest.raises(FatalError, match="differs"):
        world.run()


def test_later_they_are_a_failure_like_any_other(world: World) -> None:
    world.run()
    world.failure = ModelError("model.tflite: differs")
    with pytest.raises(ModelError):
        world.run()


def test_a_failing_cpu_is_for_the_supervisor(world: World) -> None:
    world.frames(2, world.anna)
    world.slot.items.append(lambda: setattr(world.actors[-1], "broken", "cannot be run"))
    world.frames(1, world.anna)
    with pytest.raises(ModelError, match="cannot be run"):
        world.run()
    assert world.outcomes() == ["inconclusive"]


@pytest.mark.parametrize("somebody", [False, True], ids=["nobody there", "somebody there"])
def test_the_golden_test_runs_again_when_nobody_is_there(world: World, somebody: bool) -> None:
    world.tpu = True
    world.frames(1)
    world.slot.items += [
        lambda: world.clock.sleep(101),
        lambda: setattr(world.actors[-1], "sick", True),
    ]
    world.frames(1, *[world.anna] * somebody)
    world.run()
    assert len(world.opened) == (1 if somebody else 2)


def test_the_golden_test_is_put_off_once_and_not_for_ever(world: World) -> None:
    """A poster at the door is a face that never goes away."""
    world.tpu = True
    opened: list[int] = []
    world.frames(1, world.anna)
    world.slot.items += [
        lambda: setattr(world.actors[-1], "sick", True),
        lambda: world.clock.sleep(199),
    ]
    world.frames(1, world.anna)
    world.slot.items += [
        lambda: opened.append(len(world.opened)),
        lambda: world.clock.sleep(1),
    ]
    world.frames(1, world.anna)
    world.run()
    assert opened == [1]
    assert world.opened == [None, f"{WRONG_ANSWERS}: golden run: cosine 0.1"]


def test_a_sick_cpu_is_for_the_supervisor(world: World) -> None:
    world.slot.items += [
        lambda: world.clock.sleep(101),
        lambda: setattr(world.actors[-1], "sick", True),
    ]
    world.frames(1)
    with pytest.raises(ModelError, match="golden run"):
        world.run()


def test_a_model_that_was_replaced_on_the_disk_is_not_mixed_with_the_one_before(
    world: World,
) -> None:
    world.tpu = True
    world.frames(2, world.anna)
    world.slot.items += [
        lambda: setattr(world, "space", "another"),
        lambda: setattr(world.actors[-1], "broken", "golden.npz: differs from model.yaml"),
    ]
    world.frames(3, world.anna)
    with pytest.raises(ModelError, match="replaced by another model"):
        world.run()
    assert world.outcomes() == ["inconclusive"]
    assert world.board.models is not None
    assert world.board.models.space == "space"
    world.slot.items.clear()
    world.board.by_gallery.index = dataclasses.replace(gallery([world.anna]), space="another")
    world.run()
    assert world.board.models.space == "another"


def test_a_track_begun_in_a_frame_that_failed_keeps_its_number(world: World) -> None:
    world.frames(1)
    world.slot.items.append(lambda: setattr(world.actors[-1], "broken_embedder", True))
    world.frames(1, world.anna)
    with pytest.raises(ModelError):
        world.run()
    world.frames(1, world.anna)
    world.run()
    assert [sighting.track.id for sighting in world.said] == [1, 2]


def test_names_that_were_held_back_are_counted(world: World) -> None:
    world.frames(5, world.anna, world.anna)
    world.run()
    assert world.outcomes() == ["recognized"]
    assert world.board.meters.counters()["names_held_back"] == 1


def test_who_was_given_up_is_not_listened_to(world: World) -> None:
    world.tpu = True
    world.frames(2, world.anna)
    world.slot.items.append(lambda: give_up_stuck(world.board))
    world.frames(3, world.anna)
    world.run()
    assert world.said == []
    assert world.board.lost is not None


def test_an_index_of_another_model_is_never_compared_with(world: World) -> None:
    world.board.by_gallery.index = dataclasses.replace(gallery([world.anna]), space="another")
    world.slot.items.append(lambda: None)
    world.pulse.stop.set()
    world.run()
    assert world.said == []
    recognizer = Recognizer(
        world.board,
        cast(Any, world.slot),
        world.said.append,
        world.floor,
        open_models=world.open_models,
    )
    recognizer._open(world.pulse, None)
    assert recognizer._gallery() is None


def test_the_settings_become_the_rules_of_the_core() -> None:
    rules = rules_of(SETTINGS)
    assert rules.limits.min_sharpness == 0
    assert rules.decision.max_looks == SETTINGS.decision.max_looks
    assert rules.tracker.max_gap_s == SETTINGS.tracking.max_gap_s


def test_all_but_the_models_costs_less_than_scaling_the_picture_four_times(world: World) -> None:
    """Which any program has to do once, for the detector."""
    rng = np.random.default_rng(0)
    world.board.by_gallery.index = gallery([identity(rng) for _ in range(1000)])
    spent: list[float] = []
    world.frames(20, identity(rng))
    world.slot.items.append(lambda: spent.append(time.process_time()))
    world.frames(200, identity(rng))
    world.slot.items.append(lambda: spent.append(time.process_time()))
    world.run()
    began_s = time.process_time()
    for _ in range(200):
        cv2.resize(IMAGE, (320, 240), interpolation=cv2.INTER_AREA)
    assert spent[1] - spent[0] < 4 * (time.process_time() - began_s)


def test_nobody_is_looked_for_in_frozen_pictures_and_all_goes_on_behind_them(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    camera = {"source": "v4l2", "alerts": ["camera_frozen"], "frozen_s": 1.0}
    changed = SETTINGS.model_dump() | {"camera": camera}
    world.board.by_main.settings = SETTINGS.model_validate(changed)
    seen: list[int] = []

    def count() -> None:
        seen.append(world.board.meters.counters()["frames"])
        frozen = world.board.by_recognizer.picture.get("camera_frozen") is not None
        assert frozen == (len(seen) == 2)

    world.frames(5, world.anna)  # a stage's pictures are all the same
    world.slot.items.append(count)
    world.frames(40, world.anna)
    world.slot.items += [count]
    world.run()
    assert seen[1] - seen[0] == pytest.approx(6, abs=1)
    assert world.outcomes() == ["recognized"]
    assert world.board.by_recognizer.frame_interval_s == pytest.approx(0.1)
