"""The hand-written step against autograd, Muon against the singular values, both at work."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import torch
from torch.nn import functional

from models.training.chain_step import ChainStep
from models.training.embedder import STREAM, STRIDE, Embedder
from models.training.losses import distillation_loss
from models.training.muon import Muon, orthogonal
from models.training.teacher import Lesson, as_fed
from models.training.tests.test_networks import SMALL
from models.training.train_blocks import Blocks, BlocksRun, unexplained
from models.training.train_chain import Chain, ChainRun, head_loss, mean_cosine

MAP_WEIGHT = 5.0  # large, so that rounding in bfloat16 is small beside the gradients


@pytest.fixture
def lesson() -> Lesson:
    """Eight random pictures with random maps and targets."""
    torch.manual_seed(0)
    maps = tuple(
        as_fed(torch.randn(8, width, 128 // stride, 128 // stride))
        for width, stride in zip(STREAM, STRIDE, strict=True)
    )
    targets = functional.normalize(torch.randn(8, 128))
    return Lesson(as_fed(torch.randn(8, 3, 128, 128)), maps, targets)


def small() -> Embedder:
    torch.manual_seed(1)
    return Embedder(SMALL).to(memory_format=torch.channels_last)


def test_the_hand_written_gradients_are_autograds(lesson: Lesson) -> None:
    model, bank = small(), functional.normalize(torch.randn(64, 128)).to(torch.bfloat16)
    loss = ChainStep(model)(lesson, MAP_WEIGHT, head_loss(lesson.targets, bank, 20.0))
    given = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    *maps, embedding = model.maps(lesson.images.float())
    rows = torch.cat([bank, lesson.targets.to(torch.bfloat16)])
    wanted = 2 * distillation_loss(embedding, lesson.targets.to(torch.bfloat16), rows, 20.0, 2.0)
    for found, target in zip(maps, lesson.maps, strict=True):
        wanted = wanted + MAP_WEIGHT * (found - target.float()).square().mean()
    wanted.backward()
    assert loss == pytest.approx(float(wanted.detach()), rel=0.1)  # of four pictures' maps
    assert set(given) == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None
        a, b = given[name].flatten(), parameter.grad.flatten()
        assert float(functional.cosine_similarity(a, b, dim=0)) > 0.99, name
        assert float(a.norm() / b.norm()) == pytest.approx(1, abs=0.05), name


def test_two_lessons_add_their_gradients(lesson: Lesson) -> None:
    model = small()
    step, loss = ChainStep(model), head_loss(lesson.targets, lesson.targets, 20.0)
    step(lesson, MAP_WEIGHT, loss)
    once = model.seg[3][0].a.weight.grad.clone()
    step(lesson, MAP_WEIGHT, loss)
    assert torch.allclose(model.seg[3][0].a.weight.grad, 2 * once, rtol=1e-3)


def test_a_network_with_batch_norm_is_refused() -> None:
    with pytest.raises(ValueError, match="run the finish step first"):
        ChainStep(Embedder(SMALL, normed=True))


@pytest.mark.parametrize(
    "size", [(64, 576), (128, 1152), (256, 1152), (576, 64), (64, 64)], ids=str
)
def test_muons_step_has_singular_values_near_one(size: tuple[int, int]) -> None:
    matrix = torch.randn(size, generator=torch.Generator().manual_seed(2))
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    uneven = (u * torch.linspace(0.1, 1, len(s))) @ v
    found = orthogonal(uneven)
    values = torch.linalg.svdvals(found)
    assert float(values.min()) > 0.6
    assert float(values.max()) < 1.3
    assert float(functional.cosine_similarity(found.flatten(), (u @ v).flatten(), dim=0)) > 0.97


def test_muon_goes_on_from_its_state() -> None:
    weights = [torch.nn.Parameter(torch.randn(8, 4, 3, 3)) for _ in range(2)]
    weights[1].data.copy_(weights[0].data)
    first, second = (Muon([w]) for w in weights)
    gradients = torch.randn(3, 8, 4, 3, 3)
    for number, gradient in enumerate(gradients):
        for weight, optimiser in zip(weights, (first, second), strict=True):
            weight.grad = gradient.clone()
            optimiser.step()
        if number == 1:
            again = Muon([weights[1]])
            again.load_state_dict(second.state_dict())
            second = again
    assert torch.equal(weights[0], weights[1])


def test_the_chain_comes_nearer_to_the_teacher(lesson: Lesson) -> None:
    weights = small().state_dict()
    saved = {"model": weights, "average": weights, "updates": 0, "shape": asdict(SMALL)}
    chain = Chain(ChainRun(), saved)
    bank = lesson.targets.to(torch.bfloat16)
    before = mean_cosine(chain.averaged(), [lesson])
    missed = unexplained(chain.model, lesson, chained=True)[0]
    for _ in range(12):
        chain.step(lesson, bank, 2e-3, MAP_WEIGHT, 20.0)
        chain.average.update(chain.model)
    assert mean_cosine(chain.averaged(), [lesson]) > before + 0.1
    assert sum(unexplained(chain.model, lesson, chained=True)[0]) < sum(missed)


def test_blocks_learn_each_from_the_teachers_map(lesson: Lesson) -> None:
    torch.manual_seed(1)
    blocks = Blocks(SMALL, BlocksRun(), None)
    losses = [blocks.step(lesson, 3e-3) for _ in range(12)]
    assert losses[-1] < 0.9 * losses[0]
    assert all(p.grad is not None for p in blocks.model.parameters())
