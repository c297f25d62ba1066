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
from torch import Tensor, nn

from models.training.augment import random_similarity, random_view, seen
from models.training.faces import FACE_PX, MARGIN_PX, FacePool, load
from models.training.guides import CHANNELS, LEVELS, Guide, Guides
from models.training.losses import distillation_loss
from models.training.networks import Embedder, EmbedderShape, Hints, resize_pool
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
    """Settings of one run. `sizes` are (share of the run, input pixels), in order.

    `guide` weighs the distance to the teacher's inner maps, where the cache has them.
    """

    steps: int | None = None
    minutes: float | None = None
    batch: int = 64
    rate: float = 2e-3
    decay: float = 0.05
    scale: float = 20.0
    bank: int = 8192
    sizes: tuple[tuple[float, int], ...] = ((0.45, 80), (0.75, 96), (1.0, 112))
    strength: float = 1.0
    guide: float = 2.0
    held_out: int = 1024
    average: float = 0.996
    seed: int = 1
    checkpoint_steps: int = 500


def normalise(batch: NDArray[np.uint8]) -> Tensor:
    """BGR uint8 `(n, h, w, 3)` -> RGB float `(n, 3, h, w)` as (x - 127.5) / 128, channels last."""
    tensor = torch.from_numpy(batch[..., ::-1].copy()).permute(0, 3, 1, 2)
    return (tensor.float() - 127.5) / 128


@dataclass(frozen=True)
class Batch:
    """`images` float32 `(n, 3, s, s)`, the teacher's unit `targets` `(n, d)` and its inner maps."""

    images: Tensor
    targets: Tensor
    guides: tuple[Guide, ...]


def batches(
    pool: FacePool, guides: Guides | None, run: EmbedderRun, size_of: list[int], rng_seed: int
) -> Iterator[Batch]:
    """Endless batches of the rows not held out, made ahead in a thread. `size_of[0]` may change."""
    ready: queue.Queue[Batch] = queue.Queue(maxsize=4)
    rng = np.random.default_rng(rng_seed)
    generator = torch.Generator().manual_seed(rng_seed)
    stored = mixed_order(len(pool))

    def make(rows: NDArray[np.intp], size: int) -> Batch:
        maps = [
            random_similarity(rng, FACE_PX, MARGIN_PX, size, run.strength) for _ in range(len(rows))
        ]
        faces = [
            seen(rng, pool.images[row], view, size, plain=not run.strength)
            for row, view in zip(rows, maps, strict=True)
        ]
        return Batch(
            normalise(np.stack(faces)),
            torch.from_numpy(pool.targets[rows]),
            guides.of(stored[rows], maps, size) if guides else (),
        )

    def produce() -> None:
        for order in shuffled(len(pool) - run.held_out, generator):
            for start in range(0, len(order) - run.batch + 1, run.batch):
                rows = order[start : start + run.batch].numpy() + run.held_out
                ready.put(make(rows, size_of[0]))

    threading.Thread(target=produce, name="batches", daemon=True).start()
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
        self.hints = Hints(self._shape, [level.stride for level in LEVELS], CHANNELS)
        if saved:
            self.model.load_state_dict(resize_pool(saved["model"], map_px))
        if saved and "hints" in saved:
            self.hints.load_state_dict(saved["hints"])
        self.average = Average(self.model, self._run.average)
        if saved:
            self.average.state = resize_pool(saved["average"], map_px)
            self.average.updates = saved["updates"]
        self.trained = nn.ModuleList([self.model, self.hints])
        self.optimiser = torch.optim.AdamW(
            self.trained.parameters(), self._run.rate, weight_decay=self._run.decay, fused=True
        )
        if saved and "optimiser" in saved and saved["size"] == size:
            self.optimiser.load_state_dict(saved["optimiser"])

    def resize(self, size: int) -> None:
        """Go on with crops of `size` pixels; optimiser and average start afresh.

        The weights have to settle first: an average over both sizes fits neither.
        """
        if size != self.size:
            weights = self.model.state_dict()
            kept = {"model": weights, "average": weights, "hints": self.hints.state_dict()}
            self._open(size, {**kept, "updates": 0, "size": size})

    def step(self, batch: Batch, bank: Tensor, rate: float) -> float:
        """One update; returns the loss. `bank`: unit rows of the teacher, as `batch.targets`."""
        self.model.train()
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast("cpu", torch.bfloat16):
            given, maps = self.model.with_maps(
                batch.images.contiguous(memory_format=torch.channels_last)
            )
            hints = self.hints(maps) if batch.guides else []
        targets = batch.targets.to(bank.dtype)
        loss = distillation_loss(given, targets, torch.cat([bank, targets]), self._run.scale)
        for guide, hint in zip(batch.guides, hints, strict=True):
            loss = loss + self._run.guide * guide.distance(hint)
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
            "hints": self.hints.state_dict(),
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
    guides = Guides(cache) if run.guide and Guides.made(cache) else None
    made = batches(pool, guides, run, size_of, seed)
    mean_loss, progress = 0.0, budget.progress
    while progress < 1:
        size_of[0] = next(px for share, px in run.sizes if progress < share)
        trainee.resize(size_of[0])
        batch = next(made)
        if batch.images.shape[-1] != trainee.size:
            continue  # made ahead, before the size changed
        start = int(torch.randint(max(1, len(bank) - run.bank), ()))  # rows are in random order
        loss = trainee.step(
            batch,
            bank[start : start + run.bank],
            cosine_rate(budget, run.rate),
        )
        budget.advance()
        workers.meet(trainee.trained, budget)
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


def mixed_order(count: int) -> NDArray[np.intp]:
    """The fixed random order in which `mixed` has the rows of a pool."""
    return np.random.default_rng(0).permutation(count)


def mixed(pool: FacePool) -> FacePool:
    """The pool in a fixed random order, so that the held-out rows are a mix of all sources."""
    order = mixed_order(len(pool))
    sources = tuple(pool.sources[i] for i in order)
    return FacePool(pool.images[order], pool.targets[order], pool.axes, sources)
