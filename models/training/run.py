"""What every training run needs: progress by steps or minutes, averaging, checkpoints, a log."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, distributed, nn


@dataclass
class Budget:
    """How far a run has got, in [0, 1]: by steps, or by minutes where the machine is shared.

    Time counts only while the run is alive, so a resumed run goes on where it stopped.
    """

    steps: int | None = None
    minutes: float | None = None
    done_steps: int = 0
    done_s: float = 0.0
    _mark: float = field(default_factory=time.monotonic)

    def advance(self) -> None:
        """Count one step and the time since the last."""
        now = time.monotonic()
        self.done_steps += 1
        self.done_s += now - self._mark
        self._mark = now

    @property
    def progress(self) -> float:
        """The larger of the two shares, at most 1."""
        shares = [0.0]
        if self.steps is not None:
            shares.append(self.done_steps / self.steps)
        if self.minutes is not None:
            shares.append(self.done_s / (60 * self.minutes))
        return min(1.0, max(shares))


def cosine_rate(budget: Budget, peak: float, warm_steps: int = 300) -> float:
    """Linear warm-up, then one half cosine down to a hundredth of `peak`."""
    warm = min(1.0, (budget.done_steps + 1) / warm_steps)
    return peak * warm * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * budget.progress)))


class Workers:
    """Processes that train side by side and average their weights every few steps.

    Local SGD (Stich 2019). On a shared machine it is faster than threads, which wait for each
    other at every layer. Started by `torchrun --nproc-per-node N -m models.training train ...`;
    without torchrun there is one worker and nothing to average.
    """

    def __init__(self, every_steps: int = 16) -> None:
        self.every_steps = every_steps
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        if self.count > 1 and not distributed.is_initialized():
            distributed.init_process_group("gloo")

    def meet(self, model: nn.Module, budget: Budget) -> None:
        """At every `every_steps`-th step: the mean of all weights, and the first worker's clock."""
        if self.count == 1 or budget.done_steps % self.every_steps:
            return
        state = [v for v in model.state_dict().values() if v.is_floating_point()]
        flat = torch.cat([v.reshape(-1) for v in state])
        distributed.all_reduce(flat)
        flat /= self.count
        for value, mean in zip(state, flat.split([v.numel() for v in state]), strict=True):
            value.copy_(mean.reshape(value.shape))
        clock = torch.tensor([budget.done_s], dtype=torch.float64)
        distributed.broadcast(clock, 0)
        budget.done_s = float(clock)

    def agreed(self, budget: Budget) -> bool:
        """Whether all workers stand at the same step, so that the run may change its course."""
        return self.count == 1 or budget.done_steps % self.every_steps == 0


class Average:
    """Exponential moving average of a model's weights and buffers (Polyak averaging)."""

    def __init__(self, model: nn.Module, decay: float = 0.999) -> None:
        self.decay = decay
        self.updates = 0
        self.state = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Move towards the model; the first updates move faster."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in model.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - decay)
            else:
                self.state[name].copy_(value)


def save_checkpoint(path: Path, **parts: Any) -> None:
    """Write `parts` beside `path` and rename, so that a crash leaves the old one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    torch.save(parts, fresh)
    fresh.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any] | None:
    """What `save_checkpoint` wrote, or None when there is none yet."""
    if not path.exists():
        return None
    loaded: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
    return loaded


class Log:
    """One JSON object a line: append-only, so a resumed run goes on in the same file."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = path.open("a", buffering=1)

    def write(self, **values: float | str) -> None:
        """Append one line and show it."""
        line = json.dumps(values)
        self._stream.write(line + "\n")
        print(line, flush=True)


def shuffled(count: int, generator: torch.Generator) -> Iterator[Tensor]:
    """For ever: a fresh permutation of `range(count)` an epoch."""
    while True:
        yield torch.randperm(count, generator=generator)
