"""The embedder in torch: a residual stream that is to be the teacher's own, segment by segment.

It uses only what the Edge TPU compiler 16.0 maps and XNNPACK runs in int8: plain convolutions,
ReLU, additions, one depthwise convolution and one dense layer. `export.py` rebuilds it in Keras.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

STREAM = (64, 64, 128, 128, 128, 128, 128)
"""Channels of the teacher's seven maps, at strides 4, 4, 8, 8, 8, 16 and 16; the student's too."""
STRIDE = (4, 4, 8, 8, 8, 16, 16)


@dataclass(frozen=True)
class EmbedderShape:
    """Size of an embedder, less what the teacher's maps settle.

    `blocks` residual blocks in each of the segments 1, 3, 4 and 6, with `hidden` channels inside at
    strides 4, 8 and 16; `down` channels inside of the segments 0, 2 and 5, which halve the map.
    """

    stem: int = 32
    down: tuple[int, int, int] = (128, 256, 256)
    blocks: tuple[int, int, int, int] = (3, 3, 3, 3)
    hidden: tuple[int, int, int] = (64, 128, 256)
    neck: int = 512
    embedding: int = 128
    input_px: int = 128


class NormedConv(nn.Conv2d):
    """A convolution padded by kernel // 2, with bias; batch norm after it until it is folded."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, normed: bool = False
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride, kernel // 2)
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        nn.init.zeros_(cast(Tensor, self.bias))
        self.norm = nn.BatchNorm2d(outputs, momentum=0.03) if normed else None

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        return x if self.norm is None else cast(Tensor, self.norm(x))

    @torch.no_grad()
    def fold(self) -> None:
        """Take the batch norm into weight and bias (Jacob et al. 2018, section 3.2)."""
        if self.norm is None:
            return
        gain, shift = affine(self.norm)
        self.weight.mul_(gain[:, None, None, None])
        bias = cast(Tensor, self.bias)
        bias.mul_(gain).add_(shift)
        self.norm = None


def affine(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """What a batch norm does in eval mode: `(gain, shift)` a channel."""
    mean, variance = cast(Tensor, norm.running_mean), cast(Tensor, norm.running_var)
    gain = norm.weight / torch.sqrt(variance + norm.eps)
    return gain, norm.bias - mean * gain


class Block(nn.Module):
    """`b(relu(a(x)))` with a 3x3 `a` and a 1x1 `b`; added to x where it keeps x's shape.

    No ReLU on the stream itself: a step of it may be of either sign (pre-activation, He et al.
    2016b), as the teacher's normalised maps are.
    """

    def __init__(
        self, inputs: int, hidden: int, outputs: int, stride: int = 1, normed: bool = False
    ) -> None:
        super().__init__()
        self.a = NormedConv(inputs, hidden, 3, stride, normed)
        self.b = NormedConv(hidden, outputs, 1, normed=normed)
        self.adds = stride == 1 and inputs == outputs
        nn.init.normal_(self.b.weight, 0, (0.3 if self.adds else 1.0) / hidden**0.5)

    def forward(self, x: Tensor) -> Tensor:
        y = cast(Tensor, self.b(torch.relu(self.a(x))))
        return x + y if self.adds else y


class Head(nn.Module):
    """1x1 convolution, ReLU, a weight for every cell and channel, sum over the cells, dense layer.

    The weighting is a global depthwise convolution (MobileFaceNet, Chen et al. 2018).
    """

    def __init__(self, shape: EmbedderShape, normed: bool) -> None:
        super().__init__()
        cells = shape.input_px // STRIDE[-1]
        self.neck = NormedConv(STREAM[-1], shape.neck, 1, normed=normed)
        self.pool = nn.Parameter(torch.randn(shape.neck, cells, cells) / cells)
        self.dense = nn.Linear(shape.neck, shape.embedding)
        self.pool_norm = nn.BatchNorm1d(shape.neck) if normed else None
        self.dense_norm = nn.BatchNorm1d(shape.embedding) if normed else None

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.neck(x))
        y = (y * self.pool.to(y.dtype)).sum((2, 3), dtype=torch.float32)
        if self.pool_norm is not None:
            y = self.pool_norm(y)
        y = self.dense(y)
        return y if self.dense_norm is None else cast(Tensor, self.dense_norm(y))

    @torch.no_grad()
    def fold(self) -> None:
        """Take both batch norms into the dense layer."""
        if self.pool_norm is not None:
            gain, shift = affine(self.pool_norm)
            self.dense.bias.add_(self.dense.weight @ shift)
            self.dense.weight.mul_(gain)
            self.pool_norm = None
        if self.dense_norm is not None:
            gain, shift = affine(self.dense_norm)
            self.dense.weight.mul_(gain[:, None])
            self.dense.bias.mul_(gain).add_(shift)
            self.dense_norm = None


class Embedder(nn.Module):
    """RGB `(n, 3, 128, 128)` as (x - 127.5) / 128 -> `(n, 128)`, not normalised.

    `seg` are eight segments: each of the first seven ends where the teacher has a map, the last one
    is the head. `normed`: with batch norm in those segments that begin a new stream, which helps
    while each of them is trained alone; `fold` takes it away for good.
    """

    def __init__(self, shape: EmbedderShape | None = None, normed: bool = False) -> None:
        super().__init__()
        self.shape = shape = shape or EmbedderShape()
        down, hidden = shape.down, shape.hidden

        def stay(segment: int, width: int) -> nn.Sequential:
            channels, count = STREAM[segment], shape.blocks[(1, 3, 4, 6).index(segment)]
            return nn.Sequential(*[Block(channels, width, channels) for _ in range(count)])

        self.seg = nn.ModuleList(
            [
                nn.Sequential(
                    NormedConv(3, shape.stem, 3, 2, normed),
                    nn.ReLU(inplace=True),
                    Block(shape.stem, down[0], STREAM[0], 2, normed),
                ),
                stay(1, hidden[0]),
                Block(STREAM[1], down[1], STREAM[2], 2, normed),
                stay(3, hidden[1]),
                stay(4, hidden[1]),
                Block(STREAM[4], down[2], STREAM[5], 2, normed),
                stay(6, hidden[2]),
                Head(shape, normed),
            ]
        )

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        """What each segment gives: seven maps, then the embedding."""
        for segment in self.seg:
            x = segment(x)
            yield x

    def forward(self, x: Tensor) -> Tensor:
        *_, embedding = self.maps(x)
        return embedding

    def fold(self) -> Embedder:
        """Take every batch norm into the layer before it; returns itself."""
        for module in self.modules():
            if isinstance(module, NormedConv | Head):
                module.fold()
        return self
