"""A network that is one int8 matrix product: the best that a runtime does with these numbers."""

from __future__ import annotations

import importlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import RuntimeMissingError

ROWS: Final = 512
INNER: Final = 512
COLUMNS: Final = 512
MULTIPLY_ADDS: Final = ROWS * INNER * COLUMNS
"""Of one run."""


def flatbuffer_schema() -> Any:
    """The module that writes flatbuffers of TFLite. Raises RuntimeMissingError."""
    try:
        return importlib.import_module("ai_edge_litert.schema_py_generated")
    except ImportError as error:
        raise RuntimeMissingError(
            "the networks that are measured beside the models are made with ai-edge-litert, which"
            " is not installed: pip install ai-edge-litert"
        ) from error


def packed(model: Any) -> bytes:
    """A `ModelT` as a flatbuffer."""
    builder: Any = importlib.import_module("flatbuffers").Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def plain_product() -> bytes:
    """The flatbuffer: int8 `(ROWS, INNER)` times constant weights gives int8 `(ROWS, COLUMNS)`. All
    of it fits into a core's caches. Raises RuntimeMissingError."""
    weights = np.random.default_rng(1).integers(-127, 128, (COLUMNS, INNER), np.int8)
    return product_network(weights, ROWS, 128**2 / 4)


def product_network(weights: NDArray[np.int8], rows: int, step: float) -> bytes:
    """The flatbuffer of a FULLY_CONNECTED without a bias, quantized per tensor: int8 `(rows, d)`
    times weights `(n, d)` gives int8 `(rows, n)`, one of which is `step` of the product of whole
    numbers. Raises RuntimeMissingError."""
    schema = flatbuffer_schema()
    columns, inner = weights.shape
    model, graph = schema.ModelT(), schema.SubGraphT()
    data = schema.BufferT()
    data.data = weights.reshape(-1).view(np.uint8)
    bias = schema.BufferT()
    bias.data = np.zeros(columns * 4, np.uint8)
    model.version, model.buffers, model.subgraphs = 3, [schema.BufferT(), data, bias], [graph]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    code.version = 4
    model.operatorCodes = [code]
    int8, int32 = schema.TensorType.INT8, schema.TensorType.INT32
    graph.tensors = [
        _tensor(schema, "x", (rows, inner), int8, 0, 1 / 128),
        _tensor(schema, "weights", (columns, inner), int8, 1, 1 / 128),
        _tensor(schema, "bias", (columns,), int32, 2, 1 / 128**2),
        _tensor(schema, "y", (rows, columns), int8, 0, step / 128**2),
    ]
    graph.inputs, graph.outputs = [0], [3]
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [0, 1, 2], [3]
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    graph.operators = [operator]
    return packed(model)


def _tensor(
    schema: Any, name: str, shape: tuple[int, ...], kind: int, buffer: int, scale: float
) -> Any:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, buffer
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [0]
    return tensor
