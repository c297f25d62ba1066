"""The simulated camera: a person walks up to the door, the same way for the same seed."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeface.base.clock import ManualClock
from edgeface.base.errors import CameraError, EndOfStreamError
from edgeface.capture.simulated import SimulatedSource
from tests.support import cameras
from tests.support.cameras import visits
from tests.support.yardstick import in_yardsticks

WAIT_S = 10.0
VISIT_S, GAP_S, FPS = 4.0, 1.5, 15.0


def simulated(photographs: list[Path], **changed: Any) -> SimulatedSource:
    return cameras.simulated(
        *photographs, **{"size": (320, 180), "clock": ManualClock(), **changed}
    )


def visitor_px(image: np.ndarray) -> int:
    """Pixels of the test photograph's orange, which the hallway has not."""
    blue, _, red = cv2.split(image.astype(np.int16))
    return int(np.count_nonzero(red - blue > 90))


def at(time_into_visit_s: float, visit: int = 0) -> int:
    """The frame number."""
    return round((visit * (GAP_S + VISIT_S) + GAP_S + time_into_visit_s) * FPS)


def test_the_visitor_grows_while_he_walks_up_and_is_gone_between_visits(photograph: Path) -> None:
    source = simulated([photograph])
    assert visitor_px(source.render(0)) == 0
    walk = [visitor_px(source.render(at(t))) for t in (0.5, 1.0, 1.5, 2.0, 2.4)]
    assert walk == sorted(walk)
    assert walk[-1] > 3 * walk[0] > 0
    assert visitor_px(source.render(at(VISIT_S + 0.5))) == 0


def test_the_visitor_turns_his_head_and_sways(photograph: Path) -> None:
    source = simulated([photograph])
    poses = [source._pose(0, at(t), source._load(0)) for t in np.arange(0.4, 3.4, 0.2)]
    assert np.ptp([pose.roll_deg for pose in poses]) > 3
    assert np.ptp([pose.x_px for pose in poses]) > 5
    assert max(pose.defocus_px for pose in poses) > 0.35
    leaving = source._pose(0, at(3.85), source._load(0))
    assert leaving.motion_px > max(pose.motion_px for pose in poses)


def test_exposure_and_noise_change(photograph: Path) -> None:
    source = simulated([photograph])
    empty = [n for n in range(0, 200, 10) if visits(photograph).at(n) is None]
    means = [float(source.render(n).mean()) for n in empty]
    assert max(means) > 1.08 * min(means)
    first, second = source.render(1).astype(int), source.render(2).astype(int)
    assert 1.5 < np.std(first - second) / np.sqrt(2) < 8


def test_a_frame_depends_on_the_seed_and_its_number_alone(photograph: Path) -> None:
    one, other, reseeded = (simulated([photograph], seed=seed) for seed in (5, 5, 6))
    other.render(at(1.0))
    number = at(2.0)
    assert np.array_equal(one.render(number), other.render(number))
    assert not np.array_equal(one.render(number), reseeded.render(number))


def test_visitors_come_in_turn_and_the_frame_read_tells_who(photograph: Path) -> None:
    plan = visits(photograph, photograph, fps=5)
    seen: list[int | None] = []
    with simulated([photograph, photograph], fps=5) as source:
        for _ in range(math.ceil((2 * (GAP_S + VISIT_S) + GAP_S) * 5)):
            frame = source.read(WAIT_S)
            if not seen or seen[-1] != plan.at(frame.sequence):
                seen.append(plan.at(frame.sequence))
        with pytest.raises(EndOfStreamError):
            source.read(WAIT_S)
    assert seen == [None, 0, None, 1, None]


def test_a_loop_goes_round_the_photographs(photograph: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.png"
    plan = visits(photograph, second, loop=True)
    assert plan.at(at(1.0, visit=7)) == 7
    assert [plan.photograph_of(n) for n in range(3)] == [photograph, second, photograph]


def test_after_the_end_it_stays_ended(photograph: Path) -> None:
    clock = ManualClock()
    with simulated([photograph], clock=clock) as source:
        source.read(WAIT_S)
        with suppress(EndOfStreamError):
            for _ in range(9):  # seven seconds, of which a late reader skips one at a time
                clock.sleep(60)
                source.read(WAIT_S)
        for _ in range(2):
            with pytest.raises(EndOfStreamError):
                source.read(WAIT_S)


def test_missed_frames_are_dropped_by_number(photograph: Path) -> None:
    clock = ManualClock()
    with simulated([photograph], clock=clock) as source:
        assert source.read(WAIT_S).sequence == 0
        clock.sleep(10.5 / FPS)
        assert source.read(WAIT_S).sequence == 10


def test_the_background_has_no_border_of_the_photograph(photograph: Path) -> None:
    """Its edge is soft: nowhere does the picture jump from one column to the next."""
    source = simulated([photograph], size=(1280, 720))
    image = source.render(at(2.6))
    row = cv2.GaussianBlur(image, (1, 9), 0)[650, :, 2].astype(int)
    assert np.abs(np.diff(row)).max() < 40


@pytest.mark.parametrize(
    "shape", [(900, 300), (300, 900), (40, 30), (3000, 2000)], ids=["tall", "wide", "tiny", "large"]
)
def test_any_portrait_can_visit(tmp_path: Path, shape: tuple[int, int]) -> None:
    path = tmp_path / "visitor.png"
    cv2.imwrite(str(path), np.full((*shape, 3), (60, 120, 235), np.uint8))
    source = simulated([path])
    for t in (0.05, 1.0, 2.6, 3.9):
        assert source.render(at(t)).shape == (180, 320, 3)
    assert visitor_px(source.render(at(2.6))) > 100


def test_a_file_that_is_no_photograph_is_named(tmp_path: Path) -> None:
    path = tmp_path / "visitor.jpg"
    path.write_text("hello")
    with pytest.raises(CameraError, match=r"visitor\.jpg: not a picture"):
        simulated([path]).open()


def test_without_a_photograph_the_setting_is_named() -> None:
    with pytest.raises(CameraError, match=r"camera\.photographs"):
        simulated([]).open()


def test_a_large_frame_costs_no_more_than_eleven_blurs_of_it(photograph: Path) -> None:
    """Thirty a second on one core, where a blur takes three milliseconds."""
    source = simulated([photograph], size=(1280, 720))
    source.render(at(1.0))
    assert in_yardsticks(lambda n: source.render(at(0.1 + n * 0.13)), 30) < 11


def test_an_exposure_makes_the_pictures_lighter_or_darker_as_a_cameras_would(
    photograph: Path,
) -> None:
    source = simulated([photograph], size=(160, 96))
    usual = source.render(3).mean()
    for ev, factor in ((1.0, 2 ** (1 / 2.2)), (-1.0, 2 ** (-1 / 2.2)), (0.0, 1.0)):
        source.expose(ev)
        assert source.render(3).mean() / usual == pytest.approx(factor, abs=0.08)
