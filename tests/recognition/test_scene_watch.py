"""What is noticed of a camera's pictures, and what is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeface.recognition.scene_watch import (
    ACCEPT_S,
    COVERED_S,
    DEFOCUSED_S,
    LEARN_S,
    MOVED_S,
    OTHER_LIGHT_S,
    SUDDEN_S,
    CameraView,
    FrozenWatch,
    SceneWatch,
    Troubles,
)
from edgeface.recognition.values import Box, Image
from tests.support.cameras import simulated

SIZE = (320, 180)
SETTLED_S = 90.0
"""So long the recent picture takes to follow."""


def place(seed: int = 1) -> Image:
    """Somewhere with shelves, doors and boxes, seen sharply."""
    rng = np.random.default_rng(seed)
    width, height = SIZE
    image = np.full((height, width, 3), rng.integers(90, 180), np.uint8)
    for _ in range(25):
        x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
        w, h = (int(side) for side in rng.integers(8, 90, 2))
        shade = int(rng.integers(20, 235))
        cv2.rectangle(image, (x, y), (x + w, y + h), (shade, shade, shade), -1)
    return image


WALL: Image = np.full((SIZE[1], SIZE[0], 3), 215, np.uint8)


def dimmed(image: Image, gain: float) -> Image:
    return np.clip(image * np.float32(gain), 0, 255).astype(np.uint8)


def lit_from(image: Image, left: float, right: float) -> Image:
    shade = np.linspace(left, right, image.shape[1], dtype=np.float32)[None, :, None]
    return np.clip(image * shade, 0, 255).astype(np.uint8)


def blurred(image: Image, sigma: float) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), np.uint8)


def shifted(image: Image, x: int, y: int = 0) -> Image:
    matrix = np.array([[1.0, 0.0, x], [0.0, 1.0, y]])
    moved = cv2.warpAffine(image, matrix, SIZE, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


def with_somebody(image: Image) -> Image:
    image = image.copy()
    cv2.ellipse(image, (160, 150), (45, 100), 0, 0, 360, (50, 60, 70), -1)
    return image


class Camera:
    """One with a sensor's noise, and what watches it."""

    def __init__(self, view: CameraView | None = None, noise: float = 3.0) -> None:
        self.watch = SceneWatch(view)
        self.noise = noise
        self.rng = np.random.default_rng(4)
        self.bank = self.rng.normal(0, 1, (SIZE[1] + 40, SIZE[0] + 40, 3)).astype(np.float32)
        self.time_s = 100.0
        self.views = 0

    def noisy(self, picture: Image) -> Image:
        y, x = self.rng.integers(0, 40, 2)
        noise = self.bank[y : y + SIZE[1], x : x + SIZE[0]] * np.float32(self.noise)
        return np.clip(picture + noise, 0, 255).astype(np.uint8)

    def see(
        self, picture: Image, for_s: float, faces: Sequence[Box] = (), every_s: float = 1.0
    ) -> Troubles:
        """Look at the same for so long; what is wrong at the end."""
        for _ in range(round(for_s / every_s)):
            self.time_s += every_s
            self.views += self.watch.look(self.noisy(picture), faces, self.time_s)
        return self.watch.troubles

    def learn(self, picture: Image) -> None:
        assert self.see(picture, LEARN_S + 5) == Troubles()
        assert self.watch.view is not None


FINE = Troubles()


def test_equal_pictures_are_frozen_and_the_first_other_one_ends_it() -> None:
    watch, camera = FrozenWatch(4.0), Camera()
    old = camera.noisy(place())
    found = [watch.trouble(old.copy(), step / 10) for step in range(60)]
    assert found[:40] == [None] * 40
    assert all(text is not None and "frozen" in text for text in found[40:])
    assert watch.trouble(camera.noisy(place()), 6.1) is None
    assert watch.trouble(old, 6.2) is None


def test_one_pixel_is_enough_not_to_be_frozen() -> None:
    watch = FrozenWatch(1.0)
    image = place()
    for step in range(50):
        image = image.copy()
        image[7, 9] = step
        assert watch.trouble(image, step / 10) is None


