"""Audits a `.tflite` from its flatbuffer: would the Edge TPU compiler map it, does int8 stay fast?

The rules are those of Edge TPU compiler 16.0 and tflite-runtime 2.14 (see `operators`), plus full
int8 at both ends. Each function returns faults as sentences; none means the file keeps the rules.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgeface.inference.flatbuffer import GraphFacts, OperatorFacts, TensorFacts
from edgeface.inference.operators import NO_FUSED_ACTIVATION, OPERATORS, WEIGHTED

EDGETPU_OPERATOR = "edgetpu-custom-op"
_PACKAGE_MARK = b"DWN1"
_BATCH_AXIS = 0


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
        faults += _operator_faults(model, operator)
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


def _operator_faults(model: GraphFacts, operator: OperatorFacts) -> Iterator[str]:
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
    if name in NO_FUSED_ACTIVATION and getattr(options, "fusedActivationFunction", 0) != 0:
        yield f"{name}: a fused activation is not mapped"
    if name in WEIGHTED:
        count = 3 if name == "TRANSPOSE_CONV" else 2
        if len(operator.inputs) < count or min(operator.inputs[:count]) < 0:
            yield f"{name}: an input is missing"
        else:
            yield from _weight_faults(model, operator)
    if name in ("CONCATENATION", "PACK") and getattr(options, "axis", None) == _BATCH_AXIS:
        yield f"{name}: along the batch is not mapped"
    if name == "STRIDED_SLICE" and any(
        getattr(options, mask, 0) for mask in ("ellipsisMask", "newAxisMask")
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
        if getattr(options, "weightsFormat", 0) != 0:
            yield f"{name}: shuffled weights are not mapped"
        if len(weights.scales) > 1:
            yield f"{name}: weights '{weights.name}' are per channel; per tensor is needed"
    else:
        across = getattr(options, "dilationWFactor", 1)
        if across != getattr(options, "dilationHFactor", 1):
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
        yield f"{label} has {len(tensor.scales)} quantisation scales; activations need 1"
    if tensor.dtype == "INT8":
        # A scale near 0 overflows the multiplier (google-coral/edgetpu#453).
        if any(not 1e-9 < scale < 1e9 for scale in tensor.scales):
            yield f"{label} has a quantisation scale out of range"
        if any(not -128 <= zero <= 127 for zero in tensor.zero_points):
            yield f"{label} has a zero point out of range"
    if not tensor.constant and any(size > 1 for size in tensor.shape[:-3]):
        yield f"{label} has shape {tensor.shape}; only the three inner sizes may exceed 1"
