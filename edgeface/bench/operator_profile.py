"""Where a network's milliseconds go, operator by operator, on a runtime that has no profiler.

The network is cut after each of its operators, and the pieces from its begin to each cut are run in
turns: an operator takes what its piece takes longer than the one before. So what the runtime does
with several at once, a PAD within the convolution after it, counts where it is saved.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeface.bench.plain_product import flatbuffer_schema, packed
from edgeface.inference.layers import Layer


@dataclass(frozen=True, slots=True)
class OperatorTime:
    """One operator, in the order of execution."""

    number: int
    """From 1."""
    kind: str
    """Operator, kernel, stride and activation: `CONV_2D 3x3 /2 relu`."""
    shape: tuple[int, ...]
    """Of what it gives first."""
    multiply_adds: int
    ms: float


@dataclass(frozen=True, slots=True)
class KindTime:
    """All operators of one kind."""

    kind: str
    operators: int
    ms: float
    share: float
    """Of the time of all operators."""
    multiply_adds: int
    share_of_product: float
    """Their multiply-adds a second, of those of a plain int8 product; 0 without multiply-adds."""


def prefixes(content: bytes) -> Iterator[bytes]:
    """The first operator of a flatbuffer, the first two, and so on to the whole. Each gives what
    its later operators, or the network's user, would read, so that all of it has to be computed.
    Raises RuntimeMissingError."""
    model_of: Any = flatbuffer_schema().ModelT
    for count in range(1, len(model_of.InitFromPackedBuf(content, 0).subgraphs[0].operators) + 1):
        model = model_of.InitFromPackedBuf(content, 0)
        graph = model.subgraphs[0]
        done, later = graph.operators[:count], graph.operators[count:]
        wanted = {index for operator in later for index in operator.inputs} | set(graph.outputs)
        made = [index for operator in done for index in operator.outputs]
        graph.outputs = [index for index in made if index in wanted]
        graph.operators = done
        model.signatureDefs = None  # They name the outputs of the whole.
        yield packed(model)


def operator_times(layers: Sequence[Layer], prefixes_ms: Sequence[float]) -> list[OperatorTime]:
    """Of each layer, from what the network takes up to it, itself included.

    Where noise lets a longer piece take less, the pieces get the nearest times that never fall
    (isotonic regression by the min-max formula; Robertson, Wright and Dykstra 1988).
    """
    total = np.concatenate([[0.0], np.cumsum(prefixes_ms)])
    count = len(layers)
    rising_ms = [
        max(
            min((total[end] - total[begin]) / (end - begin) for end in range(at + 1, count + 1))
            for begin in range(at + 1)
        )
        for at in range(count)
    ]
    spent_ms = np.diff([0.0, *rising_ms])
    return [
        OperatorTime(
            number=number,
            kind=f"{layer.operator} {layer.detail}".rstrip(),
            shape=layer.shapes[0],
            multiply_adds=layer.multiply_adds,
            ms=float(spent_ms[number - 1]),
        )
        for number, layer in enumerate(layers, start=1)
    ]


def kinds_of(operators: Sequence[OperatorTime], product_giga_a_second: float) -> list[KindTime]:
    """The dearest first."""
    all_ms = sum(operator.ms for operator in operators)
    kinds = []
    for kind in dict.fromkeys(operator.kind for operator in operators):
        some = [operator for operator in operators if operator.kind == kind]
        ms, adds = sum(item.ms for item in some), sum(item.multiply_adds for item in some)
        share = adds / ms / 1e6 / product_giga_a_second if ms > 0 else 0.0
        kinds.append(KindTime(kind, len(some), ms, ms / all_ms, adds, share))
    return sorted(kinds, key=lambda item: -item.ms)
