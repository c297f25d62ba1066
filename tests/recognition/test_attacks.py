"""The attack suite: what is held up to the simulated camera, through the pipeline as it ships.

The detector of attacks in single pictures is replaced by one that every attack fools, so that what
refuses here is the motion alone. Simulated attacks are not real ones: docs/security.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from edgeface.base.clock import ManualClock
from edgeface.capture import scene
from edgeface.capture.factory import make_backend
from edgeface.capture.head import Head
from edgeface.capture.picture_file import read_picture
from edgeface.demo.photographs import COLLINS, HOPPER, in_other_light
from edgeface.recognition.assessment import AssessmentRules
from edgeface.recognition.decision import Decision
from edgeface.recognition.liveness import Source
from edgeface.recognition.pipeline import Gallery, Pipeline, PipelineRules
from edgeface.recognition.second_look import look, look_again
from edgeface.recognition.values import Image
from edgeface.settings.camera import Presentation, SimulatedCamera
from tests.support.clips import PERSON, ClipDoor
from tests.support.people import everybody

SIZE: Final = (960, 540)
FPS: Final = 8


class Fooled:
    """A detector of attacks that takes everything for a live person."""

    surroundings = 2.7
    threshold = 0.5

    def score(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        return np.ones(len(crops), np.float32)


@pytest.fixture(scope="module")
def door() -> ClipDoor:
    return ClipDoor()


def decided(door: ClipDoor, path: Path, shown: Presentation, seed: int = 1) -> list[Decision]:
    """What comes of one visit at a door that refuses attacks, where Collins is enrolled."""
    camera = SimulatedCamera(
        source="simulated",
        photographs=(path,),
        presentations=(shown,),
        size=SIZE,
        fps=FPS,
        visit_s=3.6,
        gap_s=0.0,
        seed=seed,
    )
    index = door.enroll_picture(in_other_light(read_picture(COLLINS)))
    known = Gallery(index, everybody(index))
    rules = PipelineRules(assessment=AssessmentRules("refuse_recognized"))
    pipeline = Pipeline(door.detector, door.embedder, door.calibration, rules, scorer=Fooled())
    said: list[Decision] = []
    time_s = 0.0
    with make_backend(camera, ManualClock()) as source:
        for frame in source.frames(10):
            time_s = frame.boottime_ns / 1e9
            said += pipeline.process(frame, known).decisions
    return said + list(pipeline.flush(time_s, known))


def motion_of(decision: Decision) -> Source:
    (source,) = (one for one in decision.liveness.sources if one.name == "motion")
    return source


@pytest.mark.parametrize("shown", ["print", "bent_print", "phone", "tablet"])
def test_a_picture_of_the_enrolled_person_held_up_is_refused_by_its_motion(
    door: ClipDoor, shown: Presentation
) -> None:
    said = decided(door, COLLINS, shown)
    assert all(decision.outcome != "recognized" for decision in said)
    refused = next(decision for decision in said if decision.outcome == "rejected_pad")
    assert motion_of(refused).live is False
    assert [one["name"] for one in refused.why["pad"]["refused_by"]] == ["motion"]


def test_the_enrolled_person_is_recognized_and_a_stranger_is_not_refused(door: ClipDoor) -> None:
    recognized = next(
        one for one in decided(door, COLLINS, "head") if one.outcome != "inconclusive"
    )
    assert (recognized.outcome, recognized.person_id) == ("recognized", PERSON)
    assert motion_of(recognized).live is not False
    outcomes = {one.outcome for one in decided(door, HOPPER, "head")}
    assert outcomes <= {"unknown", "inconclusive"}


def test_a_film_of_a_head_that_turns_is_not_told_by_motion(door: ClipDoor, tmp_path: Path) -> None:
    """As the page says; the order of a challenge is what a film does not know."""
    photograph = read_picture(COLLINS)
    face = look_again(door.detector, photograph, look(door.detector, photograph)[0])
    head, film = Head(photograph, face.landmarks), tmp_path / "film.mp4"
    writer = cv2.VideoWriter(str(film), cv2.VideoWriter.fourcc(*"mp4v"), FPS, (480, 640))
    for number in range(2 * FPS):
        image = np.full((640, 480, 3), 150, np.uint8)
        yaw = 18 * float(np.sin(number / 2))
        head.draw(image, scene.Pose(1700, 240, 300, 0, 1, 0, 0, yaw_deg=yaw))
        writer.write(image)
    writer.release()
    assert all(motion_of(one).live is not False for one in decided(door, film, "tablet"))
