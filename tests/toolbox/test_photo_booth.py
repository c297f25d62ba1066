"""The photo booth on scripted faces: what it takes, whom it refuses, when it closes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import TypeAlias

import numpy as np
import pytest

from edgeface.base.errors import GalleryError
from edgeface.recognition.crops import Crop
from edgeface.recognition.frame import Frame, Moment
from edgeface.recognition.values import Embedding
from edgeface.service.commanding.posing import missing_pose
from edgeface.toolbox.photo_booth import PATIENCE_S, BoothPicture, OnePerson, PhotoBooth
from tests.support.doorstep import FPS, Scene
from tests.support.people import face, gallery, identity, quality, uniform_calibration

SAME_PERSON = 0.3
Cast: TypeAlias = Sequence[tuple[int, Sequence[Embedding]]]
"""Frames, and who is in them, one after another."""


class Booth(Scene):
    """A camera before which people step as the test says."""

    def __init__(self) -> None:
        super().__init__(gallery([], []))
        self.told: list[tuple[int, str]] = []

    def frames(self, cast: Cast) -> Iterator[Frame]:
        for count, people in cast:
            self.stage.actors = [(face(300 + 400 * n), one) for n, one in enumerate(people)]
            for _ in range(count):
                yield self.frame()

    def take(
        self, cast: Cast, evidence: OnePerson, patience_s: float = PATIENCE_S
    ) -> Iterator[BoothPicture]:
        models = (self.stage, self.stage, uniform_calibration())

        def tell(taken: int, message: str) -> None:
            self.told.append((taken, message))

        return PhotoBooth(models, self.rules, evidence, tell, patience_s).pictures(
            self.frames(cast)
        )


def test_it_takes_as_many_as_are_asked_for_and_says_what_is_missing(anna: Embedding) -> None:
    booth = Booth()
    cast = [(15, []), (15, [anna, anna]), (100, [anna])]
    pictures = list(islice(booth.take(cast, OnePerson(3, SAME_PERSON)), 3))
    assert len(pictures) == 3
    apart = np.diff([picture.frame.sequence for picture in pictures])
    assert (apart >= 0.4 * FPS).all()
    assert booth.told[:2] == [
        (0, "nobody is in view; step before the camera"),
        (0, "several people are in view; only one may be"),
    ]
    assert booth.told[-1][1] == "turn the head a little to the left"


def test_who_leaves_and_comes_back_is_the_same_person(anna: Embedding) -> None:
    cast = [(20, [anna]), (30, []), (20, [anna])]
    pictures = list(Booth().take(cast, OnePerson(20, SAME_PERSON)))
    assert len(pictures) == 10  # every 0.4 s that she is there


def test_somebody_else_in_turn_ends_it_unless_that_is_forced(
    anna: Embedding, rng: np.random.Generator
) -> None:
    cast = [(20, [anna]), (40, [identity(rng)])]
    with pytest.raises(GalleryError, match="somebody else stands before the camera after 5"):
        list(Booth().take(cast, OnePerson(20, SAME_PERSON)))
    assert len(list(Booth().take(cast, OnePerson(20, -1.0)))) == 15


def test_a_stranger_who_looks_in_is_left_out(anna: Embedding, rng: np.random.Generator) -> None:
    cast = [(20, [anna]), (4, [identity(rng)]), (20, [anna])]
    pictures = list(Booth().take(cast, OnePerson(20, SAME_PERSON)))
    rows = np.stack([picture.portrait.embedding for picture in pictures])
    assert (rows @ anna > 0.5).all()


def test_it_closes_when_nothing_comes_of_it(anna: Embedding) -> None:
    booth, wait = Booth(), round(PATIENCE_S * FPS)
    cast = [(10, [anna]), (wait + 50, []), (10, [anna])]
    assert len(list(booth.take(cast, OnePerson(20, SAME_PERSON)))) == 3
    assert booth.number < 10 + wait + 20
    assert len(list(Booth().take(cast, OnePerson(20, SAME_PERSON), math.inf))) > 3


def test_the_missing_pose_is_named_by_the_persons_own_left_and_right() -> None:
    at = Moment(datetime(2026, 11, 28, tzinfo=UTC), 0, 1)

    def crop(yaw_deg: float, pitch_deg: float) -> Crop:
        turned = replace(quality(), yaw_deg=yaw_deg, pitch_deg=pitch_deg)
        return Crop(np.zeros(128, np.float32), turned, at)

    kept: list[Crop] = []
    said = [missing_pose(kept)]
    # The camera hangs to the side: the first look is 10 degrees off. The nose points to the right
    # of the image when the head turns to its own left.
    for pose in ((10.0, 5.0), (20.0, 5.0), (0.0, 5.0), (10.0, 14.0), (10.0, -6.0)):
        kept.append(crop(*pose))
        said.append(missing_pose(kept))
    assert said == [
        "look into the camera",
        "turn the head a little to the left",
        "turn the head a little to the right",
        "lift the chin a little",
        "lower the chin a little",
        "turn or tilt the head a little",
    ]
