"""The networks this project ships, in torch. `export.py` rebuilds them in Keras.

Both use only what the Edge TPU compiler 16.0 maps and XNNPACK runs in int8: plain and depthwise
convolutions, ReLU, additions and one dense layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

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


@dataclass(frozen=True)
class EmbedderShape:
    """Size of an embedder: `stages` are (channels, residual blocks); each stage halves the map."""

    stem: int = 32
    stages: tuple[tuple[int, int], ...] = ((64, 1), (128, 2), (256, 1))
    neck: int = 512
    embedding: int = 128
    input_px: int = 112


class Embedder(nn.Module):
    """Face embedder: RGB `(n, 3, s, s)` as (x - 127.5) / 128 -> `(n, 128)`, not normalised.

    Plain residual stages because dense 3x3 convolutions train several times faster per
    multiply-add on a CPU than depthwise ones and are what an Edge TPU is built for; then a
    global depthwise convolution (MobileFaceNet, Chen et al. 2018) and one dense layer.
    """

    def __init__(self, shape: EmbedderShape | None = None) -> None:
        super().__init__()
        self.shape = shape = shape or EmbedderShape()
        layers: list[nn.Module] = [conv_bn(3, shape.stem, 3, 2)]
        channels = shape.stem
        self.ends: dict[int, int] = {}  # stride of a stage: its last layer in the body
        for outputs, blocks in shape.stages:
            layers.append(conv_bn(channels, outputs, 3, 2))
            layers += [Residual(outputs) for _ in range(blocks)]
            channels = outputs
            self.ends[4 << len(self.ends)] = len(layers) - 1
        layers.append(conv_bn(channels, shape.neck, 1))
        self.body = nn.Sequential(*layers)
        map_px = shape.input_px // 2 ** (1 + len(shape.stages))
        self.pool = nn.Conv2d(shape.neck, shape.neck, map_px, groups=shape.neck, bias=False)
        self.pool_norm = nn.BatchNorm2d(shape.neck, eps=BN_EPS)
        self.dense = nn.Linear(shape.neck, shape.embedding, bias=False)
        self.dense_norm = nn.BatchNorm1d(shape.embedding, eps=BN_EPS)

    def with_maps(self, x: Tensor) -> tuple[Tensor, dict[int, Tensor]]:
        """The embedding, and the last map of each stage by its stride."""
        maps, strides = {}, {layer: stride for stride, layer in self.ends.items()}
        for i, layer in enumerate(self.body):
            x = layer(x)
            if i in strides:
                maps[strides[i]] = x
        x = self.pool_norm(self.pool(x))
        return cast(Tensor, self.dense_norm(self.dense(x.flatten(1)))), maps

    def forward(self, x: Tensor) -> Tensor:
        return self.with_maps(x)[0]


class Hints(nn.Module):
    """What a stage's map says of the teacher's: a 1x1 convolution a stage, for training only.

    Raises ValueError when `shape` has no stage of one of the `strides`.
    """

    def __init__(self, shape: EmbedderShape, strides: Sequence[int], channels: int) -> None:
        super().__init__()
        widths = {4 << i: width for i, (width, _) in enumerate(shape.stages)}
        missing = set(strides) - set(widths)
        if missing:
            raise ValueError(f"the embedder has no stage of stride {min(missing)}")
        self.layers = nn.ModuleDict(
            {str(stride): nn.Conv2d(widths[stride], channels, 1) for stride in strides}
        )

    def forward(self, maps: dict[int, Tensor]) -> list[Tensor]:
        return [layer(maps[int(stride)]) for stride, layer in self.layers.items()]


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


def resize_pool(weights: dict[str, Tensor], map_px: int) -> dict[str, Tensor]:
    """The same weights with the global depthwise kernel resampled to `map_px`.

    Lets a network trained on small crops go on with larger ones (progressive resolution);
    the kernel is scaled so that the sum over a constant map stays what it was.
    """
    kernel = weights["pool.weight"]
    if kernel.shape[-1] == map_px:
        return weights
    resized = nn.functional.interpolate(
        kernel, size=(map_px, map_px), mode="bilinear", align_corners=True
    )
    scale = (kernel.shape[-1] / map_px) ** 2
    return {**weights, "pool.weight": resized * scale}


def parameter_count(modules: Sequence[nn.Module]) -> int:
    """Number of trained parameters over all modules."""
    return sum(p.numel() for module in modules for p in module.parameters())
