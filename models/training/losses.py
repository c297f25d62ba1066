"""Losses for metric learning, each as its paper defines it. Pure functions over torch tensors."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def triplet_loss(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 0.2) -> Tensor:
    """Sum over triplets of `max(|a - p|^2 - |a - n|^2 + margin, 0)`.

    Arguments are float `(n, d)`. FaceNet, Schroff et al. 2015, equation 2 (a sum, not a mean).
    """
    near = (anchor - positive).square().sum(dim=1)
    far = (anchor - negative).square().sum(dim=1)
    return functional.relu(near - far + margin).sum()


def semi_hard_triplets(
    embeddings: Tensor, labels: Tensor, margin: float = 0.2
) -> tuple[Tensor, Tensor, Tensor]:
    """Indices (anchor, positive, negative), each int64 `(t,)`, mined from one batch.

    For every anchor-positive pair the negative is the nearest one that is farther than the
    positive (semi-hard, Schroff et al. 2015, section 3.2); if there is none, the farthest.
    Pairs whose negative already lies beyond the margin are left out: they have no gradient.
    """
    distance = torch.cdist(embeddings, embeddings).square()
    same = labels[:, None] == labels[None, :]
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    anchors, positives = torch.nonzero(same & ~itself, as_tuple=True)
    others = ~same[anchors]
    keep = others.any(dim=1)
    anchors, positives, others = anchors[keep], positives[keep], others[keep]
    near = distance[anchors, positives]
    far = distance[anchors]
    beyond = others & (far > near[:, None])
    nearest = far.masked_fill(~beyond, math.inf).argmin(dim=1)
    farthest = far.masked_fill(~others, -math.inf).argmax(dim=1)
    negatives = torch.where(beyond.any(dim=1), nearest, farthest)
    active = far.gather(1, negatives[:, None]).squeeze(1) < near + margin
    return anchors[active], positives[active], negatives[active]


def arcface_logits(
    embeddings: Tensor, prototypes: Tensor, labels: Tensor, scale: float = 64.0, margin: float = 0.5
) -> Tensor:
    """Logits `scale * cos(angle + margin)` for the true class, `scale * cos(angle)` elsewhere.

    `embeddings` float `(n, d)`, `prototypes` float `(c, d)`, `labels` int64 `(n,)`; both sides are
    normalised here. Where angle + margin would pass pi the logit goes on as
    `cos(angle) - margin * sin(margin)`, which keeps it monotonic (Deng et al. 2019, and its code).
    """
    cosine = functional.linear(functional.normalize(embeddings), functional.normalize(prototypes))
    cosine = cosine.clamp(-1.0 + 1e-7, 1.0 - 1e-7)
    true = cosine.gather(1, labels[:, None])
    shifted = true * math.cos(margin) - (1 - true.square()).sqrt() * math.sin(margin)
    beyond = true < math.cos(math.pi - margin)
    shifted = torch.where(beyond, true - margin * math.sin(margin), shifted)
    return scale * cosine.scatter(1, labels[:, None], shifted)


def distillation_loss(
    student: Tensor, teacher: Tensor, bank: Tensor, scale: float = 20.0, cosine_weight: float = 3.0
) -> Tensor:
    """KL divergence between teacher's and student's softmax over a bank, plus cosine distance.

    `student` float `(n, d)` of any length; `teacher` `(n, d)` and `bank` `(m, d)` unit vectors. The
    bank's rows are fixed prototypes, every picture its own class; `scale` is the inverse
    temperature (Hinton et al. 2015, on the similarities of Park et al. 2019).
    """
    student = functional.normalize(student.float())
    wanted = functional.log_softmax((teacher @ bank.T).float() * scale, dim=1)
    given = functional.log_softmax((student.to(bank.dtype) @ bank.T).float() * scale, dim=1)
    divergence = functional.kl_div(given, wanted, reduction="batchmean", log_target=True)
    distance = 1 - (student * teacher.float()).sum(dim=1).mean()
    return divergence + cosine_weight * distance
