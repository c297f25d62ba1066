"""The detector in torch. `export.py` rebuilds it in Keras.

It uses only what the Edge TPU compiler 16.0 maps and XNNPACK runs in int8: convolutions, one of
them transposed, ReLU and additions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


class SameConv2d(nn.Conv2d):
    """A convolution that pads as TensorFlow's SAME does: the odd pixel at the right and bottom.

    TFLite then needs no PAD operator in front of a convolution of stride 2.
    """

    def forward(self, x: Tensor) -> Tensor:
        pads: list[int] = []
        for size, kernel, stride in zip(
            x.shape[:1:-1], self.kernel_size[::-1], self.stride[::-1], strict=False
        ):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return self._conv_forward(nn.functional.pad(x, pads), self.weight, self.bias)


@dataclass(frozen=True)
class DetectorShape:
    """Size of a detector: `stages` are (channels, residual blocks) at strides 8, 16 and 32."""

    stem: tuple[int, int] = (16, 24)
    stages: tuple[tuple[int, int], ...] = ((48, 1), (80, 2), (112, 2))
    head: int = 48
    width_px: int = 320
    height_px: int = 240


STRIDES = (8, 16, 32)
OUTPUTS = (("score", 1), ("box", 4), ("landmarks", 10))


def halving(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution of stride 2, padded as TensorFlow's SAME."""
    return SameConv2d(inputs, outputs, 3, 2)


class Residual(nn.Module):
    """Two 3x3 convolutions around an identity: `relu(x + f(x))` (He et al. 2016, basic block)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(torch.relu(self.first(x))))


class Head(nn.Module):
    """What one level says of each cell: score logit, box (l, t, r, b), five points; in strides."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.neck = nn.Conv2d(channels, width, 3, padding=1)
        for name, count in OUTPUTS:
            setattr(self, name, nn.Conv2d(width, count, 1))
        nn.init.constant_(self.score.bias, -4.6)  # a face in one cell of a hundred

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = torch.relu(self.neck(x))
        return tuple(getattr(self, name)(x) for name, _ in OUTPUTS)


class Detector(nn.Module):
    """Single-shot face detector: RGB `(n, 3, 240, 320)` as (x - 127.5) / 128 -> three levels.

    Anchor-free, one prediction a cell (FCOS, Tian et al. 2019; YuNet, Wu et al. 2023). The level
    of small faces also sees the next one's map (feature pyramid, Lin et al. 2017), through a
    transposed convolution of 2x2: the one way up that XNNPACK and the Edge TPU both take in int8.
    Without batch norm: the weights were trained with it, and folded.
    """

    def __init__(self, shape: DetectorShape | None = None) -> None:
        super().__init__()
        self.shape = shape = shape or DetectorShape()
        first, second = shape.stem
        self.stem = nn.ModuleList([halving(3, first), halving(first, second)])
        self.entries, self.stages = nn.ModuleList(), nn.ModuleList()
        self.heads = nn.ModuleList()
        channels = second
        for outputs, blocks in shape.stages:
            self.entries.append(halving(channels, outputs))
            self.stages.append(nn.Sequential(*(Residual(outputs) for _ in range(blocks))))
            self.heads.append(Head(outputs, shape.head))
            channels = outputs
        fine, coarse = shape.stages[0][0], shape.stages[1][0]
        self.lateral = nn.ConvTranspose2d(coarse, fine, 2, 2)
        nn.init.zeros_(self.lateral.weight)
        nn.init.zeros_(self.lateral.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> list[tuple[Tensor, ...]]:
        for layer in self.stem:
            x = torch.relu(layer(x))
        maps = []
        for entry, stage in zip(self.entries, self.stages, strict=True):
            x = stage(torch.relu(entry(x)))
            maps.append(x)
        maps[0] = torch.relu(maps[0] + self.lateral(maps[1]))
        return [head(level) for head, level in zip(self.heads, maps, strict=True)]
