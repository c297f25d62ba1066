"""When the detector rests, and how soon it is awake."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeface.recognition.idling import LOOK_EVERY_S, Governor, IdleRules
from edgeface.recognition.pipeline import Pipeline
from edgeface.recognition.values import Embedding, Image
from tests.support.cameras import simulated
from tests.support.doorstep import FPS as SCENE_FPS
from tests.support.doorstep import IMAGE, Scene
from tests.support.people import gallery, uniform_calibration

FPS = 10
AFTER_S = 5.0
GAP_S = 12.0


class Door:
    """What a camera with a sensor's noise sees in front of an empty wall."""

    def __init__(self, light: float = 1.0, noise: float = 3.0) -> None:
        self.governor = Governor(IdleRules(AFTER_S))
        self.rng = np.random.default_rng(4)
        self.bank = self.rng.normal(0, 1, (400, 680, 3)).astype(np.float32)
        self.light, self.noise = light, noise
        self.number = 0
        self.wall: Image = np.full((360, 640, 3), 140, np.uint8)
        cv2.rectangle(self.wall, (420, 60), (560, 360), (90, 70, 60), -1)

    def wants(self, picture: Image | None = None, *, busy: bool = False) -> bool:
        y, x = self.rng.integers(0, 40, 2)
        noise = self.noise * self.bank[y : y + 360, x : x + 640]
        shown = (self.wall if picture is None else picture) * np.float32(self.light) + noise
        self.number += 1
        frame = np.clip(shown, 0, 255).astype(np.uint8)
        return self.governor.wants(frame, self.number / FPS, busy=busy)

    def fall_asleep(self) -> None:
        for _ in range(int(FPS * (AFTER_S + 1))):
            self.wants()
        assert self.governor.idle


def with_somebody(wall: Image, left: int, height: int = 160) -> Image:
    image = wall.copy()
    width = height // 3
    cv2.rectangle(image, (left, 360 - height), (left + width, 360), (60, 50, 45), -1)
    return image


@pytest.mark.parametrize(
    ("light", "noise"),
    [
        pytest.param(1.0, 0.0, id="still picture"),
        pytest.param(1.0, 3.0, id="day"),
        pytest.param(0.2, 10.0, id="night"),
        pytest.param(0.0, 12.0, id="dark"),
    ],
)
def test_noise_wakes_nobody_and_there_is_a_look_once_a_second(light: float, noise: float) -> None:
    door = Door(light, noise)
    door.fall_asleep()
    looks = sum(door.wants() for _ in range(20 * FPS))
    assert door.governor.idle
    assert looks == pytest.approx(20 / LOOK_EVERY_S, abs=3)


@pytest.mark.parametrize("light", [1.0, 0.4])
@pytest.mark.parametrize("height", [60, 160, 330])
def test_somebody_who_comes_into_view_wakes_it_within_200_ms(height: int, light: float) -> None:
    door = Door(light)
    door.fall_asleep()
    picture = with_somebody(door.wall, 200, height)
    assert any(door.wants(picture) for _ in range(int(0.2 * FPS)))
    assert not door.governor.idle


def test_a_light_that_drifts_does_not_wake_it() -> None:
    door = Door()
    door.fall_asleep()
    for step in range(200):
        door.light = 1.0 + 0.2 * np.sin(step / 10)
        door.wants()
        assert door.governor.idle, step


def test_who_is_seen_keeps_it_awake_however_still_they_stand() -> None:
    door = Door()
    assert all(door.wants(busy=True) for _ in range(10 * FPS))
    assert not door.governor.idle


def test_without_rules_every_frame_is_wanted() -> None:
    governor = Governor(IdleRules())
    image = np.zeros((90, 160, 3), np.uint8)
    assert all(governor.wants(image, 0.1 * step, busy=False) for step in range(300))
    assert not governor.idle


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    path = tmp_path / "visitor.png"
    cv2.imwrite(str(path), np.full((300, 240, 3), (60, 120, 235), np.uint8))
    return path


def test_the_simulated_door_is_at_rest_between_its_visitors_only(photograph: Path) -> None:
    source: Any = simulated(
        photograph, size=(640, 360), fps=FPS, visit_s=4.0, gap_s=GAP_S, loop=True
    )
    governor = Governor(IdleRules(AFTER_S))
    rested = 0
    for number in range(int(FPS * 2 * (GAP_S + 4.0))):
        governor.wants(source.render(number), number / FPS, busy=False)
        into_s = number / FPS % (GAP_S + 4.0) - GAP_S
        if into_s >= 0.2:
            assert not governor.idle, number
        rested += governor.idle
    assert rested >= FPS * (GAP_S - AFTER_S)


def resting(anna: Embedding) -> Scene:
    """A scene with nobody in it, at rest."""
    scene = Scene(gallery([anna]))
    rules = dataclasses.replace(scene.rules, idle=IdleRules(1.0))
    scene.pipeline = Pipeline(scene.stage, scene.stage, uniform_calibration(), rules)
    scene.play(4 * SCENE_FPS)
    assert scene.pipeline.resting
    return scene


def looks_of(scene: Scene) -> int:
    """How many frames were looked at as a whole."""
    return sum(shape == IMAGE.shape for shape, _ in scene.stage.seen)


def test_frames_that_were_not_looked_at_are_frames_without_a_face(anna: Embedding) -> None:
    """The tracker's rate and the tracks' ends go by them as by any other."""
    scene = resting(anna)
    looked = looks_of(scene)
    scene.play(2 * SCENE_FPS)
    assert looks_of(scene) - looked == pytest.approx(2, abs=1)
    assert scene.pipeline.frame_interval_s == pytest.approx(1 / SCENE_FPS)


def test_who_stands_there_without_a_change_is_seen_within_a_second(anna: Embedding) -> None:
    scene = resting(anna)
    scene.play(2 * SCENE_FPS, (300.0, anna))
    assert not scene.pipeline.resting
    assert [outcome for _, outcome in scene.outcomes()] == ["recognized"]


def test_a_command_that_looks_wakes_it(anna: Embedding) -> None:
    scene = resting(anna)
    looked = looks_of(scene)
    for _ in range(SCENE_FPS):
        scene.pipeline.process(scene.frame(), scene.gallery, awake=True)
    assert looks_of(scene) == looked + SCENE_FPS
