"""Audits a `.tflite` from its flatbuffer: would the Edge TPU compiler map it, does int8 stay fast?

Each function returns faults as sentences; none means the file keeps the rules: full int8 at both
ends, and operators of these kinds, up to these versions.

Three things bound them: what the Edge TPU compiler 16.0 maps, what tflite-runtime 2.14 registers,
and what XNNPACK runs in int8 (an operator that it leaves out costs some twenty times). Sources: the
compiler's published table; that compiler is of July 2021 and its runtime pins TensorFlow 2.5, so a
version that first shipped later is refused with the whole file (google-coral/edgetpu#631, #845,
#879); for tflite-runtime 2.14 and XNNPACK, one-operator files loaded in tflite-runtime 2.14.0 and
ai-edge-litert 2.3.0, and XNNPACK's own list for QUANTIZE, SPLIT, SPACE_TO_DEPTH, TRANSPOSE_CONV.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from edgeface.inference.flatbuffer import GraphFacts, OperatorFacts, TensorFacts

EDGETPU_OPERATOR = "edgetpu-custom-op"
_PACKAGE_MARK = b"DWN1"
_BATCH_AXIS = 0


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


@dataclass(frozen=True, slots=True)
class OperatorCount:
    """One line of the operator table."""

    name: str
    version: int
    count: int


def count_operators(model: GraphFacts) -> tuple[OperatorCount, ...]:
    """How often each operator version occurs, most frequent first."""
    counts = Counter((operator.name, operator.version) for operator in model.operators)
    return tuple(OperatorCount(name, version, n) for (name, version), n in counts.most_common())


def audit_model(model: GraphFacts) -> tuple[str, ...]:
    """Faults of a `model.tflite`."""
    faults: list[str] = []
    if model.subgraphs != 1:
        faults.append(f"{model.subgraphs} subgraphs; the Edge TPU takes exactly 1")
    for operator in model.operators:
        faults += operator_faults(model, operator)
    used = {index for operator in model.operators for index in operator.inputs + operator.outputs}
    for index in sorted(used - {-1}):
        faults += _tensor_faults(model.tensors[index])
    for end, indices in (("input", model.inputs), ("output", model.outputs)):
        for index in indices:
            tensor = model.tensors[index]
            if tensor.dtype != "INT8":
                faults.append(f"{end} '{tensor.name}' is {tensor.dtype}; full int8 means INT8")
    return tuple(dict.fromkeys(faults))


def audit_compiled(compiled: GraphFacts, model: GraphFacts) -> tuple[str, ...]:
    """Faults of a `model_edgetpu.tflite` next to the `model.tflite` it was compiled from."""
    faults = []
    names = [operator.name for operator in compiled.operators]
    if names != [EDGETPU_OPERATOR]:
        rest = [name for name in names if name != EDGETPU_OPERATOR]
        faults.append(f"not mapped whole: {len(rest)} operators stay on the CPU: {_listed(rest)}")
    on_tpu = [operator for operator in compiled.operators if operator.name == EDGETPU_OPERATOR]
    if any(_PACKAGE_MARK not in operator.payload for operator in on_tpu):
        faults.append("the Edge TPU operator has no executable in it")
    for end, of_compiled, of_model in (
        ("inputs", compiled.inputs, model.inputs),
        ("outputs", compiled.outputs, model.outputs),
    ):
        mine = {_signature(compiled.tensors[index]) for index in of_compiled}
        theirs = {_signature(model.tensors[index]) for index in of_model}
        if mine != theirs:
            faults.append(f"its {end} differ from those of model.tflite")
    return tuple(faults)


def _signature(tensor: TensorFacts) -> tuple[object, ...]:
    return tensor.name, tensor.dtype, tensor.shape, tensor.scales, tensor.zero_points


def _listed(names: Sequence[str]) -> str:
    return ", ".join(sorted(set(names))) or "none"


def operator_faults(model: GraphFacts, operator: OperatorFacts) -> Iterator[str]:
    """Faults of one operator, its weights and bias; those of its tensors are not among them."""
    name, version = operator.name, operator.version
    if operator.custom:
        yield f"custom operator {name}"
        return
    rule = OPERATORS.get(name)
    if rule is None:
        yield f"{name}: not mapped by Edge TPU compiler 16.0"
        return
    if version > rule.compiler:
        yield f"{name} version {version}: Edge TPU compiler 16.0 knows up to {rule.compiler}"
    if version > rule.tflite:
        yield f"{name} version {version}: tflite-runtime 2.14 knows up to {rule.tflite}"
    if not rule.xnnpack:
        yield f"{name}: XNNPACK does not take it in int8, which costs some twenty times"
    options = operator.options
    if name in NO_FUSED_ACTIVATION and options.get("FusedActivationFunction", 0) != 0:
        yield f"{name}: a fused activation is not mapped"
    if name in WEIGHTED:
        count = 3 if name == "TRANSPOSE_CONV" else 2
        if len(operator.inputs) < count or min(operator.inputs[:count]) < 0:
            yield f"{name}: an input is missing"
        else:
            yield from _weight_faults(model, operator)
    if name in ("CONCATENATION", "PACK") and options.get("Axis") == _BATCH_AXIS:
        yield f"{name}: along the batch is not mapped"
    if name == "STRIDED_SLICE" and any(
        options.get(mask, 0) for mask in ("EllipsisMask", "NewAxisMask")
    ):
        yield f"{name}: ellipsis and new-axis masks are not mapped"


def _weight_faults(model: GraphFacts, operator: OperatorFacts) -> Iterator[str]:
    name, options = operator.name, operator.options
    # TRANSPOSE_CONV: output shape, weights, input, bias. The others: input, weights, bias.
    source = model.tensors[operator.inputs[2 if name == "TRANSPOSE_CONV" else 0]]
    weights = model.tensors[operator.inputs[1]]
    if not weights.constant:
        yield f"{name}: weights '{weights.name}' are computed, not constant"
    if weights.dtype != "INT8":
        yield f"{name}: weights '{weights.name}' are {weights.dtype}; full int8 means INT8"
    if name == "FULLY_CONNECTED":
        if options.get("WeightsFormat", 0) != 0:
            yield f"{name}: shuffled weights are not mapped"
        if len(weights.scales) > 1:
            yield f"{name}: weights '{weights.name}' are per channel; per tensor is needed"
    else:
        across = options.get("DilationWFactor", 1)
        if across != options.get("DilationHFactor", 1):
            yield f"{name}: different dilations across and down are not mapped"
    if name == "CONV_2D" and weights.shape[-1:] != source.shape[-1:]:
        yield f"{name}: grouped convolutions are not mapped"
    last = operator.inputs[-1]
    if len(operator.inputs) >= 3 and last >= 0 and name != "TRANSPOSE_CONV":
        yield from _bias_faults(name, source, weights, model.tensors[last])


def _bias_faults(
    name: str, source: TensorFacts, weights: TensorFacts, bias: TensorFacts
) -> Iterator[str]:
    if bias.dtype != "INT32" or not bias.constant:
        yield f"{name}: bias '{bias.name}' is not a constant INT32"
    if not (source.scales and weights.scales and bias.scales):
        return
    for position, scale in enumerate(bias.scales):
        weight = weights.scales[min(position, len(weights.scales) - 1)]
        if not math.isclose(scale, source.scales[0] * weight, rel_tol=1e-3, abs_tol=1e-12):
            yield f"{name}: scale of bias '{bias.name}' is not that of input times weights"
            return


def _tensor_faults(tensor: TensorFacts) -> Iterator[str]:
    label = f"tensor '{tensor.name}'"
    if tensor.dynamic or any(size < 0 for size in tensor.shape):
        yield f"{label} has no fixed size"
        return
    if tensor.constant:
        if tensor.dtype not in ("INT8", "INT32"):
            yield f"{label} is a constant of {tensor.dtype}; INT8 or INT32 is needed"
    elif tensor.dtype != "INT8":
        yield f"{label} is {tensor.dtype}; full int8 means INT8"
    elif len(tensor.scales) != 1:
        yield f"{label} has {len(tensor.scales)} quantization scales; activations need 1"
    if tensor.dtype == "INT8":
        # A scale near 0 overflows the multiplier (google-coral/edgetpu#453).
        if any(not 1e-9 < scale < 1e9 for scale in tensor.scales):
            yield f"{label} has a quantization scale out of range"
        if any(not -128 <= zero <= 127 for zero in tensor.zero_points):
            yield f"{label} has a zero point out of range"
    if not tensor.constant and any(size > 1 for size in tensor.shape[:-3]):
        yield f"{label} has shape {tensor.shape}; only the three inner sizes may exceed 1"
