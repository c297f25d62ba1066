"""The motion of a track: planes with their border, heads before a wall, and what says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeface.capture import scene
from edgeface.capture.head import Head
from edgeface.capture.held import Held
from edgeface.inference.models import open_models
from edgeface.recognition.liveness import Source
from edgeface.recognition.planarity import Planarity
from edgeface.recognition.second_look import look, look_again
from edgeface.recognition.values import Box, Face, Image
from edgeface.settings.models import ModelsSettings
from tests.support.clips import play
from tests.support.yardstick import in_yardsticks

SIZE = (640, 360)
FPS = 10
EYES = np.array([[165, 180], [235, 180], [200, 218], [172, 254], [228, 254]], np.float32)
"""The landmarks of the test photograph, which is 400 by 500."""
STANDS = scene.Pose(height_px=220, x_px=320, y_px=180, roll_deg=0, opacity=1, motion_px=0,
                    defocus_px=0)  # fmt: skip

Moves = Callable[[float], scene.Pose]
"""From seconds to where something is."""


def speckled(width: int, height: int, seed: int, sigma: float = 2.5) -> Image:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.normal(0, 1, (height, width, 3)), (0, 0), sigma)
    return np.asarray(np.clip(128 + 45 * noise / noise.std(), 0, 255), np.uint8)


WALL = speckled(*SIZE, seed=1, sigma=3)
NOISE = scene.noise_bank(SIZE, seed=3)
PHOTOGRAPH = speckled(400, 500, seed=2)


def face_at(pose: scene.Pose, middle: tuple[float, float]) -> Face:
    """Where the photograph's face is, whose point `middle` is at the pose's place."""
    scale = pose.height_px / 500
    marks = (EYES - middle) * np.float32(scale) + np.array([pose.x_px, pose.y_px], np.float32)
    x, y = marks.mean(axis=0)
    width, height = 148 * scale, 185 * scale
    box = Box(x - width / 2, y - height / 2, x + width / 2, y + height / 2)
    return Face(box, marks.astype(np.float32), 0.9)


def frames(
    thing: Held | Head, moves: Moves, wall: Image = WALL, seconds: float = 3.0
) -> Iterator[tuple[Image, Face, float]]:
    middle = (200.0, 250.0) if isinstance(thing, Held) else (200.0, 180.0)
    for number in range(round(seconds * FPS)):
        pose = moves(number / FPS)
        image = wall.copy()
        thing.draw(image, pose)
        image = scene.expose(image, NOISE, (number * 7 % 60, number * 11 % 60), 1.0, 2.0)
        yield image, face_at(pose, middle), number / FPS


def verdict(seen: Iterator[tuple[Image, Face, float]]) -> Source:
    motion = Planarity()
    for image, face, time_s in seen:
        motion.observe(image, face, time_s)
    return motion.verdict()


def walks(time_s: float) -> scene.Pose:
    """Nearer and to the side, without a turn."""
    return replace(STANDS, height_px=160 * 1.25**time_s, x_px=260 + 40 * time_s)


def sways(time_s: float) -> scene.Pose:
    """To and fro, without a turn."""
    return replace(STANDS, x_px=320 + 75 * np.sin(2.2 * time_s))


def tilts(time_s: float) -> scene.Pose:
    """As a hand does it."""
    return replace(
        walks(time_s), yaw_deg=14 * np.sin(2 * time_s), pitch_deg=9 * np.sin(3 * time_s), roll_deg=3
    )


def looks_about(time_s: float) -> scene.Pose:
    return replace(walks(time_s), yaw_deg=15 * np.sin(2.5 * time_s))


@pytest.mark.parametrize(
    ("species", "moves"),
    [("print", walks), ("print", sways), ("print", tilts), ("tablet", walks), ("tablet", sways)],
)
def test_a_plane_whose_border_goes_with_it_is_no_live_person(species: str, moves: Moves) -> None:
    source = verdict(frames(Held(species, PHOTOGRAPH), moves))
    assert source.live is False
    assert source.score is not None
    assert source.score < 0.3
    assert source.detail["flat"] >= 3


def test_a_head_that_looks_about_before_a_wall_is_a_live_person() -> None:
    source = verdict(frames(Head(PHOTOGRAPH, EYES), looks_about))
    assert source.live is True
    assert source.score is not None
    assert source.score > 0.8
    assert 4 < source.detail["turned_deg"] < 40


@pytest.mark.parametrize("moves", [walks, sways])
@pytest.mark.parametrize("wall", [WALL, np.full_like(WALL, 150)], ids=["speckled", "bare"])
def test_a_head_that_does_not_turn_is_never_called_flat(moves: Moves, wall: Image) -> None:
    assert verdict(frames(Head(PHOTOGRAPH, EYES), moves, wall)).live is not False


@pytest.mark.parametrize("thing", [Held("print", PHOTOGRAPH), Head(PHOTOGRAPH, EYES)],
                         ids=["print", "head"])  # fmt: skip
def test_without_motion_nothing_is_said(thing: Held | Head) -> None:
    def trembles(time_s: float) -> scene.Pose:
        return replace(STANDS, x_px=320 + np.sin(9 * time_s), y_px=180 + np.sin(7 * time_s))

    source = verdict(frames(thing, trembles, seconds=4))
    assert source.live is None
    assert source.name == "motion"


def test_nothing_seen_is_nothing_said() -> None:
    source = Planarity().verdict()
    assert (source.name, source.score, source.live) == ("motion", None, None)
    assert source.detail["steps"] == 0


@pytest.mark.parametrize("seed", range(4))
def test_noise_that_jumps_about_is_never_called_anything(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pose = STANDS

    def seen() -> Iterator[tuple[Image, Face, float]]:
        at = pose
        for number in range(40):
            at = replace(at, x_px=at.x_px + rng.normal(0, 30), height_px=rng.uniform(150, 240))
            yield (
                rng.integers(0, 256, (*SIZE[::-1], 3), np.uint8),
                face_at(at, (200, 250)),
                number / FPS,
            )

    assert verdict(seen()).live is None


def test_a_camera_that_moves_says_nothing_of_who_stands_before_it() -> None:
    """Head, wall and all go the same way: so they would in front of a camera that is pushed."""
    wide = speckled(960, 360, seed=1, sigma=4)
    Head(PHOTOGRAPH, EYES).draw(wide, replace(STANDS, x_px=480))

    def seen() -> Iterator[tuple[Image, Face, float]]:
        for number in range(30):
            left = round(160 + 90 * np.sin(number / 5))
            face = face_at(replace(STANDS, x_px=480 - left), (200, 180))
            yield np.ascontiguousarray(wide[:, left : left + SIZE[0]]), face, number / FPS

    assert verdict(seen()).live is None


@given(
    st.lists(
        st.tuples(st.floats(-900, 1500), st.floats(-900, 1500), st.floats(1, 900)),
        min_size=2,
        max_size=6,
    ),
    st.sampled_from([WALL, WALL[:40, :30], WALL[:, :90]]),
)
def test_a_face_anywhere_and_of_any_size_does_no_harm(
    places: list[tuple[float, float, float]], image: Image
) -> None:
    motion = Planarity()
    for number, (x, y, height_px) in enumerate(places):
        pose = replace(STANDS, x_px=x, y_px=y, height_px=height_px)
        motion.observe(image, face_at(pose, (200, 250)), number / 3)
    assert motion.verdict().live is None


def test_a_track_that_was_away_is_not_held_against_what_it_was() -> None:
    seen = list(frames(Held("print", PHOTOGRAPH), walks))
    apart = ((image, face, 60.0 * time_s) for image, face, time_s in seen)
    assert verdict(apart).detail["steps"] == 0


def test_most_frames_cost_nothing_and_the_others_a_blur_or_two() -> None:
    """The median frame; a blur takes about 3 ms."""
    seen = list(frames(Held("print", PHOTOGRAPH), walks))[:20]
    motion = Planarity()

    def observe(number: int) -> None:
        image, face, _ = seen[number % 20]
        motion.observe(image, face, number / 15)

    assert in_yardsticks(observe, 60) < 1


@pytest.mark.parametrize(
    "clip", ["landscape.mp4", "talking_portrait.mp4", "talking_portrait_2.mp4"]
)
def test_no_live_person_of_the_clips_is_called_flat_whenever_one_begins_to_look(
    shared: Path, clip: str
) -> None:
    """Ten pictures a second; a track begins at every fifth of them."""
    detector, *_ = open_models(ModelsSettings(accelerator="cpu"))
    seen: list[tuple[Image, Face, float]] = []
    for frame in play(shared / "data" / "clips" / clip):
        if frame.sequence % 3:
            continue
        for face in look(detector, frame.image)[:1]:
            seen.append((frame.image, look_again(detector, frame.image, face), frame.sequence / 30))
    assert len(seen) > 60
    for start in range(0, len(seen), 5):
        motion = Planarity()
        for image, face, time_s in seen[start : start + 60]:
            motion.observe(image, face, time_s)
            assert motion.verdict().live is not False
