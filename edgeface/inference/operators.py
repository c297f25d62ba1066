"""The operators a model may use, and up to which version.

Three things bound them: what the Edge TPU compiler 16.0 maps, what tflite-runtime 2.14 registers,
and what XNNPACK runs in int8 (an operator that it leaves out costs some twenty times). Sources: the
compiler's published table; that compiler is of July 2021 and its runtime pins TensorFlow 2.5, so a
version that first shipped later is refused with the whole file (google-coral/edgetpu#631, #845,
#879); for tflite-runtime 2.14 and XNNPACK, one-operator files loaded in tflite-runtime 2.14.0 and
ai-edge-litert 2.3.0, and XNNPACK's own list for QUANTIZE, SPLIT, SPACE_TO_DEPTH, TRANSPOSE_CONV.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class OperatorRule:
    """Bounds for one builtin operator."""

    compiler: int
    """Highest version that Edge TPU compiler 16.0 knows."""
    tflite: int
    """Highest version that tflite-runtime 2.14 knows."""
    xnnpack: bool = True
    """Whether XNNPACK takes it in int8."""

    @property
    def highest(self) -> int:
        """The highest version allowed."""
        return min(self.compiler, self.tflite)


OPERATORS: Mapping[str, OperatorRule] = {
    "ADD": OperatorRule(3, 5),
    "AVERAGE_POOL_2D": OperatorRule(3, 3, xnnpack=False),
    "CONCATENATION": OperatorRule(3, 4),
    "CONV_2D": OperatorRule(5, 7),
    "DEPTHWISE_CONV_2D": OperatorRule(6, 7),
    "EXPAND_DIMS": OperatorRule(1, 1, xnnpack=False),
    "FULLY_CONNECTED": OperatorRule(9, 10),
    "L2_NORMALIZATION": OperatorRule(2, 2, xnnpack=False),
    "LOGISTIC": OperatorRule(3, 3),
    "MAXIMUM": OperatorRule(4, 4, xnnpack=False),
    "MINIMUM": OperatorRule(4, 4, xnnpack=False),
    "MAX_POOL_2D": OperatorRule(3, 3),
    "MEAN": OperatorRule(3, 3),
    "MUL": OperatorRule(4, 7),
    "PACK": OperatorRule(3, 4, xnnpack=False),
    "PAD": OperatorRule(3, 4),
    "PRELU": OperatorRule(1, 1, xnnpack=False),
    "QUANTIZE": OperatorRule(2, 3),
    "REDUCE_MAX": OperatorRule(3, 3),
    "RELU": OperatorRule(3, 3, xnnpack=False),
    "RELU6": OperatorRule(3, 3, xnnpack=False),
    "RELU_N1_TO_1": OperatorRule(1, 1, xnnpack=False),
    "RESHAPE": OperatorRule(1, 1),
    "RESIZE_BILINEAR": OperatorRule(4, 4),
    "RESIZE_NEAREST_NEIGHBOR": OperatorRule(4, 4, xnnpack=False),
    "RSQRT": OperatorRule(2, 2, xnnpack=False),
    "SLICE": OperatorRule(5, 6),
    "SOFTMAX": OperatorRule(3, 3, xnnpack=False),
    "SPACE_TO_DEPTH": OperatorRule(2, 2),
    "SPLIT": OperatorRule(4, 4),
    "SQUARED_DIFFERENCE": OperatorRule(2, 2, xnnpack=False),
    "SQUEEZE": OperatorRule(2, 2, xnnpack=False),
    "STRIDED_SLICE": OperatorRule(5, 8),
    "SUB": OperatorRule(5, 5),
    "SUM": OperatorRule(2, 2),
    "TANH": OperatorRule(3, 3),
    "TRANSPOSE": OperatorRule(5, 6),
    "TRANSPOSE_CONV": OperatorRule(3, 4),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": OperatorRule(3, 4, xnnpack=False),
}

NO_FUSED_ACTIVATION = frozenset({"AVERAGE_POOL_2D", "MAX_POOL_2D", "CONCATENATION"})
"""Operators that the compiler maps only without a fused activation."""

WEIGHTED = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"})
"""Operators whose second input is a constant of weights."""
