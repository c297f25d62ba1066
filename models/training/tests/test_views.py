"""Views: the plain crop, heads that are turned, what covers a face, and the teacher beside them."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from edgeface.base.errors import ModelError
from edgeface.evaluation.coverings import COVERINGS, against_the_light, cover, near_infrared
from edgeface.recognition.alignment import ARCFACE, RETAIL, similarity
from models.training import teacher
from models.training.embedder import STREAM, STRIDE
from models.training.faces import DIVERSE_PX, FACE_PX, MARGIN_PX, POOLS
from models.training.tests.conftest import pooling_teacher
from models.training.turned_head import turned
from models.training.views import CROP_PX, crop_to_face, jitter, random_view

STILL = np.array([[1.0, 0, 0], [0, 1, 0]])


def dots(side: int) -> np.ndarray:
    """A stored face on which the landmarks alone are bright."""
    face = np.zeros((side, side, 3), np.uint8)
    points = RETAIL.template @ crop_to_face(side)[:, :2].T + crop_to_face(side)[:, 2]
    for x, y in points:
        cv2.circle(face, (round(float(x)), round(float(y))), 2, (255, 255, 255), -1)
    return face


@pytest.mark.parametrize("side", POOLS.values())
def test_the_plain_view_has_the_landmarks_on_the_teachers_template(side: int) -> None:
    view = random_view(np.random.default_rng(0), dots(side), 0.0, 0.0)
    assert view.shape == (CROP_PX, CROP_PX, 3)
    for x, y in RETAIL.template:
        assert view[round(float(y)), round(float(x))].min() > 100


def test_the_first_pool_is_arcfaces_crop_with_a_margin() -> None:
    found = similarity(RETAIL.template, ARCFACE.template + np.float32(MARGIN_PX))
    assert crop_to_face(FACE_PX) == pytest.approx(found)
    with pytest.raises(ValueError, match="no pool has faces of 96 px"):
        crop_to_face(96)


def test_a_head_that_is_not_turned_stays_as_it_is() -> None:
    source, landmarks = turned(0.0, 0.0, STILL)
    x, y = np.meshgrid(np.arange(CROP_PX), np.arange(CROP_PX))
    assert source == pytest.approx(np.stack([x, y], axis=-1), abs=1e-6)
    assert landmarks == pytest.approx(RETAIL.template, abs=1e-4)


@pytest.mark.parametrize("yaw", [-60, -30, 30, 60])
def test_a_turned_head_shows_one_cheek_and_is_aligned_by_its_landmarks(yaw: float) -> None:
    source, landmarks = turned(math.radians(yaw), 0.0, STILL)
    fitted = similarity(landmarks.astype(np.float32), RETAIL.template)
    assert fitted == pytest.approx(STILL, abs=1e-4)
    middle = float(source[66, 56:73, 0].mean())
    # x to the right, z towards the camera: a positive turn brings the left half to the front.
    assert middle < 61 if yaw > 0 else middle > 67


def test_every_landmark_is_found_where_a_turned_view_says() -> None:
    source, landmarks = turned(math.radians(25), math.radians(-6), STILL)
    for (x, y), wanted in zip(landmarks, RETAIL.template, strict=True):
        shown = source[round(float(y)), round(float(x))]
        assert np.abs(shown - wanted).max() < 9  # they stand out from the ellipsoid


def test_a_jitter_of_strength_zero_changes_nothing() -> None:
    assert jitter(np.random.default_rng(0), 0.0) == pytest.approx(STILL)
    assert {np.sign(np.linalg.det(jitter(np.random.default_rng(i), 1.0)[:, :2])) for i in range(9)}


@pytest.mark.parametrize("covering", COVERINGS, ids=lambda covering: covering.__name__)
def test_a_covering_lies_on_the_face_and_not_on_everything(covering: object) -> None:
    face = np.full((CROP_PX, CROP_PX, 3), 255, np.uint8)
    covering(np.random.default_rng(1), face, RETAIL.template)  # type: ignore[operator]
    changed = (face != 255).any(axis=2).mean()
    assert 0.005 < changed < 0.6


def test_light_and_coverings_leave_the_picture_they_were_given() -> None:
    face = np.random.default_rng(0).integers(0, 256, (CROP_PX, CROP_PX, 3), dtype=np.uint8)
    kept, rng = face.copy(), np.random.default_rng(0)
    grey = near_infrared(rng, face)
    assert (grey[..., 0] == grey[..., 2]).all()
    assert against_the_light(rng, face).shape == face.shape
    assert not np.array_equal(cover(rng, face, RETAIL.template), face)
    assert np.array_equal(face, kept)


@pytest.mark.parametrize("side", [FACE_PX, DIVERSE_PX])
def test_views_differ_and_are_the_same_for_the_same_seed(side: int) -> None:
    face = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    views = [random_view(np.random.default_rng(seed), face) for seed in (1, 1, 2)]
    assert np.array_equal(views[0], views[1])
    assert not np.array_equal(views[0], views[2])


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A pool of eight faces and their bank."""
    rng = np.random.default_rng(0)
    for name, side in POOLS.items():
        np.save(tmp_path / f"{name}.npy", rng.integers(0, 256, (8, side, side, 3), dtype=np.uint8))
        np.savez(tmp_path / f"{name}.npz", sources=["made"] * 8, labels=[""] * 8)
    axes = np.linalg.qr(rng.normal(size=(256, 128)))[0].astype(np.float32)
    np.savez(tmp_path / "bank.npz", targets=axes[:8, :], axes=axes)
    return tmp_path


def test_a_lesson_has_every_channel_normalised_and_channels_last(cache: Path) -> None:
    xml = pooling_teacher(cache)
    teacher.prepare(cache, xml, batch=4, count=8)
    views = [np.full((CROP_PX, CROP_PX, 3), level, np.uint8) for level in (9, 255)]
    lesson = teacher.Teacher(cache, xml, 2).lesson(views)
    facts = np.load(cache / teacher.STATISTICS)
    for place, (width, stride) in enumerate(zip(STREAM, STRIDE, strict=True)):
        found = lesson.maps[place]
        assert found.shape == (2, width, CROP_PX // stride, CROP_PX // stride)
        assert found.is_contiguous(memory_format=torch.channels_last)
        white = 255 * 3 * np.linspace(0.1, 1, width)
        wanted = (white - facts[f"mean{place}"]) / facts[f"deviation{place}"]
        assert found[1, :, 1, 1].float().numpy() == pytest.approx(wanted, rel=0.02)
    assert lesson.targets.norm(dim=1).numpy() == pytest.approx(1.0, abs=1e-5)


def test_another_teacher_is_refused_by_name(cache: Path) -> None:
    xml = pooling_teacher(cache, ("some", "layers", "of", "another", "kind", "of", "network"))
    with pytest.raises(ModelError, match=r"teacher\.xml: has no layer 430"):
        teacher.prepare(cache, xml)


def test_what_is_no_model_is_named(cache: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        teacher.prepare(cache, cache / "nowhere.xml")
    (cache / "text.xml").write_text("not a model")
    with pytest.raises(ModelError, match=r"text\.xml: not an OpenVINO model"):
        teacher.prepare(cache, cache / "text.xml")
