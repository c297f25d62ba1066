"""Train the embedder by distillation: from `faces.prepare`'s cache to a checkpoint of averages."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.training.augment import random_view
from models.training.faces import MARGIN_PX, FacePool, load
from models.training.losses import distillation_loss
from models.training.networks import Embedder, EmbedderShape, resize_pool
from models.training.run import (
    Average,
    Budget,
    Log,
    Workers,
    cosine_rate,
    load_checkpoint,
    save_checkpoint,
    shuffled,
)


@dataclass(frozen=True)
class EmbedderRun:
    """Settings of one run. `sizes` are (share of the run, input pixels), in order."""

    steps: int | None = None
    minutes: float | None = None
    batch: int = 64
    rate: float = 2e-3
    decay: float = 0.05
    scale: float = 20.0
    bank: int = 8192
    sizes: tuple[tuple[float, int], ...] = ((0.45, 80), (0.75, 96), (1.0, 112))
    strength: float = 1.0
    held_out: int = 1024
    average: float = 0.996
    seed: int = 1
    checkpoint_steps: int = 500


def normalise(batch: NDArray[np.uint8]) -> Tensor:
    """BGR uint8 `(n, h, w, 3)` -> RGB float `(n, 3, h, w)` as (x - 127.5) / 128, channels last."""
    tensor = torch.from_numpy(batch[..., ::-1].copy()).permute(0, 3, 1, 2)
    return (tensor.float() - 127.5) / 128


def views(
    pool: FacePool, run: EmbedderRun, size_of: list[int], first: int, rng_seed: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches (images, targets), made ahead in a thread. `size_of[0]` may change."""
    ready: queue.Queue[tuple[Tensor, Tensor]] = queue.Queue(maxsize=4)
    rng = np.random.default_rng(rng_seed)
    generator = torch.Generator().manual_seed(rng_seed)

    def produce() -> None:
        for order in shuffled(len(pool) - first, generator):
            for start in range(0, len(order) - run.batch + 1, run.batch):
                rows = order[start : start + run.batch].numpy() + first
                size = size_of[0]
                faces = np.stack(
                    [random_view(rng, pool.images[i], MARGIN_PX, size, run.strength) for i in rows]
                )
                ready.put((normalise(faces), torch.from_numpy(pool.targets[rows])))

    threading.Thread(target=produce, name="views", daemon=True).start()
    while True:
        yield ready.get()


@torch.no_grad()
def held_out_cosine(model: Embedder, pool: FacePool, count: int, size: int) -> float:
    """Mean cosine between student and teacher over the first `count` faces, never trained on."""
    rng = np.random.default_rng(0)
    total = 0.0
    for start in range(0, count, 128):
        rows = range(start, min(start + 128, count))
        faces = np.stack([random_view(rng, pool.images[i], MARGIN_PX, size, 0.0) for i in rows])
        given = torch.nn.functional.normalize(model(normalise(faces)))
        total += float((given * torch.from_numpy(pool.targets[rows.start : rows.stop])).sum())
    return total / count


def make_model(shape: EmbedderShape, size: int) -> Embedder:
    """A network of `shape` for crops of `size` pixels."""
    return Embedder(EmbedderShape(**{**asdict(shape), "input_px": size}))