def test_who_stands_still_before_a_sensor_is_not_frozen() -> None:
    watch, camera = FrozenWatch(1.0), Camera(noise=0.5)
    somebody = with_somebody(place())
    assert all(watch.trouble(camera.noisy(somebody), step / 10) is None for step in range(100))


def test_the_simulated_camera_is_never_frozen_and_replayed_it_is(tmp_path: Path) -> None:
    photograph = tmp_path / "visitor.png"
    cv2.imwrite(str(photograph), np.full((300, 240, 3), (60, 120, 235), np.uint8))
    source: Any = simulated(photograph, size=SIZE, fps=10, visit_s=2.0, gap_s=2.0, loop=True)
    watch = FrozenWatch(1.0)
    assert all(watch.trouble(source.render(n), n / 10) is None for n in range(80))
    still = source.render(80)
    assert [watch.trouble(still, 8 + n / 10) is None for n in range(20)] == [True] * 10 + [
        False
    ] * 10


def test_a_covered_lens_is_told_within_5_s_and_cleared_at_once() -> None:
    camera = Camera(noise=5.0)
    camera.see(place(), 20)
    assert camera.see(dimmed(place(), 0.0), COVERED_S + 1).covered is not None
    assert "black" in str(camera.watch.troubles.covered)
    assert camera.see(place(), 1) == FINE


def test_a_hand_over_the_lens_is_told_although_it_is_not_black() -> None:
    camera = Camera()
    camera.learn(place())
    hand = blurred(lit_from(np.full_like(WALL, 90), 0.8, 1.2), 20)
    assert "without any structure" in str(camera.see(hand, COVERED_S + 1).covered)
    assert camera.see(place(), 2 * MOVED_S) == FINE


def test_a_white_wall_is_no_covered_lens_and_has_no_place() -> None:
    camera = Camera()
    camera.learn(WALL)
    assert camera.see(WALL, 600) == FINE
    assert camera.see(dimmed(WALL, 0.4), 600) == FINE


def test_dusk_and_night_are_no_alarm_and_neither_is_the_morning() -> None:
    camera = Camera(noise=4.0)
    camera.learn(place())
    for gain in np.geomspace(1.0, 0.02, 60):
        assert camera.see(dimmed(place(), gain), 2 * SUDDEN_S / 20) == FINE, gain
    assert camera.see(dimmed(place(), 0.0), 3600, every_s=20) == FINE
    for gain in np.geomspace(0.02, 1.0, 20):
        assert camera.see(dimmed(place(), gain), SUDDEN_S / 4) == FINE, gain


def test_a_dim_night_with_a_noisy_sensor_is_no_alarm_from_the_start() -> None:
    camera = Camera(noise=10.0)
    assert camera.see(dimmed(place(), 0.25), 900) == FINE


@pytest.mark.parametrize("gain", [1.0, 0.5])
def test_a_lens_out_of_focus_is_told_after_minutes_and_cleared(gain: float) -> None:
    camera = Camera()
    camera.learn(place())
    out = dimmed(blurred(place(), 3.5), gain)
    assert camera.see(out, DEFOCUSED_S) == FINE
    assert "out of focus" in str(camera.see(out, SETTLED_S).defocused)
    assert camera.watch.troubles.moved is None
    camera.see(out, 3600, every_s=10)
    assert camera.watch.troubles.defocused is not None, "it is not learned"
    assert camera.see(place(), 2 * SETTLED_S) == FINE


MOVES: list[Any] = [
    pytest.param(lambda image: shifted(image, 20), id="nudged"),
    pytest.param(lambda image: shifted(image, 0, -25), id="tilted"),
    pytest.param(lambda _: place(2), id="elsewhere"),
    pytest.param(lambda image: dimmed(shifted(image, 24), 0.5), id="moved in other light"),
]
LIGHTS: list[Any] = [
    pytest.param(lambda image: dimmed(image, 0.4), id="dim"),
    pytest.param(lambda image: dimmed(image, 1.5), id="bright"),
    pytest.param(lambda image: lit_from(image, 0.3, 1.3), id="from the right"),
    pytest.param(lambda image: lit_from(image, 1.3, 0.3), id="from the left"),
    pytest.param(with_somebody, id="somebody who stays"),
]


