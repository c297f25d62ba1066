"""What is held up to the simulated camera: paper and screens in perspective, films, heads."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeface.base.clock import ManualClock
from edgeface.base.errors import CameraError
from edgeface.capture import scene
from edgeface.capture.held import HELD, Held
from edgeface.capture.presenting import Footage, Presented
from edgeface.capture.simulated import SimulatedSource
from edgeface.capture.solid import rotation
from edgeface.demo.photographs import COLLINS
from edgeface.settings.camera import Presentation, SimulatedCamera
from tests.support import cameras

FLAT = scene.Pose(height_px=240, x_px=320, y_px=240, roll_deg=0, opacity=1, motion_px=0,
                  defocus_px=0)  # fmt: skip
WHITE = np.full((120, 90, 3), 255, np.uint8)
COLORS = (40, 120, 200)
"""Gray levels of the test film's pictures."""


def drawn(species: str, pose: scene.Pose, picture: np.ndarray = WHITE) -> np.ndarray:
    image = np.zeros((480, 640, 3), np.uint8)
    Held(species, picture).draw(image, pose)
    return image


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three pictures, half a second each."""
    path = tmp_path_factory.mktemp("films") / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (160, 120))
    for gray in COLORS:
        for _ in range(5):
            writer.write(np.full((120, 160, 3), gray, np.uint8))
    writer.release()
    return path


@given(
    yaw=st.floats(-30, 30),
    pitch=st.floats(-30, 30),
    roll=st.floats(-20, 20),
    x=st.floats(220, 420),
    y=st.floats(200, 280),
)
def test_a_held_print_is_where_a_pinhole_camera_sees_its_corners(
    yaw: float, pitch: float, roll: float, x: float, y: float
) -> None:
    """The focal length is 640 px; the print is 100 by 130 px with its border, if 120 are 240."""
    pose = replace(FLAT, yaw_deg=yaw, pitch_deg=pitch, roll_deg=roll, x_px=x, y_px=y)
    image = drawn("print", pose)
    outline, _ = cv2.findContours(
        (image[..., 1] > 110).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
    )
    found = max(outline, key=cv2.contourArea)[:, 0, :]
    depth = 640 / 240
    place = np.array([(x - 320) / 240, (y - 240) / 240, depth])
    for side_x, side_y in itertools.product((-1, 1), (-1, 1)):
        corner = np.array([side_x * 100 / 240, side_y * 130 / 240, 0])
        at = rotation(yaw, pitch, roll) @ corner + place
        expected = 640 * at[:2] / at[2] + (320, 240)
        assert np.hypot(*(found - expected).T).min() < 4


def test_paper_is_white_and_a_screen_has_a_dark_border() -> None:
    picture = np.full((120, 90, 3), 130, np.uint8)
    for species, dark in (("print", False), ("phone", True), ("tablet", True)):
        row = drawn(species, FLAT, picture)[240].mean(axis=1)
        inside = row[np.abs(np.arange(640) - 320) < 30].mean()
        border = row[np.flatnonzero(row > 8)[:4]].mean()
        assert (border < inside - 60) == dark, species


def test_a_bent_print_is_curved() -> None:
    """Its upper edge, level while it is flat, is not straight when it leans back."""
    heights = []
    for bend in (0.0, 1.2):
        image = drawn("bent_print", replace(FLAT, pitch_deg=25, bend=bend))
        tops = [int(np.flatnonzero(image[:, x, 1] > 110)[0]) for x in (270, 320, 370)]
        heights.append(abs(tops[1] - (tops[0] + tops[2]) / 2))
    assert heights[0] <= 1
    assert heights[1] > 3


def test_moire_and_glare_move_over_a_screen_while_paper_stays_as_it_is() -> None:
    picture = np.full((120, 90, 3), 130, np.uint8)
    poses = (FLAT, replace(FLAT, yaw_deg=6))
    for species, changes in (("print", False), ("tablet", True)):
        middles = [drawn(species, pose, picture)[200:280, 300:340].astype(int) for pose in poses]
        assert (np.abs(middles[1] - middles[0]).mean() > 3) == changes, species


@pytest.mark.parametrize("species", HELD)
@pytest.mark.parametrize(("x", "y"), [(-5000, 240), (320, 9000)], ids=["left", "below"])
def test_out_of_view_nothing_is_drawn(species: str, x: float, y: float) -> None:
    assert not drawn(species, replace(FLAT, x_px=x, y_px=y)).any()


def test_a_film_plays_in_a_loop_and_knows_every_moment(film: Path) -> None:
    footage = Footage(film)
    for time_s in (0.0, 0.6, 1.2, 1.6, 3.1, 0.1, 1.4, 0.7):
        gray = COLORS[int(time_s * 10) % 15 // 5]
        assert footage.at(time_s).mean() == pytest.approx(gray, abs=3), time_s


def test_a_file_that_is_no_film_is_named(tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_text("hello")
    with pytest.raises(CameraError, match=r"film\.mp4: cannot be played"):
        Presented(path, "phone")


def test_a_head_needs_a_face(photograph: Path) -> None:
    with pytest.raises(CameraError, match=r"camera\.presentations: no face is found in .*visitor"):
        Presented(photograph, "head")


def simulated(path: Path, shown: tuple[Presentation, ...], **wanted: Any) -> SimulatedSource:
    return cameras.simulated(
        path, presentations=shown, size=(320, 180), gap_s=0.0, clock=ManualClock(), **wanted
    )


@pytest.mark.parametrize("shown", ["head", "print", "bent_print", "phone", "tablet"])
def test_the_camera_shows_it_in_every_frame_and_the_same_for_the_same_seed(
    shown: Presentation,
) -> None:
    one, other, empty = (
        simulated(COLLINS, (shown,), seed=3, **extra) for extra in ({}, {}, {"visit_s": 1e6})
    )
    empty.render(0)
    for number in (15, 30, 42):
        image = one.render(number)
        assert np.array_equal(image, other.render(number))
        assert np.abs(image.astype(int) - empty.render(0)).mean() > 3


def test_the_presentations_go_round_beside_the_photographs(film: Path) -> None:
    source = simulated(COLLINS, ("head", "phone"), loop=True)
    assert [source._load(visit).presentation for visit in range(3)] == ["head", "phone", "head"]
    playing = simulated(film, ("tablet",), seed=2)
    seen = [playing.render(number)[85:110, 150:170].mean() for number in (34, 41, 49)]
    assert np.ptp(seen) > 30


def test_a_film_that_nothing_can_show_is_an_error_of_the_settings() -> None:
    def camera(*shown: str) -> SimulatedCamera:
        return SimulatedCamera(
            source="simulated",
            photographs=(Path("a.jpg"), Path("b.mp4")),
            presentations=shown,  # type: ignore[arg-type]
        )

    assert camera("print", "phone").presentations == ("print", "phone")
    for shown in (("print",), ("phone", "head"), ("cut_out",)):
        with pytest.raises(ValidationError, match=r"presentations shows b\.mp4 as"):
            camera(*shown)