class Trainee:
    """The network in training with its average and optimiser; grows with the crops."""

    def __init__(
        self, shape: EmbedderShape, run: EmbedderRun, saved: dict[str, Any] | None
    ) -> None:
        """Starts from `saved`, a checkpoint, where there is one."""
        self._shape, self._run = shape, run
        self._open(saved["size"] if saved else run.sizes[0][1], saved)

    def _open(self, size: int, saved: dict[str, Any] | None) -> None:
        self.size = size
        map_px = size // 2 ** (1 + len(self._shape.stages))
        self.model = make_model(self._shape, size).to(memory_format=torch.channels_last)
        if saved:
            self.model.load_state_dict(resize_pool(saved["model"], map_px))
        self.average = Average(self.model, self._run.average)
        if saved:
            self.average.state = resize_pool(saved["average"], map_px)
            self.average.updates = saved["updates"]
        self.optimiser = torch.optim.AdamW(
            self.model.parameters(), self._run.rate, weight_decay=self._run.decay, fused=True
        )
        if saved and "optimiser" in saved and saved["size"] == size:
            self.optimiser.load_state_dict(saved["optimiser"])

    def resize(self, size: int) -> None:
        """Go on with crops of `size` pixels; optimiser and average start afresh.

        The weights have to settle first: an average over both sizes fits neither.
        """
        if size != self.size:
            weights = self.model.state_dict()
            self._open(size, {"model": weights, "average": weights, "updates": 0, "size": size})

    def step(self, images: Tensor, targets: Tensor, bank: Tensor, rate: float) -> float:
        """One update; returns the loss. `bank` and `targets` unit rows, `images` `(n, 3, s, s)`."""
        self.model.train()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            given = self.model(images.contiguous(memory_format=torch.channels_last))
        loss = distillation_loss(given, targets, torch.cat([bank, targets]), self._run.scale)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return float(loss.detach())

    def averaged(self) -> Embedder:
        """A copy of the network with the averaged weights, in eval mode."""
        model = make_model(self._shape, self.size).eval()
        model.load_state_dict(self.average.state)
        return model

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {
            "model": self.model.state_dict(),
            "average": self.average.state,
            "updates": self.average.updates,
            "optimiser": self.optimiser.state_dict(),
            "size": self.size,
            "shape": asdict(self._shape),
        }


def train(cache: Path, out: Path, shape: EmbedderShape, run: EmbedderRun) -> Path:
    """Train and return the path of the checkpoint, whose `average` is what ships.

    Goes on from `out/embedder.pt` where there is one. Raises FileNotFoundError without a cache.
    """
    workers = Workers()
    torch.manual_seed(run.seed + workers.rank)
    pool = mixed(load(cache))
    bank = torch.from_numpy(pool.targets).to(torch.bfloat16)
    budget = Budget(run.steps, run.minutes)
    log, path = Log(out / "embedder.jsonl"), out / "embedder.pt"
    saved = load_checkpoint(path)
    if saved:
        budget.done_steps, budget.done_s = saved["steps"], saved["seconds"]
    trainee = Trainee(shape, run, saved)
    size_of = [trainee.size]
    seed = run.seed + 97 * workers.rank + budget.done_steps
    batches = views(pool, run, size_of, run.held_out, seed)
    mean_loss, progress = 0.0, budget.progress
    while progress < 1:
        size_of[0] = next(px for share, px in run.sizes if progress < share)
        trainee.resize(size_of[0])
        images, targets = next(batches)
        if images.shape[-1] != trainee.size:
            continue  # made ahead, before the size changed
        start = int(torch.randint(max(1, len(bank) - run.bank), ()))  # rows are in random order
        loss = trainee.step(
            images,
            targets.to(torch.bfloat16),
            bank[start : start + run.bank],
            cosine_rate(budget, run.rate),
        )
        budget.advance()
        workers.meet(trainee.model, budget)
        if workers.agreed(budget):
            progress = budget.progress
        if budget.done_steps % 4 == 0:
            trainee.average.update(trainee.model)
        mean_loss = 0.98 * mean_loss + 0.02 * loss if mean_loss else loss
        if workers.rank == 0 and (budget.done_steps % run.checkpoint_steps == 0 or progress >= 1):
            cosine = held_out_cosine(trainee.averaged(), pool, run.held_out, trainee.size)
            log.write(
                step=budget.done_steps,
                seconds=round(budget.done_s),
                size=trainee.size,
                rate=round(trainee.optimiser.param_groups[0]["lr"], 6),
                loss=round(mean_loss, 4),
                held_out=round(cosine, 4),
            )
            save_checkpoint(
                path,
                **trainee.state(),
                steps=budget.done_steps,
                seconds=budget.done_s,
                axes=pool.axes,
            )
    return path


def mixed(pool: FacePool) -> FacePool:
    """The pool in a fixed random order, so that the held-out rows are a mix of all sources."""
    order = np.random.default_rng(0).permutation(len(pool))
    sources = tuple(pool.sources[i] for i in order)
    return FacePool(pool.images[order], pool.targets[order], pool.axes, sources)
