"""The layers of a network as a person reads them: what each does, gives, holds and costs."""

from __future__ import annotations

from dataclasses import dataclass

from edgeface.inference.edgetpu_rules import WEIGHTED, operator_faults
from edgeface.inference.flatbuffer import GraphFacts, OperatorFacts

_ACTIVATIONS = {1: "relu", 2: "relu -1..1", 3: "relu6", 4: "tanh", 5: "sign"}
"""The schema's ActivationFunctionType."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator of the file; layers are numbered from 1 in the order of execution."""

    operator: str
    """As the schema spells it: CONV_2D, ADD ..."""
    detail: str
    """Kernel, stride and activation: `3x3 /2 relu`; empty where there is none."""
    sources: tuple[int, ...]
    """Numbers of the layers whose output it takes; 0 is the network's input."""
    shapes: tuple[tuple[int, ...], ...]
    """Of what it gives, batch first."""
    ends: tuple[str, ...]
    """Names of the network's outputs among what it gives."""
    parameters: int
    """Weights, biases and other constants; one that several layers use counts at the first."""
    parameter_bytes: int
    multiply_adds: int
    """Of one run; 0 for what multiplies by no weights."""
    faults: tuple[str, ...]
    """Why an Edge TPU would not take it, or int8 would be slow (`edgetpu_rules`)."""


def layers_of(model: GraphFacts) -> tuple[Layer, ...]:
    """All layers, in the order of execution."""
    makers = dict.fromkeys(model.inputs, 0)
    counted: set[int] = set()
    layers = []
    for number, operator in enumerate(model.operators, start=1):
        given = [index for index in operator.inputs if index >= 0]
        constants = {i for i in given if model.tensors[i].constant} - counted
        counted |= constants
        layers.append(
            Layer(
                operator=operator.name,
                detail=_detail(model, operator),
                sources=tuple(dict.fromkeys(makers[index] for index in given if index in makers)),
                shapes=tuple(model.tensors[index].shape for index in operator.outputs),
                ends=tuple(
                    model.tensors[index].name
                    for index in operator.outputs
                    if index in model.outputs
                ),
                parameters=sum(model.tensors[index].elements for index in constants),
                parameter_bytes=sum(model.tensors[index].bytes for index in constants),
                multiply_adds=_multiply_adds(model, operator),
                faults=tuple(dict.fromkeys(operator_faults(model, operator))),
            )
        )
        makers |= dict.fromkeys(operator.outputs, number)
    return tuple(layers)


def _weights(model: GraphFacts, operator: OperatorFacts) -> tuple[int, ...] | None:
    """The shape of a convolution's or dense layer's weights."""
    if operator.name not in WEIGHTED or len(operator.inputs) < 2 or operator.inputs[1] < 0:
        return None
    return model.tensors[operator.inputs[1]].shape


def _detail(model: GraphFacts, operator: OperatorFacts) -> str:
    options, weights = operator.options, _weights(model, operator)
    parts = []
    if weights is not None and len(weights) == 4:
        parts.append(f"{weights[1]}x{weights[2]}")
    elif "FilterHeight" in options:
        parts.append(f"{options['FilterHeight']}x{options['FilterWidth']}")
    stride = options.get("StrideH", 1)
    if stride != 1:
        parts.append(f"/{stride}")
    activation = options.get("FusedActivationFunction", 0)
    if activation:
        parts.append(_ACTIVATIONS.get(activation, f"activation {activation}"))
    return " ".join(parts)


def _multiply_adds(model: GraphFacts, operator: OperatorFacts) -> int:
    weights = _weights(model, operator)
    if not weights or not operator.outputs or 0 in weights:
        return 0
    given = model.tensors[operator.outputs[0]].elements
    total = model.tensors[operator.inputs[1]].elements
    if operator.name == "TRANSPOSE_CONV":  # each number that comes in meets the whole kernel
        taken = model.tensors[operator.inputs[2]].elements if len(operator.inputs) > 2 else 0
        return taken * total // weights[-1]
    outputs = weights[-1] if operator.name == "DEPTHWISE_CONV_2D" else weights[0]
    return given * total // outputs