@pytest.mark.parametrize("move", MOVES)
def test_a_moved_camera_is_told_and_cleared_when_it_is_back(
    move: Callable[[Image], Image],
) -> None:
    camera = Camera()
    camera.learn(place())
    assert camera.see(move(place()), MOVED_S - 1) == FINE
    assert "another place" in str(camera.see(move(place()), SETTLED_S).moved)
    assert camera.see(place(), 2 * SETTLED_S) == FINE


@pytest.mark.parametrize("light", LIGHTS)
def test_another_light_and_somebody_who_stays_are_no_move(light: Callable[[Image], Image]) -> None:
    camera = Camera()
    camera.learn(place())
    assert camera.see(light(place()), 900, every_s=3) == FINE


def test_a_move_is_noticed_after_a_start_by_the_view_that_was_kept() -> None:
    camera = Camera()
    camera.learn(place())
    after = Camera(camera.watch.view)
    assert after.see(shifted(place(), 24), MOVED_S + SETTLED_S).moved is not None
    assert Camera(camera.watch.view).see(place(), MOVED_S + SETTLED_S) == FINE


def test_after_a_day_the_new_place_is_the_cameras() -> None:
    camera = Camera()
    camera.learn(place())
    camera.see(place(2), MOVED_S + SETTLED_S)
    assert camera.see(place(2), ACCEPT_S - MOVED_S - SETTLED_S - 60, every_s=60).moved is not None
    views = camera.views
    assert camera.see(place(2), 300, every_s=60) == FINE
    assert camera.views == views + 1
    assert camera.see(place(), MOVED_S + SETTLED_S).moved is not None


def test_the_light_of_the_second_night_is_known() -> None:
    """An infrared lamp at night turns light and dark over; in the first night nobody knows it."""
    camera = Camera()
    camera.learn(place())
    night: Image = 255 - place()
    assert camera.see(night, OTHER_LIGHT_S + 600, every_s=10).moved is not None
    assert camera.see(place(), 3 * SETTLED_S) == FINE
    assert camera.see(night, OTHER_LIGHT_S, every_s=10) == FINE
    assert camera.see(place(), 600) == FINE
    assert camera.see(place(2), MOVED_S + SETTLED_S).moved is not None


def test_who_turns_the_camera_away_for_a_moment_teaches_it_nothing() -> None:
    camera = Camera()
    camera.learn(place())
    camera.see(place(2), 600)
    assert camera.see(place(), 3 * SETTLED_S) == FINE
    assert camera.see(place(2), MOVED_S + SETTLED_S).moved is not None


def test_the_view_that_is_kept_is_tiny_and_shows_no_face() -> None:
    face = place()
    cv2.circle(face, (160, 60), 20, (250, 250, 250), -1)
    box = Box(142.0, 40.0, 178.0, 80.0)
    camera = Camera()
    camera.see(face, LEARN_S + 5, [box])
    view = camera.watch.view
    assert view is not None
    (picture,) = view.pictures
    assert picture.shape == (36, 64)
    assert np.ptp(picture[8:16, 28:36]) < 12, "what was always a face was never taken"
    empty = Camera()
    empty.see(face, LEARN_S + 5)
    assert empty.watch.view is not None
    assert np.ptp(empty.watch.view.pictures[0][8:16, 28:36]) > 50, "else the test shows nothing"


def test_the_simulated_door_raises_nothing_with_people_coming_and_going(tmp_path: Path) -> None:
    photograph = tmp_path / "visitor.png"
    cv2.imwrite(str(photograph), np.full((300, 240, 3), (60, 120, 235), np.uint8))
    source: Any = simulated(photograph, size=SIZE, fps=1.0, visit_s=4.0, gap_s=1.5, loop=True)
    watch = SceneWatch()
    for number in range(900):
        watch.look(source.render(number), [], float(number))
        assert watch.troubles == Troubles(), number
    assert watch.view is not None
