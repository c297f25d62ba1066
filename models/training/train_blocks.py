"""Blockwise distillation: every segment alone, from the teacher's map before it to the one after.

All segments learn at the same time, none waits for another: seven hundred steps bring what the
chain as a whole needs ten times the views for. With batch norm where a stream begins; `finish`
folds it, and `train_chain.py` goes on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.training.embedder import Embedder, EmbedderShape
from models.training.lessons import Classroom, LessonPlan
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

SHARES = (0.125, 0.1875, 0.375, 0.375, 0.375, 0.75, 1.0, 1.0)
"""Of a batch, for each segment: one picture gives an early one a thousand cells to learn from."""


@dataclass(frozen=True)
class BlocksRun:
    """Settings of one run."""

    steps: int | None = 1200
    minutes: float | None = None
    rate: float = 2e-3
    decay: float = 0.02
    average: float = 0.998
    seed: int = 1
    checkpoint_steps: int = 300


def blocks_loss(model: Embedder, lesson: Lesson) -> Tensor:
    """Each segment's squared distance to the teacher's map, and the head's cosine distance."""
    count = len(lesson.images)
    inputs = (lesson.images, *lesson.maps)
    rows = torch.randperm(count)
    total = torch.zeros(())
    for place, (segment, share) in enumerate(zip(model.seg, SHARES, strict=True)):
        some = rows[: max(2, round(share * count))]
        given = segment(inputs[place][some].contiguous(memory_format=torch.channels_last)).float()
        if place < len(lesson.maps):
            total = total + (given - lesson.maps[place][some].float()).square().mean()
        else:
            total = total + 4 * (1 - cosines(given, lesson.targets[some]).mean())
    return total


def cosines(given: Tensor, targets: Tensor) -> Tensor:
    """`(n,)`, of rows of any length to unit rows."""
    return (functional.normalize(given.float()) * targets).sum(1)


@torch.no_grad()
def unexplained(model: Embedder, lesson: Lesson, chained: bool) -> tuple[list[float], float]:
    """Of each map the share of its variance that the student misses, and the mean cosine.

    `chained`: every segment on what the one before gave; otherwise on the teacher's own map.
    """
    model.eval()
    x, shares, cosine = lesson.images.float(), [], 0.0
    for place, segment in enumerate(model.seg):
        given = segment(x)
        if place == len(lesson.maps):
            cosine = float(cosines(given, lesson.targets).mean())
            break
        wanted = lesson.maps[place].float()
        shares.append(round(float((given - wanted).square().mean() / wanted.var()), 3))
        x = given if chained else wanted
    model.train()
    return shares, round(cosine, 4)


class Blocks:
    """The segments in training, their average and their optimiser."""

    def __init__(self, shape: EmbedderShape, run: BlocksRun, saved: dict[str, Any] | None) -> None:
        """Starts from `saved`, a checkpoint, where there is one."""
        self.shape = shape
        self.model = Embedder(shape, normed=True).to(memory_format=torch.channels_last)
        self.average = Average(self.model, run.average)
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), run.rate, weight_decay=run.decay, fused=True
        )
        if saved:
            self.model.load_state_dict(saved["model"])
            self.optimiser.load_state_dict(saved["optimiser"])
            self.average.state, self.average.updates = saved["average"], saved["updates"]

    def step(self, lesson: Lesson, rate: float) -> float:
        """One update; returns the loss."""
        self.model.train()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            loss = blocks_loss(self.model, lesson)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
        self.optimiser.step()
        return float(loss.detach())

    def averaged(self) -> Embedder:
        """A copy of the network with the averaged weights."""
        model = Embedder(self.shape, normed=True)
        model.load_state_dict(self.average.state)
        return model

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "average": self.average.state,
            "updates": self.average.updates,
            "shape": asdict(self.shape),
            "normed": True,
        }


def train(
    cache: Path, out: Path, xml: Path, shape: EmbedderShape, plan: LessonPlan, run: BlocksRun
) -> Path:
    """Train and return the path of the checkpoint; goes on from `out/blocks.pt` where there is one.

    Raises FileNotFoundError without a cache.
    """
    workers = Workers()
    torch.manual_seed(run.seed + workers.rank)
    path, log = out / "blocks.pt", Log(out / "blocks.jsonl")
    budget, saved = Budget(run.steps, run.minutes), load_checkpoint(path)
    if saved:
        budget.done_steps, budget.done_s = saved["steps"], saved["seconds"]
    blocks = Blocks(shape, run, saved)
    room = Classroom(cache, xml, plan, torch.get_num_threads())
    test, progress = room.held_out(1)[0], budget.progress
    for lesson in room.lessons(run.seed + 1000 * workers.rank + budget.done_steps):
        if progress >= 1:
            break
        loss = blocks.step(lesson, cosine_rate(budget, run.rate, warm_steps=100))
        budget.advance()
        workers.meet(blocks.model, budget)
        if workers.agreed(budget):
            progress = budget.progress
        blocks.average.update(blocks.model)
        if workers.rank == 0 and (budget.done_steps % run.checkpoint_steps == 0 or progress >= 1):
            missed, cosine = unexplained(blocks.averaged(), test, chained=False)
            log.write(
                step=budget.done_steps,
                seconds=round(budget.done_s),
                loss=round(loss, 4),
                missed=" ".join(map(str, missed)),
                cosine=cosine,
            )
            save_checkpoint(path, **blocks.state(), steps=budget.done_steps, seconds=budget.done_s)
    return path


def finish(out: Path) -> Path:
    """Fold the batch norm of `out/blocks.pt` and write `out/embedder.pt`, the chain's start.

    Raises FileNotFoundError without blocks, FileExistsError rather than replace a chain.
    """
    path = out / "embedder.pt"
    if path.exists():
        raise FileExistsError(f"{path} exists; move it away first")
    saved = load_checkpoint(out / "blocks.pt")
    if saved is None:
        raise FileNotFoundError(f"{out / 'blocks.pt'}: no checkpoint; run train blocks first")
    model = Embedder(EmbedderShape(**saved["shape"]), normed=True)
    model.load_state_dict(saved["average"])
    weights = model.eval().fold().state_dict()
    save_checkpoint(
        path, model=weights, average=weights, updates=0, shape=saved["shape"], steps=0, seconds=0.0
    )
    return path
