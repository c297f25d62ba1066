"""A head with depth, of one photograph: what the detector makes of its turns, and its parallax."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.capture import scene
from edgeface.capture.head import Head
from edgeface.capture.picture_file import read_picture
from edgeface.demo.photographs import COLLINS, HOPPER
from edgeface.inference.detector import Detector
from edgeface.inference.models import open_models
from edgeface.recognition.quality import head_pose
from edgeface.recognition.second_look import look, look_again
from edgeface.recognition.values import Face, Image
from edgeface.settings.models import ModelsSettings

AHEAD = scene.Pose(height_px=700, x_px=640, y_px=300, roll_deg=0, opacity=1, motion_px=0,
                   defocus_px=0)  # fmt: skip
PHOTOGRAPHS = pytest.mark.parametrize("path", [COLLINS, HOPPER], ids=["Collins", "Hopper"])


@pytest.fixture(scope="module")
def detector() -> Detector:
    return open_models(ModelsSettings(accelerator="cpu"))[0]


def seen(detector: Detector, image: Image) -> Face:
    (face,) = look(detector, image)
    return look_again(detector, image, face)


def drawn(head: Head, pose: scene.Pose) -> Image:
    image = scene.hallway((1280, 720), 1)
    head.draw(image, pose)
    return image


@PHOTOGRAPHS
def test_the_detector_sees_where_a_head_looks(detector: Detector, path: Path) -> None:
    photograph = read_picture(path)
    head = Head(photograph, seen(detector, photograph).landmarks)

    def angles(**turned: float) -> tuple[float, float, float]:
        return head_pose(seen(detector, drawn(head, replace(AHEAD, **turned))).landmarks)

    yaw, pitch, roll = angles()
    assert abs(yaw) < 10
    assert abs(roll) < 5
    assert 15 < angles(yaw_deg=25)[0] < 40
    assert -40 < angles(yaw_deg=-25)[0] < -15
    assert angles(pitch_deg=25)[1] > pitch + 2
    assert angles(pitch_deg=-25)[1] < pitch - 2
    assert 8 < angles(roll_deg=15)[2] < 25


def test_a_head_that_looks_ahead_is_where_its_pose_says(detector: Detector) -> None:
    photograph = read_picture(COLLINS)
    landmarks = seen(detector, photograph).landmarks
    image = drawn(Head(photograph, landmarks), AHEAD)
    eyes = seen(detector, image).landmarks[:2]
    assert np.allclose(eyes.mean(axis=0), (640, 300), atol=4)
    wide = np.hypot(*(landmarks[1] - landmarks[0])) * 700 / photograph.shape[0]
    assert np.hypot(*(eyes[1] - eyes[0])) == pytest.approx(wide, rel=0.06)


def test_a_turned_head_is_no_plane() -> None:
    """What lies between the eyes moves further than the eyes, and the ears the other way."""
    points = np.array([[100, 110], [150, 110], [125, 140], [105, 165], [145, 165]], np.float32)
    rng = np.random.default_rng(3)
    noise = cv2.GaussianBlur(rng.uniform(0, 255, (300, 250)).astype(np.float32), (0, 0), 2)
    speckled = np.clip(128 + 60 * (noise - noise.mean()) / noise.std(), 0, 255).astype(np.uint8)
    head = Head(np.dstack([speckled] * 3), points)
    pose = replace(AHEAD, height_px=600, y_px=360)
    ahead, turned = (drawn(head, replace(pose, yaw_deg=yaw))[..., 1] for yaw in (0, 6))
    still = np.zeros((*ahead.shape, 2), np.float32)
    flow = cv2.calcOpticalFlowFarneback(ahead, turned, still, 0.5, 4, 25, 3, 5, 1.1, 0)
    nose, eye, temple = (flow[360 + y, 640 + x, 0] for x, y in ((0, 50), (-50, 0), (-125, 0)))
    assert nose > eye + 2 > temple + 4


@pytest.mark.parametrize("x_px", [-4000.0, 640.0, 9000.0], ids=["left", "far below", "right"])
def test_out_of_view_nothing_is_drawn(x_px: float) -> None:
    head = Head(
        np.full((90, 80, 3), 200, np.uint8),
        np.array([[30, 30], [50, 30], [40, 40], [32, 55], [48, 55]], np.float32),
    )
    image = scene.hallway((320, 180), 1)
    before = image.copy()
    head.draw(image, replace(AHEAD, x_px=x_px, y_px=90 if x_px != 640 else 9000))
    assert np.array_equal(image, before)
