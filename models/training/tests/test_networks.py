"""What is exported is what was trained."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from models.training.embedder import STREAM, STRIDE, Embedder, EmbedderShape
from models.training.networks import Detector, DetectorShape, SameConv2d
from models.training.run import Average, Budget, cosine_rate
from models.training.scene_views import View, enlarged, targets
from models.training.train_detector import box_overlap, detection_loss

SMALL = EmbedderShape(stem=8, down=(8, 16, 16), blocks=(1, 1, 1, 1), hidden=(8, 8, 8), neck=32)


def small_embedder(normed: bool = False) -> Any:
    return shaken(Embedder(SMALL, normed))


def shaken(model: Any) -> Any:
    """Batch norms as after training: not the identity."""
    generator = torch.Generator().manual_seed(3)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d):
            part.running_mean.copy_(torch.randn(part.num_features, generator=generator) * 0.1)
            part.running_var.copy_(torch.rand(part.num_features, generator=generator) + 0.5)
    return model.eval()


@pytest.mark.parametrize("name", ["embedder", "detector"])
def test_keras_gives_what_torch_gives(name: str) -> None:
    export = pytest.importorskip("models.training.export")
    pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    if name == "embedder":
        model: nn.Module = small_embedder()
        twin = export.keras_embedder(model)
        images = rng.uniform(-1, 1, (2, 128, 128, 3)).astype(np.float32)
    else:
        shape = DetectorShape((8, 8), ((8, 1), (16, 1), (16, 1)), 8)
        model = Detector(shape)
        nn.init.normal_(model.lateral.weight)  # which begins as zero
        twin = export.keras_detector(model)
        images = rng.uniform(-1, 1, (2, 240, 320, 3)).astype(np.float32)
    assert export.prove_equal(model, twin, images) < 1e-4


def test_a_changed_weight_is_noticed_by_the_proof() -> None:
    export = pytest.importorskip("models.training.export")
    pytest.importorskip("keras")
    model = small_embedder()
    twin = export.keras_embedder(model)
    with torch.no_grad():
        model.seg[7].dense.weight[0] += 1
    images = np.ones((1, 128, 128, 3), np.float32)
    with pytest.raises(ValueError, match="embedding"):
        export.prove_equal(model, twin, images)


@pytest.mark.parametrize(("height", "width"), [(15, 20), (16, 16), (30, 40)])
def test_same_padding_gives_the_size_tensorflow_gives(height: int, width: int) -> None:
    layer = SameConv2d(1, 1, 3, 2, bias=False)
    out = layer(torch.zeros(1, 1, height, width))
    assert out.shape[2:] == (-(-height // 2), -(-width // 2))


def test_folding_batch_norm_changes_no_map() -> None:
    model = small_embedder(normed=True)
    images = torch.randn(2, 3, 128, 128, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before = list(model.maps(images))
        after = list(model.fold().maps(images))
    assert not [part for part in model.modules() if "BatchNorm" in type(part).__name__]
    assert set(model.state_dict()) == set(Embedder(SMALL).state_dict())
    for one, other in zip(before, after, strict=True):
        assert torch.allclose(one, other, atol=1e-4 * float(one.abs().max()))


def test_each_segment_ends_with_a_map_of_the_teachers_size() -> None:
    with torch.no_grad():
        *maps, embedding = small_embedder().maps(torch.zeros(1, 3, 128, 128))
    assert [tuple(found.shape[1:]) for found in maps] == [
        (width, 128 // stride, 128 // stride) for width, stride in zip(STREAM, STRIDE, strict=True)
    ]
    assert embedding.shape == (1, 128)


def test_targets_point_back_at_the_face() -> None:
    box = np.array([[100.0, 60.0, 160.0, 140.0]], np.float32)
    points = np.array([[[115, 90], [145, 90], [130, 105], [118, 120], [142, 120]]], np.float32)
    view = View(np.zeros((240, 320, 3), np.uint8), box, points, np.ones(1, np.float32))
    taught = targets(view)
    assert [int((level[..., 0] == 1).sum()) > 0 for level in taught] == [False, True, False]
    row, col = np.argwhere(taught[1][..., 0] == 1)[0]
    x, y = (col + 0.5) * 16, (row + 0.5) * 16
    cell = taught[1][row, col] * 16
    assert np.allclose([x - cell[1], y - cell[2], x + cell[3], y + cell[4]], box[0], atol=1e-3)
    assert np.allclose(cell[5:15].reshape(5, 2) + np.array([x, y]), points[0], atol=1e-3)


def test_an_ignored_face_is_neither_face_nor_background() -> None:
    box = np.array([[100.0, 60.0, 160.0, 140.0]], np.float32)
    view = View(
        np.zeros((240, 320, 3), np.uint8),
        box,
        np.full((1, 5, 2), np.nan, np.float32),
        np.zeros(1, np.float32),
    )
    for level in targets(view):
        assert set(np.unique(level[..., 0])) == {-1.0, 0.0}


def test_generalised_iou_of_two_hand_made_boxes() -> None:
    given = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0]])
    wanted = torch.tensor([[1.0, 1.0, 1.0, 1.0], [3.0, 1.0, 1.0, 1.0]])
    iou, generous = box_overlap(given, wanted)
    assert iou.tolist() == pytest.approx([1.0, 0.5])
    assert generous.tolist() == pytest.approx([1.0, 0.5])


def test_detection_loss_falls_when_a_cell_agrees() -> None:
    view = View(
        np.zeros((240, 320, 3), np.uint8),
        np.array([[100.0, 60.0, 160.0, 140.0]], np.float32),
        np.array([[[115, 90], [145, 90], [130, 105], [118, 120], [142, 120]]], np.float32),
        np.ones(1, np.float32),
    )
    wanted = [torch.from_numpy(level[None]) for level in targets(view)]

    def outputs(right: bool) -> list[tuple[torch.Tensor, ...]]:
        levels = []
        for level in wanted:
            face = level[..., 0] > 0
            score = torch.where(face == right, 6.0, -6.0)[:, None]
            body = level[..., 1:15].permute(0, 3, 1, 2) * (1.0 if right else 0.5)
            levels.append((score, body[:, :4], body[:, 4:]))
        return levels

    assert float(detection_loss(outputs(True), wanted)[0]) < 0.1
    assert float(detection_loss(outputs(False), wanted)[0]) > 1.0


def test_a_picture_enlarged_again_lies_where_it_lay() -> None:
    matrix = np.array([[0.4, 0.1, 7.0], [-0.1, 0.4, -3.0]])
    corner = np.array([9.5, 5.5, 1])
    assert np.allclose(enlarged(matrix, 2) @ (4.5, 2.5, 1), matrix @ corner)


def test_a_budget_of_steps_ends_at_a_hundredth_of_the_peak_rate() -> None:
    budget = Budget(steps=10)
    assert cosine_rate(budget, 1.0, warm_steps=1) == pytest.approx(1.0)
    for _ in range(10):
        budget.advance()
    assert budget.progress == 1.0
    assert cosine_rate(budget, 1.0, warm_steps=1) == pytest.approx(0.01)


def test_the_average_follows_the_weights() -> None:
    model = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        model.weight.fill_(0.0)
    average = Average(model, decay=0.5)
    with torch.no_grad():
        model.weight.fill_(1.0)
    for _ in range(20):
        average.update(model)
    assert float(average.state["weight"]) == pytest.approx(1.0, abs=1e-3)
