"""Each loss against a value computed by hand or known from the literature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from models.training.losses import (
    arcface_logits,
    distillation_loss,
    semi_hard_triplets,
    triplet_loss,
)


def test_triplet_loss_of_three_hand_made_triplets() -> None:
    anchor = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    positive = torch.tensor([[0.0, 1.0], [1.0, 0.0], [0.0, 3.0]])
    negative = torch.tensor([[2.0, 0.0], [1.0, 0.1], [0.0, 2.0]])
    # 1 - 4 + 0.2 < 0; 0 - 0.01 + 0.2 = 0.19; 4 - 1 + 0.2 = 3.2
    assert float(triplet_loss(anchor, positive, negative, 0.2)) == pytest.approx(3.39, abs=1e-5)


def test_triplet_loss_of_the_well_known_exercise() -> None:
    tensorflow = pytest.importorskip("tensorflow")
    tensorflow.random.set_seed(1)
    draws = [
        tensorflow.compat.v1.random_normal([3, 128], mean=mean, stddev=deviation, seed=1).numpy()
        for mean, deviation in ((6, 0.1), (1, 1), (3, 4))
    ]
    anchor, positive, negative = (torch.from_numpy(draw) for draw in draws)
    assert float(triplet_loss(anchor, positive, negative, 0.2)) == pytest.approx(527.2598, abs=1e-3)


def test_semi_hard_mining_takes_the_nearest_negative_beyond_the_positive() -> None:
    embeddings = torch.tensor([[0.0], [1.0], [1.02], [5.0], [0.5]])
    labels = torch.tensor([0, 0, 1, 1, 1])
    anchors, positives, negatives = semi_hard_triplets(embeddings, labels, margin=0.2)
    found = {
        (int(a), int(p)): int(n) for a, p, n in zip(anchors, positives, negatives, strict=True)
    }
    assert found[0, 1] == 2  # 1.0404 lies just beyond 1; 0.25 is nearer than the positive
    assert (1, 0) not in found  # its nearest negative beyond 1 is 16, outside the margin


def test_semi_hard_mining_falls_back_to_the_farthest_negative() -> None:
    embeddings = torch.tensor([[0.0], [3.0], [1.0], [2.0]])
    labels = torch.tensor([0, 0, 1, 2])
    anchors, _, negatives = semi_hard_triplets(embeddings, labels, margin=0.2)
    assert dict(zip(anchors.tolist(), negatives.tolist(), strict=True))[0] == 3


def test_arcface_adds_the_margin_to_the_true_angle_only() -> None:
    embeddings = torch.tensor([[2.0, 0.0]])
    prototypes = torch.tensor([[math.cos(0.4), math.sin(0.4)], [0.0, 3.0]])
    logits = arcface_logits(embeddings, prototypes, torch.tensor([0]), scale=10.0, margin=0.5)
    assert float(logits[0, 0]) == pytest.approx(10 * math.cos(0.9), abs=1e-4)
    assert float(logits[0, 1]) == pytest.approx(0.0, abs=1e-4)


def test_arcface_stays_monotonic_where_the_angle_would_pass_pi() -> None:
    prototypes = torch.tensor([[1.0, 0.0]])
    angles = torch.linspace(0.05, math.pi - 0.05, 60)
    embeddings = torch.stack([angles.cos(), angles.sin()], dim=1)
    labels = torch.zeros(60, dtype=torch.int64)
    logits = arcface_logits(embeddings, prototypes, labels, scale=1.0, margin=0.5)[:, 0]
    assert bool((logits.diff() < 0).all())


def test_distillation_loss_of_a_hand_made_bank() -> None:
    bank = torch.eye(2)
    teacher = torch.tensor([[1.0, 0.0]])
    student = torch.tensor([[0.0, 5.0]])  # its length does not matter
    log_p = np.log(1 / (1 + math.exp(-2.0)))
    log_q = np.log(1 / (1 + math.exp(2.0)))
    p, q = math.exp(log_p), math.exp(log_q)
    divergence = p * (log_p - log_q) + q * (log_q - log_p)
    loss = distillation_loss(student, teacher, bank, scale=2.0, cosine_weight=3.0)
    assert float(loss) == pytest.approx(divergence + 3.0, abs=1e-5)


def test_distillation_loss_vanishes_for_a_perfect_student() -> None:
    bank = torch.nn.functional.normalize(torch.randn(50, 8, generator=torch.Generator()))
    assert float(distillation_loss(bank[:7] * 4, bank[:7], bank)) == pytest.approx(0, abs=1e-5)
