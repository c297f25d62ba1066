"""Train the detector: from `scenes.prepare`'s cache to a checkpoint of averages."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.training import scenes
from models.training.muon import Muon
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

LANDMARKS_PX = 56.0
"""From this size on (square root of the box's area) a face's landmarks count fully in the loss."""


@dataclass(frozen=True)
class DetectorRun:
    """Settings of one run."""

    steps: int | None = None
    minutes: float | None = None
    batch: int = 32
    rate: float = 1e-3
    decay: float = 0.02
    average: float = 0.99
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
    levels: list[tuple[Tensor, ...]], wanted: list[Tensor], points_weight: float = 8.0
) -> tuple[Tensor, dict[str, float]]:
    """Quality focal loss for the scores, generalised IoU for boxes, smooth L1 for the points.

    A face cell's score is taught the root of the IoU its own box reaches (Li et al. 2020,
    generalised focal loss, teach the IoU: a face of ten pixels would never reach a threshold), so
    that the best placed cell wins. Points are measured in parts of the eyes' distance; a head
    turned away has its eyes at least a sixth of its size apart. A face too small to be aligned
    teaches them little.
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
    quality[face] = iou.detach().clamp(min=0.01).sqrt()
    logits = given[:, 0]
    gap = (quality - logits.sigmoid()).abs().square()
    entropy = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    faces_seen = quality.sum().clamp(min=1)
    score = (gap * entropy)[truth[:, 0] >= 0].sum() / faces_seen
    weight = quality[face]
    box = ((1 - generous) * weight).sum() / faces_seen
    side = (
        ((truth[face, 1] + truth[face, 3]) * (truth[face, 2] + truth[face, 4]))
        .clamp(min=1e-6)
        .sqrt()
    )
    strides = torch.cat(
        [torch.full((w[..., 0].numel(),), float(s)) for w, s in zip(wanted, STRIDES, strict=True)]
    )
    near = (side * strides[face] / LANDMARKS_PX).clamp(max=1).square()
    known = truth[face, 15] * weight * near
    eyes = (truth[face, 5:7] - truth[face, 7:9]).norm(dim=1).maximum(side / 6)
    error = (given[face, 5:15] - truth[face, 5:15]) / eyes[:, None]
    point = functional.smooth_l1_loss(error, torch.zeros_like(error), reduction="none", beta=0.03)
    points = (point.mean(dim=1) * known).sum() / known.sum().clamp(min=1)
    total = score + 1.5 * box + points_weight * points
    return total, {
        k: float(v.detach()) for k, v in (("score", score), ("box", box), ("points", points))
    }


class MixedPrecision:
    """A detector in float32, `master`, that learns by the gradients of its bfloat16 copy, `model`:
    a step takes half the time so (Micikevicius et al. 2018).

    Muon for the convolutions; AdamW for biases, the first layer and the last ones, which have few
    channels.
    """

    def __init__(self, master: Detector, rate: float, decay: float) -> None:
        self.master = master
        self.model = deepcopy(master).to(torch.bfloat16, memory_format=torch.channels_last)  # type: ignore[call-overload]
        wide, self.others = [], []
        for weight in master.parameters():
            of_muon = weight.ndim == 4 and min(weight.shape[:2]) >= 16
            (wide if of_muon else self.others).append(weight)
        self.optimisers: tuple[torch.optim.Optimizer, ...] = (
            Muon(wide, rate, weight_decay=decay),
            torch.optim.AdamW(self.others, rate, weight_decay=0.0),
        )

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Move against the gradients of `model` at `rate`, and clear them."""
        pairs = list(zip(self.master.parameters(), self.model.parameters(), strict=True))
        for weight, copy in pairs:
            assert copy.grad is not None
            weight.grad, copy.grad = copy.grad.float(), None
        nn.utils.clip_grad_norm_(self.others, 10.0)
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate
            optimiser.step()
        for weight, copy in pairs:
            copy.copy_(weight)


def views(
    photographs: Sequence[scenes.Scene],
    pasted: Sequence[scenes.Scene],
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
                    random_scene_view(rng, photographs, i, pasted, shape.width_px, shape.height_px)
                    for i in order[start : start + run.batch].tolist()
                ]
                images = normalise(np.stack([image for image, _ in made])).bfloat16()
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
    photographs = scenes.Scenes(cache / scenes.SCENES, trained=True)
    pasted = scenes.Scenes(cache / scenes.PASTED)
    budget = Budget(run.steps, run.minutes)
    log = Log(out / "detector.jsonl")
    path = out / "detector.pt"
    master = Detector(shape)
    average = Average(master, run.average)
    saved = load_checkpoint(path)
    if saved:
        master.load_state_dict(saved["model"])
        average.state, average.updates = saved["average"], saved["updates"]
        budget.done_steps, budget.done_s = saved["steps"], saved["seconds"]
    mixed = MixedPrecision(master, run.rate, run.decay)
    if saved:
        for optimiser, state in zip(mixed.optimisers, saved.get("optimisers", ()), strict=False):
            optimiser.load_state_dict(state)
    running: dict[str, float] = {}
    for images, wanted in views(photographs, pasted, shape, run, run.seed + budget.done_steps):
        loss, parts = detection_loss(mixed.model(images), wanted)
        loss.backward()
        rate = cosine_rate(budget, run.rate, warm_steps=100)
        mixed.step(rate)
        budget.advance()
        if budget.done_steps % 4 == 0:
            average.update(master)
        running = {k: 0.98 * running.get(k, v) + 0.02 * v for k, v in parts.items()}
        if budget.done_steps % run.checkpoint_steps == 0 or budget.progress >= 1:
            log.write(
                step=budget.done_steps,
                seconds=round(budget.done_s),
                rate=round(rate, 6),
                **{k: round(v, 4) for k, v in running.items()},
            )
            save_checkpoint(
                path,
                model=master.state_dict(),
                average=average.state,
                updates=average.updates,
                optimisers=[optimiser.state_dict() for optimiser in mixed.optimisers],
                steps=budget.done_steps,
                seconds=budget.done_s,
                shape=asdict(shape),
            )
        if budget.progress >= 1:
            break
    return path
