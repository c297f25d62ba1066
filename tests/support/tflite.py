"""Builds small int8 flatbuffers without TensorFlow, for tests of what reads or runs one."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from edgeface.inference.edgetpu_rules import EDGETPU_OPERATOR

try:
    from ai_edge_litert import schema_py_generated as schema
except ImportError:
    # `make test-tflite` keeps this one module; what ships reads files by another schema there.
    import schema_py_generated as schema

_DTYPES = {
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int32": schema.TensorType.INT32,
    "float32": schema.TensorType.FLOAT32,
}
OPS = schema.BuiltinOperator
OPTIONS = schema.BuiltinOptions


class Graph:
    """One subgraph in the making. Tensors and operators are added in order of execution."""

    def __init__(self) -> None:
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.description = ""
        self._model.buffers = [schema.BufferT()]
        self._model.operatorCodes = []
        self._subgraph = schema.SubGraphT()
        self._subgraph.tensors = []
        self._subgraph.operators = []
        self._model.subgraphs = [self._subgraph]
        self._codes: dict[tuple[int, int, str], int] = {}

    def tensor(
        self,
        name: str,
        shape: Sequence[int],
        dtype: str = "int8",
        scale: float | Sequence[float] | None = 1.0,
        zero: int = 0,
        data: NDArray[Any] | None = None,
        *,
        signature: Sequence[int] | None = None,
        axis: int = 0,
    ) -> int:
        """Add a tensor; a constant when `data` is given. Returns its index."""
        tensor = schema.TensorT()
        tensor.name = name
        tensor.shape = list(shape)
        tensor.type = _DTYPES[dtype]
        if signature is not None:
            tensor.shapeSignature = list(signature)
        if scale is not None:
            scales = [scale] if isinstance(scale, float) else list(scale)
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = scales
            tensor.quantization.zeroPoint = [zero] * len(scales)
            tensor.quantization.quantizedDimension = axis
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            self._model.buffers.append(buffer)
            tensor.buffer = len(self._model.buffers) - 1
        self._subgraph.tensors.append(tensor)
        return len(self._subgraph.tensors) - 1

    def op(
        self,
        code: int,
        inputs: Sequence[int],
        outputs: Sequence[int],
        *,
        version: int = 1,
        options: Any = None,
        options_type: int = 0,
        custom: str = "",
        payload: bytes = b"",
    ) -> None:
        """Add an operator."""
        key = (code, version, custom)
        if key not in self._codes:
            entry = schema.OperatorCodeT()
            entry.builtinCode = code
            entry.deprecatedBuiltinCode = min(code, 127)
            entry.version = version
            if custom:
                entry.customCode = custom
            self._model.operatorCodes.append(entry)
            self._codes[key] = len(self._model.operatorCodes) - 1
        operator = schema.OperatorT()
        operator.opcodeIndex = self._codes[key]
        operator.inputs = list(inputs)
        operator.outputs = list(outputs)
        if options is not None:
            operator.builtinOptions = options
            operator.builtinOptionsType = options_type
        if payload:
            operator.customOptions = np.frombuffer(payload, np.uint8)
        self._subgraph.operators.append(operator)

    def conv(
        self,
        source: int,
        target: int,
        weights: NDArray[np.int8],
        bias: NDArray[np.int32],
        *,
        stride: int,
        scale: float,
        bias_scale: float,
        version: int = 3,
    ) -> None:
        """CONV_2D with SAME padding; `weights` int8 `(out, h, w, in)`."""
        name = f"w{len(self._subgraph.tensors)}"
        kernel = self.tensor(name, weights.shape, scale=[scale] * len(weights), data=weights)
        offset = self.tensor(name + "_b", bias.shape, "int32", [bias_scale] * len(bias), data=bias)
        options = schema.Conv2DOptionsT()
        options.strideH = options.strideW = stride
        options.dilationHFactor = options.dilationWFactor = 1
        options.padding = schema.Padding.SAME
        self.op(
            OPS.CONV_2D,
            [source, kernel, offset],
            [target],
            version=version,
            options=options,
            options_type=OPTIONS.Conv2DOptions,
        )

    def dense(
        self,
        source: int,
        target: int,
        weights: NDArray[np.int8],
        bias: NDArray[np.int32],
        *,
        scale: float | Sequence[float],
        bias_scale: float | Sequence[float],
        version: int = 4,
    ) -> None:
        """FULLY_CONNECTED; `weights` int8 `(out, in)`."""
        name = f"w{len(self._subgraph.tensors)}"
        kernel = self.tensor(name, weights.shape, scale=scale, data=weights)
        offset = self.tensor(name + "_b", bias.shape, "int32", bias_scale, data=bias)
        self.op(
            OPS.FULLY_CONNECTED,
            [source, kernel, offset],
            [target],
            version=version,
            options=schema.FullyConnectedOptionsT(),
            options_type=OPTIONS.FullyConnectedOptions,
        )

    def accelerated(self, tensors: Sequence[int]) -> list[int]:
        """Copies of `tensors`, under their names, that only an Edge TPU's delegate can make, by the
        one operator that a compiled file has."""
        copies = []
        for index in tensors:
            before = self._subgraph.tensors[index]
            after = copy.copy(before)
            before.name += "_before"
            self._subgraph.tensors.append(after)
            copies.append(len(self._subgraph.tensors) - 1)
        self.op(OPS.CUSTOM, tensors, copies, custom=EDGETPU_OPERATOR, payload=b"DWN1")
        return copies

    def build(self, inputs: Sequence[int], outputs: Sequence[int]) -> bytes:
        """The finished file."""
        self._subgraph.inputs = list(inputs)
        self._subgraph.outputs = list(outputs)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def relu_model() -> bytes:
    """`y = relu(x)` over four int8 numbers: the smallest file that any runtime runs."""
    graph = Graph()
    x = graph.tensor("x", (1, 4), scale=0.5)
    y = graph.tensor("y", (1, 4), scale=0.5)
    graph.op(OPS.RELU, [x], [y], version=2)
    return graph.build([x], [y])
