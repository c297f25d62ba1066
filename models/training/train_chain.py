"""The chain: the whole embedder on the teacher's embedding and, ever more softly, on its maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.training.chain_step import ChainStep, HeadLoss
from models.training.embedder import Embedder, EmbedderShape
from models.training.faces import load_bank
from models.training.lessons import Classroom, LessonPlan, mixed_order
from models.training.losses import distillation_loss
from models.training.muon import Muon
from models.training.run import (
    Average,
    Budget,
    Log,
    Workers,
    cosine_rate,
    load_checkpoint,
    save_checkpoint,
)
from models.training.teacher import Lesson
from models.training.train_blocks import cosines, unexplained

MEET_STEPS = 4
AVERAGE_STEPS = 4


@dataclass(frozen=True)
class ChainRun:
    """Settings of one run. `rate`: 1e-3 from the blocks on, at most 2.5e-4 from trained weights.

    `maps` weighs each map's distance at the run's begin and end.
    """

    steps: int | None = None
    minutes: float | None = None
    rate: float = 1e-3
    decay: float = 0.02
    maps: tuple[float, float] = (0.5, 0.25)
    scale: float = 20.0
    bank: int = 8192
    average: float = 0.994
    seed: int = 1
    checkpoint_steps: int = 400


def head_loss(targets: Tensor, bank: Tensor, scale: float) -> HeadLoss:
    """Twice the distillation loss over `bank` and the batch's own targets."""
    rows = torch.cat([bank, targets.to(bank.dtype)])

    def loss(given: Tensor) -> tuple[float, Tensor]:
        leaf = given.detach().requires_grad_(True)
        with torch.enable_grad():
            value = 2 * distillation_loss(leaf, targets.to(bank.dtype), rows, scale, 2.0)
            value.backward()
        assert leaf.grad is not None
        return float(value.detach()), leaf.grad

    return loss


class Chain:
    """The network in training, its average and its two optimisers: Muon for the convolutions
    but the first, AdamW for that, biases, the pooling and the dense layer."""

    def __init__(self, run: ChainRun, saved: dict[str, Any]) -> None:
        """Goes on from `saved`, a checkpoint of `finish`, `restore` or an earlier run."""
        self.shape = EmbedderShape(**saved["shape"])
        self.model = Embedder(self.shape).to(memory_format=torch.channels_last)
        self.model.load_state_dict(saved["model"])
        self.average = Average(self.model, run.average)
        self.average.state, self.average.updates = saved["average"], saved["updates"]
        named = dict(self.model.named_parameters())
        of_muon = [k for k, v in named.items() if v.dim() == 4 and k != "seg.0.0.weight"]
        others = [v for k, v in named.items() if k not in of_muon]
        self.optimisers: tuple[torch.optim.Optimizer, ...] = (
            Muon([named[k] for k in of_muon], run.rate, weight_decay=run.decay),
            torch.optim.AdamW(
                others, run.rate, betas=(0.9, 0.98), weight_decay=run.decay, fused=True
            ),
        )
        for optimiser, state in zip(self.optimisers, saved.get("optimisers", ()), strict=False):
            optimiser.load_state_dict(state)
        self._step = ChainStep(self.model)

    def step(self, lesson: Lesson, bank: Tensor, rate: float, maps: float, scale: float) -> float:
        """One update; returns the loss."""
        for optimiser in self.optimisers:
            optimiser.zero_grad(set_to_none=True)
            for group in optimiser.param_groups:
                group["lr"] = rate
        loss = self._step(lesson, maps, head_loss(lesson.targets, bank, scale))
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        for optimiser in self.optimisers:
            optimiser.step()
        return loss

    def averaged(self) -> Embedder:
        """A copy of the network with the averaged weights."""
        model = Embedder(self.shape)
        model.load_state_dict(self.average.state)
        return model.eval()

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state,
            "updates": self.average.updates,
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "shape": asdict(self.shape),
        }


@torch.no_grad()
def mean_cosine(model: Embedder, lessons: Sequence[Lesson]) -> float:
    """To the teacher, over all faces of the lessons."""
    found = [cosines(model(lesson.images.float()), lesson.targets).mean() for lesson in lessons]
    return round(float(torch.stack(found).mean()), 4)


def train(cache: Path, out: Path, xml: Path, plan: LessonPlan, run: ChainRun) -> Path:
    """Train and return the path of the checkpoint, whose `average` is what ships.

    Raises FileNotFoundError without a cache, or without `out/embedder.pt` to start from.
    """
    workers = Workers(MEET_STEPS)
    path, log = out / "embedder.pt", Log(out / "embedder.jsonl")
    saved = load_checkpoint(path)
    if saved is None:
        raise FileNotFoundError(f"{path}: nothing to go on from; run the finish or restore step")
    torch.manual_seed(run.seed + workers.rank)
    chain, budget = Chain(run, saved), Budget(run.steps, run.minutes)
    budget.done_steps, budget.done_s = saved["steps"], saved["seconds"]
    targets = load_bank(cache).targets
    bank = torch.from_numpy(targets[mixed_order(len(targets))]).to(torch.bfloat16)
    room = Classroom(cache, xml, plan, torch.get_num_threads())
    plain, turned = room.held_out(4), room.held_out(2, turned=True)
    rng = np.random.default_rng(run.seed + workers.rank)
    mean_loss, progress = 0.0, budget.progress
    for lesson in room.lessons(run.seed + 1000 * workers.rank + budget.done_steps):
        if progress >= 1:
            break
        start = int(rng.integers(max(1, len(bank) - run.bank)))
        weight = run.maps[0] + (run.maps[1] - run.maps[0]) * progress
        rate = cosine_rate(budget, run.rate, warm_steps=60)
        some = bank[start : start + run.bank]
        loss = chain.step(lesson, some, rate, weight, run.scale)
        budget.advance()
        workers.meet(chain.model, budget)
        if workers.agreed(budget):
            progress = budget.progress
        if budget.done_steps % AVERAGE_STEPS == 0:
            chain.average.update(chain.model)
        mean_loss = 0.98 * mean_loss + 0.02 * loss if mean_loss else loss
        if workers.rank == 0 and (budget.done_steps % run.checkpoint_steps == 0 or progress >= 1):
            model = chain.averaged()
            missed, _ = unexplained(model, plain[0], chained=True)
            log.write(
                step=budget.done_steps,
                seconds=round(budget.done_s),
                rate=round(rate, 6),
                loss=round(mean_loss, 4),
                held_out=mean_cosine(model.eval(), plain),
                turned=mean_cosine(model, turned),
                missed=" ".join(map(str, missed)),
            )
            save_checkpoint(path, **chain.state(), steps=budget.done_steps, seconds=budget.done_s)
    return path
