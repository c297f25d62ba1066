"""The presentation attack detector in torch, and its training from labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.training import pad_pool
from models.training.networks import SameConv2d
from models.training.pad_pool import PadPool
from models.training.pad_views import INPUT_PX, MADE, plain_view, random_view
from models.training.run import (
    Average,
    Budget,
    Log,
    cosine_rate,
    load_checkpoint,
    save_checkpoint,
)
from models.training.views import normalise

SMOOTHING = 0.05
"""Of the labels: the mean over a track should not hang on one frame that is sure of itself."""


@dataclass(frozen=True)
class PadShape:
    """Size of the network: `stages` are (channels, residual blocks), each at half the resolution
    of the one before."""

    stages: tuple[tuple[int, int], ...] = ((16, 0), (24, 1), (48, 1), (64, 0))
    input_px: int = INPUT_PX


class PadBlock(nn.Module):
    """Two 3x3 convolutions around an identity, each with batch norm: `relu(x + f(x))`."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.first_norm = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.second_norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(x + self.second_norm(self.second(y)))


class PadNetwork(nn.Module):
    """RGB `(n, 3, s, s)` as (x - 127.5) / 128 -> `(n, 1)` logit of being live.

    Convolutions, ReLU and additions, the mean over the last map, one dense layer: what an Edge TPU
    maps and XNNPACK runs in int8.
    """

    def __init__(self, shape: PadShape | None = None, dropout: float = 0.3) -> None:
        super().__init__()
        self.shape = shape = shape or PadShape()
        self.entries, self.norms, self.stages = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        channels = 3
        for outputs, blocks in shape.stages:
            self.entries.append(SameConv2d(channels, outputs, 3, 2))
            self.norms.append(nn.BatchNorm2d(outputs))
            self.stages.append(nn.Sequential(*(PadBlock(outputs) for _ in range(blocks))))
            channels = outputs
        self.dropout = nn.Dropout(dropout)
        self.dense = nn.Linear(channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        for entry, norm, stage in zip(self.entries, self.norms, self.stages, strict=True):
            x = stage(torch.relu(norm(entry(x))))
        logit: Tensor = self.dense(self.dropout(x.mean(dim=(2, 3))))
        return logit

    @torch.no_grad()
    def fold(self) -> PadNetwork:
        """Put each batch norm into the convolution before it; for eval mode, in place."""
        for entry, norm in zip(self.entries, self.norms, strict=True):
            _fold(entry, norm)  # type: ignore[arg-type]
        for block in self.modules():
            if isinstance(block, PadBlock):
                _fold(block.first, block.first_norm)
                _fold(block.second, block.second_norm)
        return self


def _fold(layer: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert layer.bias is not None
    assert norm.running_var is not None
    assert norm.running_mean is not None
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    layer.weight.mul_(gain[:, None, None, None])
    layer.bias.copy_((layer.bias - norm.running_mean) * gain + norm.bias)
    nn.init.ones_(norm.weight)
    nn.init.zeros_(norm.bias)
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)


@dataclass(frozen=True)
class PadRun:
    """How long and how to train, and on whom."""

    steps: int | None = None
    minutes: float | None = None
    batch: int = 64
    rate: float = 3e-3
    decay: float = 0.02
    average: float = 0.995
    seed: int = 1
    checkpoint_steps: int = 100
    left_out: tuple[str, ...] = pad_pool.LEFT_OUT
    """Sources that are not trained on."""
    fold: int | None = None
    """Of 0 to 4: people who are not trained on."""


class PadDeck:
    """Draws pictures: half of them live; those of the pool evenly over sources, kinds and people,
    and among the attacks as many that were made of live pictures."""

    def __init__(self, pool: PadPool, made: NDArray[np.uint8], rng: np.random.Generator) -> None:
        self._images, self._made, self._rng = pool.images, made, rng
        self._groups: dict[bool, list[list[NDArray[np.int64]]]] = {True: [], False: []}
        names = np.where(pool.photographs, "photographs", np.char.add(pool.sources, pool.kinds))
        for name in np.unique(names):
            rows = np.flatnonzero(names == name)
            people = [rows[pool.people[rows] == one] for one in np.unique(pool.people[rows])]
            self._groups[bool(pool.live[rows[0]])].append(people)

    def draw(self, live: bool) -> int:
        """A row of the pool."""
        groups = self._groups[live]
        people = groups[int(self._rng.integers(len(groups)))]
        return int(self._rng.choice(people[int(self._rng.integers(len(people)))]))

    def view(self, live: bool) -> NDArray[np.uint8]:
        """A random view of one."""
        synthetic = not live and (self._rng.random() < 0.5 or not self._groups[False])
        source = self._made if synthetic else self._images
        row = int(self._rng.integers(len(self._made))) if synthetic else self.draw(live)
        return random_view(self._rng, source[row])

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Endless (images, 1 for live)."""
        while True:
            labels = [i % 2 == 0 for i in range(size)]
            images = normalise(np.stack([self.view(live) for live in labels]))
            yield images, torch.tensor(labels, dtype=torch.float32)[:, None]


def train(cache: Path, out: Path, shape: PadShape, run: PadRun) -> Path:
    """Train and return the path of the checkpoint, whose `average` is what ships.

    Goes on from `out/pad.pt` where there is one. Raises FileNotFoundError without a cache.
    """
    torch.manual_seed(run.seed)
    pool = pad_pool.load(cache)
    pool = pool.only(pad_pool.trained_rows(pool, run.left_out, run.fold))
    budget, log, path = Budget(run.steps, run.minutes), Log(out / "pad.jsonl"), out / "pad.pt"
    model = PadNetwork(shape).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(model.parameters(), run.rate, weight_decay=run.decay)
    average = Average(model, run.average)
    saved = load_checkpoint(path)
    if saved:
        model.load_state_dict(saved["model"])
        if "optimiser" in saved:
            optimiser.load_state_dict(saved["optimiser"])
        average.state, average.updates = saved["average"], saved["updates"]
        budget.done_steps, budget.done_s = saved["steps"], saved["seconds"]
    made = np.load(cache / MADE, mmap_mode="r")
    deck = PadDeck(pool, made, np.random.default_rng(run.seed + budget.done_steps))
    smoothed, running = nn.BCEWithLogitsLoss(), 0.7
    for images, live in deck.batches(run.batch):
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(images.contiguous(memory_format=torch.channels_last))
        loss = smoothed(logits.float(), live * (1 - 2 * SMOOTHING) + SMOOTHING)
        optimiser.zero_grad()
        loss.backward()
        rate = cosine_rate(budget, run.rate, warm_steps=50)
        for group in optimiser.param_groups:
            group["lr"] = rate
        optimiser.step()
        budget.advance()
        average.update(model)
        running += 0.02 * (loss.item() - running)
        if budget.done_steps % run.checkpoint_steps == 0 or budget.progress >= 1:
            log.write(step=budget.done_steps, seconds=round(budget.done_s), loss=round(running, 4))
            save_checkpoint(
                path,
                model=model.state_dict(),
                optimiser=optimiser.state_dict(),
                average=average.state,
                updates=average.updates,
                steps=budget.done_steps,
                seconds=budget.done_s,
                shape=asdict(shape),
            )
        if budget.progress >= 1:
            break
    return path


def load_pad(checkpoint: Path) -> PadNetwork:
    """The averaged network, batch norm folded, in eval mode. Raises FileNotFoundError without a
    checkpoint."""
    saved = load_checkpoint(checkpoint)
    if saved is None:
        raise FileNotFoundError(f"{checkpoint}: no checkpoint; run the train step first")
    model = PadNetwork(PadShape(**saved["shape"]))
    model.load_state_dict(saved["average"])
    return model.eval().fold()


def float_scores(model: PadNetwork, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Scores `(n,)` in [0, 1], 1 for live, of pictures `(n, 128, 128, 3)`."""
    rows = []
    with torch.no_grad():
        for start in range(0, len(images), 64):
            views = [plain_view(image) for image in images[start : start + 64]]
            rows.append(torch.sigmoid(model(normalise(np.stack(views))))[:, 0].numpy())
    return np.concatenate(rows) if rows else np.zeros(0, np.float32)
