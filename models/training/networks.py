"""The detector in torch. `export.py` rebuilds it in Keras.

It uses only what the Edge TPU compiler 16.0 maps and XNNPACK runs in int8: plain
convolutions, ReLU and additions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

BN_EPS = 1e-5


def conv_bn(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = True
) -> nn.Sequential:
    """Convolution (padding kernel // 2, no bias), batch norm and, if asked for, ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs, eps=BN_EPS),
    ]
    if relu:
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class Residual(nn.Module):
    """Two 3x3 convolutions around an identity: `relu(x + f(x))` (He et al. 2016, basic block)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv_bn(channels, channels, 3)
        self.second = conv_bn(channels, channels, 3, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.second(self.first(x)))


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


def same_conv_bn(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution padded as TensorFlow's SAME, batch norm and ReLU."""
    if stride == 1:
        return conv_bn(inputs, outputs, 3)
    return nn.Sequential(
        SameConv2d(inputs, outputs, 3, stride, bias=False),
        nn.BatchNorm2d(outputs, eps=BN_EPS),
        nn.ReLU(inplace=True),
    )


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


class Head(nn.Module):
    """What one level says of each cell: score logit, box (l, t, r, b), five points; in strides."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.neck = conv_bn(channels, width, 3)
        for name, count in OUTPUTS:
            setattr(self, name, nn.Conv2d(width, count, 1))
        nn.init.constant_(self.score.bias, -4.6)  # a face in one cell of a hundred

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.neck(x)
        return tuple(getattr(self, name)(x) for name, _ in OUTPUTS)


class Detector(nn.Module):
    """Single-shot face detector: RGB `(n, 3, 240, 320)` as (x - 127.5) / 128 -> three levels.

    Anchor-free, one prediction a cell (FCOS, Tian et al. 2019; YuNet, Wu et al. 2023).
    """

    def __init__(self, shape: DetectorShape | None = None) -> None:
        super().__init__()
        self.shape = shape = shape or DetectorShape()
        first, second = shape.stem
        self.stem = nn.Sequential(same_conv_bn(3, first, 2), same_conv_bn(first, second, 2))
        self.stages, self.heads = nn.ModuleList(), nn.ModuleList()
        channels = second
        for outputs, blocks in shape.stages:
            layers: list[nn.Module] = [same_conv_bn(channels, outputs, 2)]
            layers += [Residual(outputs) for _ in range(blocks)]
            self.stages.append(nn.Sequential(*layers))
            self.heads.append(Head(outputs, shape.head))
            channels = outputs

    def forward(self, x: Tensor) -> list[tuple[Tensor, ...]]:
        x = self.stem(x)
        levels = []
        for stage, head in zip(self.stages, self.heads, strict=True):
            x = stage(x)
            levels.append(head(x))
        return levels
