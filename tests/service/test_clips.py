"""The three clips, as files, with the models that ship: who is recognized, and by how much."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeface.recognition.frame import Frame
from tests.support.clips import PERSON, ClipDoor, Played, play

HER = "landscape.mp4"
OTHERS = ("talking_portrait.mp4", "talking_portrait_2.mp4")
EVERY = 3
"""A third of the frames is what a door camera gives: 8 to 10 a second."""
ENROLLED_AT = 220
"""The frame that is enrolled; recognition happens long before it."""


@pytest.fixture(scope="module")
def clips(shared: Path) -> Path:
    return shared / "data" / "clips"


@pytest.fixture(scope="module")
def door() -> ClipDoor:
    return ClipDoor()


def frame_of(clip: Path) -> Frame:
    return next(frame for frame in play(clip) if frame.sequence == ENROLLED_AT)


@pytest.fixture(scope="module")
def played(door: ClipDoor, clips: Path) -> dict[str, Played]:
    """Every clip against the gallery of the one person."""
    index = door.enroll(frame_of(clips / HER))
    return {name: door.play(clips / name, index, every=EVERY) for name in (HER, *OTHERS)}


def test_the_person_is_one_track_from_the_first_to_the_last_frame(
    played: dict[str, Played],
) -> None:
    her = played[HER]
    assert her.frames == 94
    ((longest, frames),) = her.tracks.most_common(1)
    assert frames == 94
    # What is behind her looks like a face to the detector now and then, and never like a stranger.
    others = [decision for decision in her.decisions if decision.track_id != longest]
    assert {decision.outcome for decision in others} <= {"rejected_quality", "inconclusive"}


def test_she_is_recognized_once_within_ten_good_frames(played: dict[str, Played]) -> None:
    (decision,) = played[HER].recognized()
    assert decision.person_id == PERSON
    assert decision.track_id == next(iter(played[HER].tracks))
    assert decision.why["good_frames"] <= 10
    assert decision.agreeing >= 3
    assert decision.score is not None
    assert decision.threshold is not None
    assert decision.score >= 0.75
    assert decision.score > decision.threshold + 0.1
    assert not decision.extrapolated


@pytest.mark.parametrize("name", OTHERS)
def test_nobody_else_is_recognized_as_her(played: dict[str, Played], name: str) -> None:
    other = played[name]
    assert other.recognized() == []
    assert other.outcomes() == {"unknown"}
    assert len(other.tracks) == 1
    assert other.best_score() <= 0.3


@pytest.mark.parametrize("name", OTHERS)
def test_the_others_are_recognized_against_their_own_frame(
    door: ClipDoor, clips: Path, name: str
) -> None:
    result = door.play(clips / name, door.enroll(frame_of(clips / name)), every=EVERY)
    (decision,) = result.recognized()
    assert decision.why["good_frames"] <= 10
    assert result.outcomes() == {"recognized"}


@pytest.mark.parametrize("name", [HER, *OTHERS])
def test_a_person_who_stays_is_not_embedded_in_every_frame(
    played: dict[str, Played], name: str
) -> None:
    assert played[name].embedded <= 0.4 * played[name].frames


@pytest.mark.parametrize("name", [HER, *OTHERS])
def test_a_live_person_is_not_refused_as_a_picture(door: ClipDoor, clips: Path, name: str) -> None:
    index = door.enroll(frame_of(clips / name))
    result = door.play(clips / name, index, every=EVERY, policy="refuse_recognized")
    (decision,) = result.recognized()
    assert decision.liveness.assessed
    assert "rejected_pad" not in result.outcomes()
