"""The teacher's inner maps: made of the right crop, read where a random view's cells lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.training import guides
from models.training.augment import random_similarity
from models.training.faces import FACE_PX, MARGIN_PX
from models.training.guides import CHANNELS, LEVELS, Guide, Guides
from models.training.networks import EmbedderShape
from models.training.tests.conftest import pooling_teacher
from models.training.train_embedder import Batch, EmbedderRun, Trainee


def centres(level: guides.Level) -> np.ndarray:
    """`(cells, cells, 2)`: where on the stored face the teacher's cells have their centres."""
    back = guides.teacher_to_face()
    x, y = np.meshgrid(*[np.arange(level.cells) * level.stride] * 2)
    face = back @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    return face.T.reshape(level.cells, level.cells, 2)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Maps of one face that hold where their own cells lie on it, or on its mirror image."""
    for level in LEVELS:
        maps = np.zeros((1, 2, level.cells, level.cells, CHANNELS), np.int8)
        for side in (0, 1):
            maps[0, side, ..., :2] = np.rint(centres(level))
        np.save(guides.stored(tmp_path, level), maps)
    return tmp_path


@pytest.mark.parametrize("seed", range(8))
def test_a_students_cell_is_told_what_the_teacher_saw_at_its_place(cache: Path, seed: int) -> None:
    view = random_similarity(np.random.default_rng(seed), FACE_PX, MARGIN_PX, 112)
    found = Guides(cache).of([0], [view], 112)
    for guide, level in zip(found, LEVELS, strict=True):
        cells = 112 // level.stride
        x, y = np.meshgrid(*[np.arange(cells) * level.stride] * 2)
        expected = (view @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])).reshape(2, cells, -1)
        if guides.mirrors(view):
            expected[0] = FACE_PX - 1 - expected[0]
        seen = guide.maps[0, :2].numpy() * guides.STEPS_PER_DEVIATION
        edge = centres(level)
        inner = (expected >= edge[0, 0, :, None, None]) & (expected <= edge[-1, -1, :, None, None])
        inner = inner.all(axis=0)
        assert inner.sum() > 0.5 * inner.size
        assert np.abs(seen - expected)[:, inner].max() < 1.0
        assert guide.inside[0, 0].numpy()[inner].all()


def test_both_kinds_of_view_were_among_those_tried() -> None:
    views = [
        random_similarity(np.random.default_rng(seed), FACE_PX, MARGIN_PX, 112) for seed in range(8)
    ]
    assert {guides.mirrors(view) for view in views} == {True, False}


def test_the_distance_leaves_out_cells_that_the_teacher_never_saw() -> None:
    maps = torch.zeros(2, CHANNELS, 3, 3)
    inside = torch.ones(2, 1, 3, 3)
    inside[:, :, 0] = 0
    given = maps.clone()
    given[:, :, 0] = 9.0
    assert float(Guide(maps, inside).distance(given)) == 0
    given[:, :, 1] = 1.0  # one of two rows that count is off by one everywhere
    assert float(Guide(maps, inside).distance(given)) == pytest.approx(0.5)


def pool(folder: Path) -> None:
    """Three faces that are dark on their left and bright on their right, each another shade."""
    images = np.zeros((3, FACE_PX, FACE_PX, 3), np.uint8)
    for row, bright in enumerate((80, 160, 240)):
        images[row, :, FACE_PX // 2 :] = bright
    np.save(folder / "images.npy", images)


def test_maps_are_made_of_the_face_and_of_its_mirror_image(tmp_path: Path) -> None:
    pool(tmp_path)
    teacher = pooling_teacher(tmp_path, tuple(level.node for level in LEVELS))
    assert not Guides.made(tmp_path)
    guides.prepare(tmp_path, teacher, batch=2)
    assert Guides.made(tmp_path)
    for level in LEVELS:
        maps = np.load(guides.stored(tmp_path, level))
        assert maps.shape == (3, 2, level.cells, level.cells, CHANNELS)
        half = level.cells // 2
        left, right = maps[:, :, :, : half - 1], maps[:, :, :, half + 1 :]
        assert (right[:, 0].min(axis=(1, 2)) > left[:, 0].max(axis=(1, 2))).all()
        assert (right[:, 1].max(axis=(1, 2)) < left[:, 1].min(axis=(1, 2))).all()


def test_another_teacher_is_refused_by_name(tmp_path: Path) -> None:
    pool(tmp_path)
    teacher = pooling_teacher(tmp_path, ("some", "layer"))
    with pytest.raises(ValueError, match=r"teacher\.xml: has no layer 605"):
        guides.prepare(tmp_path, teacher)


def test_training_brings_the_students_maps_closer_to_the_teachers() -> None:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    images = torch.randn(4, 3, 64, 64)
    maps = [
        torch.from_numpy(rng.normal(size=(4, CHANNELS, 64 // level.stride, 64 // level.stride)))
        for level in LEVELS
    ]
    targets = torch.nn.functional.normalize(torch.randn(4, 128))
    batch = Batch(
        images, targets, tuple(Guide(m.float(), torch.ones_like(m[:, :1]).float()) for m in maps)
    )
    shape = EmbedderShape(stem=8, stages=((16, 1), (24, 1), (32, 1)), neck=32)
    trainee = Trainee(shape, EmbedderRun(sizes=((1.0, 64),), guide=2.0), None)

    def distance() -> float:
        with torch.no_grad():
            hints = trainee.hints(trainee.model.with_maps(images)[1])
        return sum(float(g.distance(h)) for g, h in zip(batch.guides, hints, strict=True))

    before = distance()
    for _ in range(20):
        trainee.step(batch, targets, 3e-3)
    assert distance() < 0.9 * before
