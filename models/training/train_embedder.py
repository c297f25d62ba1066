"""Train the embedder by distillation: from `faces.prepare`'s cache to a checkpoint of averages."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

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


def train(cache: Path, out: Path, shape: EmbedderShape, run: EmbedderRun) -> Path:
    """Train and return the path of the checkpoint, whose `average` is what ships.

    Goes on from `out/embedder.pt` where there is one. Raises FileNotFoundError without a cache.
    """
    workers = Workers()
    torch.manual_seed(run.seed + workers.rank)
    pool = load(cache)
    order = np.random.default_rng(0).permutation(len(pool))  # held out: a mix of all sources
    pool = FacePool(pool.images[order], pool.targets[order], pool.axes, pool.sources)
    bank = torch.from_numpy(pool.targets).to(torch.bfloat16)
    budget = Budget(run.steps, run.minutes)
    log = Log(out / "embedder.jsonl")
    path = out / "embedder.pt"
    saved = load_checkpoint(path)
    size = run.sizes[0][1]
    weights = None
    if saved:
        budget.done_steps, budget.done_s = saved["steps"], saved["seconds"]
        size, weights = saved["size"], saved["model"]
    size_of = [size]
    model, average, optimiser = None, None, None
    batches = views(
        pool, run, size_of, run.held_out, run.seed + 97 * workers.rank + budget.done_steps
    )
    running = 0.0
    progress = budget.progress
    while progress < 1:
        wanted_px = next(px for share, px in run.sizes if progress < share)
        if model is None or wanted_px != size:
            size = size_of[0] = wanted_px
            map_px = size // 2 ** (1 + len(shape.stages))
            fresh = make_model(shape, size).to(memory_format=torch.channels_last)
            if weights is None and model is not None:
                weights = model.state_dict()
            if weights is not None:
                fresh.load_state_dict(resize_pool(weights, map_px))
            averaged = Average(fresh, run.average)
            if average is not None or saved:
                old = average.state if average is not None else saved["average"]  # type: ignore[index]
                averaged.state = resize_pool(old, map_px)
                averaged.updates = average.updates if average is not None else saved["updates"]  # type: ignore[index]
            model, average, weights = fresh, averaged, None
            optimiser = torch.optim.AdamW(
                model.parameters(), run.rate, weight_decay=run.decay, fused=True
            )
            if saved and "optimiser" in saved and saved["size"] == size:
                optimiser.load_state_dict(saved["optimiser"])
            saved = None if saved is None else {**saved, "size": -1}
        images, targets = next(batches)
        if images.shape[-1] != size:
            continue
        assert optimiser is not None
        assert average is not None
        model.train()
        for group in optimiser.param_groups:
            group["lr"] = cosine_rate(budget, run.rate)
        with torch.autocast("cpu", torch.bfloat16):
            given = model(images.contiguous(memory_format=torch.channels_last))
        wanted = targets.to(torch.bfloat16)
        start = int(torch.randint(max(1, len(bank) - run.bank), ()))  # rows are in random order
        loss = distillation_loss(
            given, wanted, torch.cat([bank[start : start + run.bank], wanted]), run.scale
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        budget.advance()
        workers.meet(model, budget)
        if workers.agreed(budget):
            progress = budget.progress
        if budget.done_steps % 4 == 0:
            average.update(model)
        running = 0.98 * running + 0.02 * float(loss.detach()) if running else float(loss.detach())
        if workers.rank == 0 and (budget.done_steps % run.checkpoint_steps == 0 or progress >= 1):
            tester = make_model(shape, size).eval()
            tester.load_state_dict(average.state)
            log.write(
                step=budget.done_steps,
                seconds=round(budget.done_s),
                size=size,
                rate=round(optimiser.param_groups[0]["lr"], 6),
                loss=round(running, 4),
                held_out=round(held_out_cosine(tester, pool, run.held_out, size), 4),
            )
            save_checkpoint(
                path,
                model=model.state_dict(),
                average=average.state,
                updates=average.updates,
                optimiser=optimiser.state_dict(),
                steps=budget.done_steps,
                seconds=budget.done_s,
                size=size,
                shape=asdict(shape),
                axes=pool.axes,
            )
    return path
