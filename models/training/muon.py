"""Muon (Jordan et al. 2024): momentum with a matrix's singular values made equal, as an optimiser.

For convolutions here: worth about twice as many views as AdamW at the same rate.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
_GRAM_BELOW_ROWS = 256
_GRAM_BF16_FROM_COLUMNS = 1024


def orthogonal(matrix: Tensor) -> Tensor:
    """About `U V^T` of the `(n, m)` matrix `U S V^T`: five steps of Newton-Schulz.

    Singular values come to lie between 0.7 and 1.2. With few rows the iteration runs on the rows'
    Gram matrix, where it is cheaper: two products with the matrix itself, the rest small.
    """
    a, b, c = _QUINTIC
    upright = matrix.shape[0] > matrix.shape[1]
    x = matrix.T.contiguous() if upright else matrix
    x = x / (x.norm() + 1e-7)
    rows, columns = x.shape
    if rows >= _GRAM_BELOW_ROWS:
        x = x.to(torch.bfloat16)
        for _ in range(_ITERATIONS):
            gram = x @ x.T
            x = torch.addmm(x, torch.addmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        x = x.float()
    else:
        gram = x @ x.T
        gram = gram.to(torch.bfloat16) if columns >= _GRAM_BF16_FROM_COLUMNS else gram
        product: Tensor | None = None
        for step in range(_ITERATIONS):
            factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
            factor.diagonal().add_(a)
            product = factor if product is None else factor @ product
            if step < _ITERATIONS - 1:
                gram = factor @ gram @ factor
        assert product is not None
        x = product.float() @ x
    return x.T if upright else x


class Muon(torch.optim.Optimizer):
    """For weights of two or more dimensions, taken as `(outputs, the rest)`.

    Momentum of `momentum` with Nesterov's look ahead; a step has the size that AdamW's at the same
    rate has: 0.2 times the root of the longer side (Liu et al. 2025).
    """

    def __init__(
        self,
        weights: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.95,
        weight_decay: float = 0.02,
    ) -> None:
        super().__init__(weights, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]  # noqa: ARG002
        """Take the gradients that are there."""
        for group in self.param_groups:
            beta, rate = group["momentum"], group["lr"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["mean"] = torch.zeros_like(weight)
                mean = state["mean"].mul_(beta).add_(weight.grad, alpha=1 - beta)
                ahead = weight.grad.mul(1 - beta).add_(mean, alpha=beta)
                update = orthogonal(ahead.reshape(len(ahead), -1))
                size = 0.2 * max(update.shape) ** 0.5
                weight.mul_(1 - rate * group["weight_decay"])
                weight.add_(update.reshape(weight.shape), alpha=-rate * size)
