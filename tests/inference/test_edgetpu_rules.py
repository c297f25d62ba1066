from __future__ import annotations

import builtins
import importlib
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgeface.base.errors import ModelError, RuntimeMissingError
from edgeface.inference import flatbuffer
from edgeface.inference.edgetpu_rules import OPERATORS, audit_compiled, audit_model, count_operators
from edgeface.inference.flatbuffer import read_model
from tests.support.packages import detector_model, embedder_model, rectify_model
from tests.support.tflite import OPS, OPTIONS, Graph, schema

WEIGHTS = np.ones((2, 1, 1, 3), np.int8)
BIAS = np.zeros(2, np.int32)


def conv(change: Callable[[Graph], object] | None = None, **options: Any) -> bytes:
    """A graph of one sound convolution; `change` spoils it."""
    graph = Graph()
    shape = options.pop("shape", (1, 4, 4, 3))
    x = graph.tensor("x", shape, scale=0.5, **options.pop("source", {}))
    y = graph.tensor("y", (1, 4, 4, 2), scale=0.5, **options.pop("target", {}))
    parameters = {"stride": 1, "scale": 0.01, "bias_scale": 0.005} | options
    graph.conv(x, y, parameters.pop("weights", WEIGHTS), BIAS, **parameters)
    if change is not None:
        change(graph)
    return graph.build([x], [y])


def dense(**options: Any) -> bytes:
    graph = Graph()
    x, y = graph.tensor("x", (1, 3), scale=0.5), graph.tensor("y", (1, 2), scale=0.5)
    parameters = {"scale": 0.01, "bias_scale": 0.005} | options
    graph.dense(x, y, np.ones((2, 3), np.int8), BIAS, **parameters)
    return graph.build([x], [y])


def single(
    code: int, version: int = 1, dtype: str = "int8", *, options: Any = None, kind: int = 0
) -> bytes:
    graph = Graph()
    x = graph.tensor("x", (1, 4), dtype, scale=0.5)
    y = graph.tensor("y", (1, 4), dtype, scale=0.5)
    graph.op(code, [x], [y], version=version, options=options, options_type=kind)
    return graph.build([x], [y])


def fused_pool() -> bytes:
    options = schema.Pool2DOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    return single(OPS.MAX_POOL_2D, 2, options=options, kind=OPTIONS.Pool2DOptions)


def concatenate_batches() -> bytes:
    options = schema.ConcatenationOptionsT()
    options.axis = 0
    return single(OPS.CONCATENATION, 2, options=options, kind=OPTIONS.ConcatenationOptions)


def masked_slice() -> bytes:
    options = schema.StridedSliceOptionsT()
    options.newAxisMask = 1
    return single(OPS.STRIDED_SLICE, 2, options=options, kind=OPTIONS.StridedSliceOptions)


def computed_weights() -> bytes:
    graph = Graph()
    x, y = graph.tensor("x", (1, 3), scale=0.5), graph.tensor("y", (1, 2), scale=0.5)
    kernel = graph.tensor("kernel", (2, 3), scale=0.01)
    graph.op(
        OPS.FULLY_CONNECTED,
        [x, kernel],
        [y],
        version=4,
        options=schema.FullyConnectedOptionsT(),
        options_type=OPTIONS.FullyConnectedOptions,
    )
    return graph.build([x, kernel], [y])


def custom(name: str, payload: bytes = b"", **tensor: Any) -> bytes:
    graph = Graph()
    x = graph.tensor("x", (1, 4, 4, 3), scale=tensor.get("scale", 0.5))
    y = graph.tensor("y", (1, 4, 4, 2), scale=0.5)
    graph.op(OPS.CUSTOM, [x], [y], custom=name, payload=payload)
    return graph.build([x], [y])


def uneven_dilation(graph: Graph) -> None:
    graph._subgraph.operators[0].builtinOptions.dilationHFactor = 2


def no_constant_bias(graph: Graph) -> None:
    graph._subgraph.tensors[3].type = schema.TensorType.INT8


