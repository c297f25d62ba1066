"""Train the detector: from `scenes.prepare`'s cache to a checkpoint of averages."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.training import faces, scenes
from models.training.networks import STRIDES, Detector, DetectorShape
from models.training.run import (
    Average,
    Budget,
    Log,
    cosine_rate,
    load_checkpoint,
    save_checkpoint,
    shuffled,
)
from models.training.scene_views import random_scene_view
from models.training.views import normalise


@dataclass(frozen=True)
class DetectorRun:
    """Settings of one run."""

    steps: int | None = None
    minutes: float | None = None
    batch: int = 32
    rate: float = 2e-3
    decay: float = 0.02
    average: float = 0.996
    seed: int = 1
    checkpoint_steps: int = 250


def box_overlap(given: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU of boxes `(n, 4)` as distances l, t, r, b from a common point.

    Rezatofighi et al. 2019.
    """
    given = given.clamp(min=0.01)
    area = (given[:, 0] + given[:, 2]) * (given[:, 1] + given[:, 3])
    true = (wanted[:, 0] + wanted[:, 2]) * (wanted[:, 1] + wanted[:, 3])
    low, high = torch.minimum(given, wanted), torch.maximum(given, wanted)
    common = (low[:, 0] + low[:, 2]).clamp(min=0) * (low[:, 1] + low[:, 3]).clamp(min=0)
    union = area + true - common
    hull = (high[:, 0] + high[:, 2]) * (high[:, 1] + high[:, 3])
    iou = common / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


def detection_loss(
    levels: list[tuple[Tensor, ...]], wanted: list[Tensor], points_weight: float = 6.0
) -> tuple[Tensor, dict[str, float]]:
    """Quality focal loss for the scores, generalised IoU for boxes, smooth L1 for the points.

    A face cell's score is taught the IoU its own box reaches (Li et al. 2020, generalised focal
    loss), so that the best placed cell wins. Points are measured in parts of the face's size.
    `levels` are the network's outputs, `wanted` `(n, rows, cols, 16)` per level.
    """
    flat = [
        torch.cat([part.permute(0, 2, 3, 1).flatten(0, 2).float() for part in level], dim=1)
        for level in levels
    ]
    given, truth = torch.cat(flat), torch.cat([w.flatten(0, 2) for w in wanted])
    face = truth[:, 0] > 0
    iou, generous = box_overlap(given[face, 1:5], truth[face, 1:5])
    quality = torch.zeros_like(given[:, 0])
    quality[face] = iou.detach().clamp(min=0.1)
    logits = given[:, 0]
    gap = (quality - logits.sigmoid()).abs().square()
    entropy = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    faces_seen = quality.sum().clamp(min=1)
    score = (gap * entropy)[truth[:, 0] >= 0].sum() / faces_seen
    weight = quality[face]
    box = ((1 - generous) * weight).sum() / faces_seen
    known = truth[face, 15] * weight
    side = (
        ((truth[face, 1] + truth[face, 3]) * (truth[face, 2] + truth[face, 4]))
        .clamp(min=1e-6)
        .sqrt()
    )
    error = (given[face, 5:15] - truth[face, 5:15]) / side[:, None]
    point = functional.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=0.02)
    points = (point.mean(dim=1) * known).sum() / known.sum().clamp(min=1)
    total = score + 1.5 * box + points_weight * points
    return total, {
        k: float(v.detach()) for k, v in (("score", score), ("box", box), ("points", points))
    }


def views(
    photographs: list[scenes.Scene],
    pool: faces.FacePool,
    shape: DetectorShape,
    run: DetectorRun,
    seed: int,
) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Endless batches (images, targets per level), made ahead in a thread."""
    ready: queue.Queue[tuple[Tensor, list[Tensor]]] = queue.Queue(maxsize=4)
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)

    def produce() -> None:
        for order in shuffled(len(photographs), generator):
            for start in range(0, len(order) - run.batch + 1, run.batch):
                made = [
                    random_scene_view(
                        rng, photographs[i], pool.images, shape.width_px, shape.height_px
                    )
                    for i in order[start : start + run.batch].tolist()
                ]
                images = normalise(np.stack([image for image, _ in made]))
                wanted = [
                    torch.from_numpy(np.stack([maps[k] for _, maps in made]))
                    for k in range(len(STRIDES))
                ]
                ready.put((images, wanted))

    threading.Thread(target=produce, name="views", daemon=True).start()
    while True:
        yield ready.get()


def train(cache: Path, out: Path, shape: DetectorShape, run: DetectorRun) -> Path:
    """Train and return the path of the checkpoint, whose `average` is what ships.

    Goes on from `out/detector.pt` where there is one. Raises FileNotFoundError without a cache.
    """
    torch.manual_seed(run.seed)
    pool = faces.load(cache, in_memory=False)
    photographs = [s for s in scenes.load(cache) if not scenes.held_out(s.name)]
    budget = Budget(run.steps, run.minutes)
    log = Log(out / "detector.jsonl")
    path = out / "detector.pt"
    model = Detector(shape).to(memory_format=torch.channels_last)
    average = Average(model, run.average)
    optimiser = torch.optim.AdamW(model.parameters(), run.rate, weight_decay=run.decay, fused=True)
    saved = load_checkpoint(path)
    if saved:
        model.load_state_dict(saved["model"])
        if "optimiser" in saved:
            optimiser.load_state_dict(saved["optimiser"])
        average.state, average.updates = saved["average"], saved["updates"]
        budget.done_steps, budget.done_s = saved["steps"], saved["seconds"]
    running: dict[str, float] = {}
    model.train()
    for images, wanted in views(photographs, pool, shape, run, run.seed + budget.done_steps):
        for group in optimiser.param_groups:
            group["lr"] = cosine_rate(budget, run.rate)
        with torch.autocast("cpu", torch.bfloat16):
            levels = model(images.contiguous(memory_format=torch.channels_last))
        loss, parts = detection_loss(levels, wanted)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()
        budget.advance()
        if budget.done_steps % 4 == 0:
            average.update(model)
        running = {k: 0.98 * running.get(k, v) + 0.02 * v for k, v in parts.items()}
        if budget.done_steps % run.checkpoint_steps == 0 or budget.progress >= 1:
            log.write(
                step=budget.done_steps,
                seconds=round(budget.done_s),
                rate=round(optimiser.param_groups[0]["lr"], 6),
                **{k: round(v, 4) for k, v in running.items()},
            )
            save_checkpoint(
                path,
                model=model.state_dict(),
                average=average.state,
                updates=average.updates,
                optimiser=optimiser.state_dict(),
                steps=budget.done_steps,
                seconds=budget.done_s,
                shape=asdict(shape),
            )
        if budget.progress >= 1:
            break
    return path
