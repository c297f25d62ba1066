"""Who was not seen clearly is recognized or not, and never called a stranger."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgeface.recognition.crops import Crop
from edgeface.recognition.decision import Decision, DecisionRules
from edgeface.recognition.judge import Judge
from edgeface.recognition.quality import CLEAR_EYES, CLEAR_PX, CLEAR_SHARPNESS, Quality
from edgeface.recognition.values import Embedding
from tests.support.people import (
    everybody,
    gallery,
    identity,
    moment,
    quality,
    uniform_calibration,
    view,
)

RNG = np.random.default_rng(11)
ANNA, STRANGER = identity(RNG), identity(RNG)
INDEX = gallery([ANNA], ["p_anna"])


def judge() -> Judge:
    return Judge(1, DecisionRules(), uniform_calibration(), moment(0.0))


def watch(
    track: Judge, person: Embedding, shown: Quality, frames: int, start_s: float = 0.0
) -> list[Decision]:
    """Show so many frames, ten a second; what was said."""
    said = []
    for now_s in start_s + np.arange(frames) / 10:
        assert track.add(Crop(view(person, RNG), shown, moment(float(now_s))))
        said.append(track.look(INDEX, everybody(INDEX), float(now_s)))
    return [decision for decision in said if decision is not None]


@pytest.mark.parametrize(
    "vague",
    [
        pytest.param(replace(quality(), sharpness=CLEAR_SHARPNESS - 0.01), id="blurred"),
        pytest.param(replace(quality(), face_px=CLEAR_PX - 1), id="small"),
        pytest.param(replace(quality(), eyes=CLEAR_EYES - 0.01), id="eyes covered"),
    ],
)
def test_nobody_is_called_a_stranger_who_was_not_seen_clearly(vague: Quality) -> None:
    track = judge()
    assert watch(track, STRANGER, vague, 40) == []
    last = track.close(INDEX, everybody(INDEX), 9.0)
    assert last is not None
    assert last.outcome == "inconclusive"
    assert last.why["clear_frames"] == 0
    assert [said.outcome for said in watch(judge(), ANNA, vague, 10)] == ["recognized"]


def test_a_stranger_who_comes_nearer_is_called_one() -> None:
    track = judge()
    assert watch(track, STRANGER, replace(quality(0.2), face_px=CLEAR_PX - 1), 5) == []
    said = watch(track, STRANGER, quality(), 30, start_s=0.5)
    assert [decision.outcome for decision in said] == ["unknown"]