def two_subgraphs(graph: Graph) -> None:
    graph._model.subgraphs.append(graph._subgraph)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(conv(), id="convolution"),
        pytest.param(dense(), id="dense"),
        pytest.param(detector_model(), id="detector"),
        pytest.param(embedder_model(), id="embedder"),
    ],
)
def test_a_plain_int8_model_has_no_faults(content: bytes) -> None:
    assert audit_model(read_model(content)) == ()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param(
            conv(version=6), "CONV_2D version 6: Edge TPU compiler 16.0 knows", id="conv6"
        ),
        pytest.param(conv(version=8), "version 8: tflite-runtime 2.14 knows up to 7", id="conv8"),
        pytest.param(dense(version=12), "FULLY_CONNECTED version 12: Edge TPU", id="dense12"),
        pytest.param(
            dense(scale=[0.01, 0.02], bias_scale=[0.005, 0.01]), "are per channel", id="per-channel"
        ),
        pytest.param(single(OPS.HARD_SWISH), "HARD_SWISH: not mapped", id="hard-swish"),
        pytest.param(single(OPS.LEAKY_RELU), "LEAKY_RELU: not mapped", id="leaky-relu"),
        pytest.param(single(OPS.PRELU), "PRELU: XNNPACK does not take it", id="prelu"),
        pytest.param(rectify_model(), "RELU: XNNPACK does not take it", id="relu-alone"),
        pytest.param(custom("Flex"), "custom operator Flex", id="custom"),
        pytest.param(fused_pool(), "MAX_POOL_2D: a fused activation", id="fused-pool"),
        pytest.param(concatenate_batches(), "CONCATENATION: along the batch", id="batch-axis"),
        pytest.param(masked_slice(), "STRIDED_SLICE: ellipsis and new-axis", id="slice-mask"),
        pytest.param(computed_weights(), "'kernel' are computed", id="computed-weights"),
        pytest.param(conv(shape=(1, 4, 4, 6)), "grouped convolutions", id="grouped"),
        pytest.param(conv(uneven_dilation), "different dilations", id="dilation"),
        pytest.param(conv(no_constant_bias), "is not a constant INT32", id="bias-type"),
        pytest.param(conv(bias_scale=0.1), "is not that of input times weights", id="bias-scale"),
        pytest.param(conv(two_subgraphs), "2 subgraphs", id="subgraphs"),
        pytest.param(
            conv(source={"signature": (-1, 4, 4, 3)}), "'x' has no fixed size", id="dynamic"
        ),
        pytest.param(conv(shape=(2, 4, 4, 3)), "only the three inner sizes", id="batch"),
        pytest.param(single(OPS.TANH, 1, "float32"), "input 'x' is FLOAT32; full int8", id="float"),
        pytest.param(
            single(OPS.TANH, 1, "uint8"), "output 'y' is UINT8; full int8", id="uint8-ends"
        ),
        pytest.param(conv(scale=1e-12, bias_scale=5e-13), "scale out of range", id="tiny-scale"),
        pytest.param(conv(target={"zero": 200}), "zero point out of range", id="zero-point"),
    ],
)
def test_a_broken_rule_is_named(content: bytes, fault: str) -> None:
    assert fault in "\n".join(audit_model(read_model(content)))


@pytest.mark.parametrize("name", ["CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV"])
@pytest.mark.parametrize("given", [(0,), (-1, 0, 0), (0, 0, -1)], ids=str)
def test_an_operator_without_its_inputs_is_named(name: str, given: tuple[int, ...]) -> None:
    graph = Graph()
    x = graph.tensor("x", (1, 4, 4, 3), scale=0.5)
    y = graph.tensor("y", (1, 4, 4, 3), scale=0.5)
    graph.op(getattr(OPS, name), given, [y])
    missing = f"{name}: an input is missing"
    faults = audit_model(read_model(graph.build([x], [y])))
    assert (missing in faults) == (given != (0, 0, -1) or name == "TRANSPOSE_CONV")


def test_a_file_that_names_a_tensor_it_has_not_got_is_damaged() -> None:
    graph = Graph()
    x = graph.tensor("x", (1, 4, 4, 3), scale=0.5)
    graph.op(OPS.RESHAPE, [x], [7])
    with pytest.raises(ModelError, match="has not got"):
        read_model(graph.build([x], [x]))


def test_a_fault_is_said_once() -> None:
    graph = Graph()
    tensors = [graph.tensor(name, (1, 4), scale=0.5) for name in "abc"]
    for source, target in itertools.pairwise(tensors):
        graph.op(OPS.RELU, [source], [target], version=2)
    faults = audit_model(read_model(graph.build(tensors[:1], tensors[-1:])))
    assert len(faults) == 1


def test_operators_are_counted_by_version() -> None:
    counts = count_operators(read_model(detector_model()))
    assert [(count.name, count.version, count.count) for count in counts] == [("CONV_2D", 3, 6)]


def test_parameters_are_counted() -> None:
    model = read_model(conv())
    assert model.parameters == 6 + 2
    assert model.parameter_bytes == 6 + 2 * 4


@pytest.mark.parametrize(
    ("compiled", "fault"),
    [
        pytest.param(custom("edgetpu-custom-op", b"..DWN1.."), None, id="sound"),
        pytest.param(custom("edgetpu-custom-op"), "no executable", id="empty"),
        pytest.param(conv(), "1 operators stay on the CPU: CONV_2D", id="not-mapped"),
        pytest.param(
            custom("edgetpu-custom-op", b"DWN1", scale=0.25), "its inputs differ", id="other-input"
        ),
    ],
)
def test_a_compiled_file_is_held_against_its_source(compiled: bytes, fault: str | None) -> None:
    faults = audit_compiled(read_model(compiled), read_model(conv()))
    assert faults == () if fault is None else fault in "\n".join(faults)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"PK\x03\x04 and more of it", id="zip"),
        pytest.param(conv()[:64], id="cut"),
        pytest.param(conv()[:8] + b"\xff" * 64, id="garbage"),
    ],
)
def test_what_is_no_flatbuffer_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="TFLite flatbuffer"):
        read_model(content)


def test_without_the_schema_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named '{name}'")

    flatbuffer._schema.cache_clear()
    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(
        RuntimeMissingError, match="ai-edge-litert, or, beside tflite-runtime, pip install tflite"
    ):
        read_model(conv())
    monkeypatch.undo()
    assert read_model(conv()).parameters == 8


def test_every_allowed_operator_is_one_of_the_schema() -> None:
    assert set(OPERATORS) <= set(builtins.vars(schema.BuiltinOperator))
