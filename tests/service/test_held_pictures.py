"""The enrolled person walks up, or a picture of her is held up: real models, a simulated camera."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgeface.base.clock import ManualClock
from edgeface.capture.picture_file import read_picture
from edgeface.capture.simulated import SimulatedSource
from edgeface.demo.photographs import COLLINS
from edgeface.gallery.gate import Gate, Portrait
from edgeface.recognition.assessment import AssessmentRules
from edgeface.recognition.decision import Decision
from edgeface.recognition.liveness import Policy
from edgeface.recognition.pipeline import Gallery, Pipeline
from edgeface.recognition.quality import QualityLimits
from edgeface.service.checked_models import Models, open_checked
from edgeface.service.recognizing import rules_of
from edgeface.settings.camera import Presentation, SimulatedCamera
from tests.support.people import everybody, gallery
from tests.support.settings import settings_of

SETTINGS = settings_of(models={"accelerator": "cpu"})
FPS = 8.0


@pytest.fixture(scope="module")
def models() -> Models:
    return open_checked(SETTINGS)


@pytest.fixture(scope="module")
def known(models: Models) -> Gallery:
    portrait = Gate(models.detector, models.embedder, QualityLimits()).examine(
        read_picture(COLLINS), "her"
    )
    assert isinstance(portrait, Portrait)
    index = gallery([portrait.embedding], ["p_eileen"])
    return Gallery(index, everybody(index))


def visit(
    models: Models,
    known: Gallery,
    shown: Presentation,
    policy: Policy,
    accused: set[str] | None = None,
) -> list[Decision]:
    """What is decided about one visit; tracks of a frame or two at its ends are left out. `accused`
    takes the kinds of evidence against the track after a decision."""
    camera = SimulatedCamera(
        source="simulated",
        photographs=(COLLINS,),
        presentations=(shown,),
        size=(960, 540),
        fps=FPS,
        gap_s=0.5,
    )
    rules = replace(rules_of(SETTINGS), assessment=AssessmentRules(policy, wait_s=3.0))
    pipeline = Pipeline(
        models.detector, models.embedder, models.calibration, rules, scorer=models.liveness
    )
    decisions: list[Decision] = []
    time_s = 0.0
    with SimulatedSource(camera, ManualClock()) as source:
        for frame in source.frames(1.0):
            result = pipeline.process(frame, known)
            if accused is not None and decisions:
                accused |= {source.name for one in result.sights for source in one.accusing}
            decisions += result.decisions
            time_s = frame.boottime_ns / 1e9
    decisions += pipeline.flush(time_s, known)
    return [decision for decision in decisions if decision.agreeing]


def test_a_head_that_turns_is_live_and_let_in_under_every_policy(
    models: Models, known: Gallery
) -> None:
    (said,) = visit(models, known, "head", "challenge")
    assert (said.outcome, said.person_id) == ("recognized", "p_eileen")
    assert said.liveness.live is True


@pytest.mark.parametrize("shown", ["print", "bent_print", "phone", "tablet"])
def test_a_picture_of_her_that_is_held_up_is_never_live(
    models: Models, known: Gallery, shown: Presentation
) -> None:
    (said,) = visit(models, known, shown, "challenge")
    assert said.outcome == "rejected_pad"
    assert said.person_id is None
    assert said.why["pad"]["reason"] in ("attack", "not_live_enough")
    assert said.score is not None
    assert said.threshold is not None
    assert said.score > said.threshold, "it is refused for nothing but the evidence"


def test_the_motion_of_a_print_is_named_as_the_evidence(models: Models, known: Gallery) -> None:
    (said,) = visit(models, known, "print", "refuse_recognized")
    assert said.outcome == "rejected_pad"
    assert [source["name"] for source in said.why["pad"]["refused_by"]] == ["motion"]


def test_a_report_lets_it_in_and_tells_the_evidence(models: Models, known: Gallery) -> None:
    (said,) = visit(models, known, "print", "report")
    assert said.outcome == "recognized"
    assert said.liveness.assessed
    assert said.liveness.live is not True


@pytest.mark.parametrize(("shown", "against"), [("print", {"motion"}), ("head", set())])
def test_who_was_recognized_is_still_looked_at_so_that_a_claim_can_be_refused(
    models: Models, known: Gallery, shown: Presentation, against: set[str]
) -> None:
    accused: set[str] = set()
    (said,) = visit(models, known, shown, "report", accused)
    assert said.outcome == "recognized"
    assert said.liveness.live is not False
    assert accused == against
