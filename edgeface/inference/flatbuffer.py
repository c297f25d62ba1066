"""A TFLite file as plain values: operators, tensors, parameters."""

from __future__ import annotations

import importlib
import math
import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

from edgeface.base.errors import ModelError, RuntimeMissingError

_SCHEMA = "ai_edge_litert.schema_py_generated"


@dataclass(frozen=True, slots=True)
class TensorFacts:
    """A tensor of the file."""

    name: str
    dtype: str
    """As the schema spells it: INT8, INT32, FLOAT32 ..."""
    shape: tuple[int, ...]
    dynamic: bool
    """A size is left open."""
    scales: tuple[float, ...]
    zero_points: tuple[int, ...]
    bytes: int
    """Size of the constant; 0 for what is computed."""

    @property
    def constant(self) -> bool:
        """Whether the values are in the file."""
        return self.bytes > 0

    @property
    def elements(self) -> int:
        """How many numbers."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True, eq=False)
class OperatorFacts:
    """An operator of the file."""

    name: str
    """Builtin name, or the custom operator's own."""
    custom: bool
    version: int
    inputs: tuple[int, ...]
    """Tensor indices; -1 for one left out."""
    outputs: tuple[int, ...]
    options: Any
    """The schema's options object, or None."""
    payload: bytes
    """Options of a custom operator."""


@dataclass(frozen=True, slots=True, eq=False)
class GraphFacts:
    """A whole file."""

    subgraphs: int
    operators: tuple[OperatorFacts, ...]
    tensors: tuple[TensorFacts, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    size_bytes: int

    @property
    def parameters(self) -> int:
        """How many weights and biases there are."""
        return sum(tensor.elements for tensor in self.tensors if tensor.constant)

    @property
    def parameter_bytes(self) -> int:
        """Their size."""
        return sum(tensor.bytes for tensor in self.tensors)


@cache
def _schema() -> Any:
    try:
        return importlib.import_module(_SCHEMA)
    except ImportError as error:
        raise RuntimeMissingError(
            f"reading a .tflite file needs {_SCHEMA} ({error}); pip install ai-edge-litert"
        ) from error


def read_model(content: bytes) -> GraphFacts:
    """Read a flatbuffer.

    Raises ModelError when it is none, RuntimeMissingError without ai-edge-litert, whose schema
    reads it (tflite-runtime has none).
    """
    schema = _schema()
    if content[4:8] != b"TFL3":
        raise ModelError("not a TFLite flatbuffer (no TFL3 mark)")
    try:
        model = schema.ModelT.InitFromPackedBuf(content, 0)
        graph = model.subgraphs[0]
        buffers = model.buffers
        tensors = tuple(_tensor(schema, tensor, buffers) for tensor in graph.tensors)
        codes = model.operatorCodes
        operators = tuple(
            _operator(schema, operator, codes[operator.opcodeIndex]) for operator in graph.operators
        )
        inputs, outputs = _integers(graph.inputs), _integers(graph.outputs)
        named = (*inputs, *outputs, *(i for op in operators for i in op.inputs + op.outputs))
        if not all(-1 <= index < len(tensors) for index in named):
            raise IndexError("it names a tensor that it has not got")
        return GraphFacts(
            subgraphs=len(model.subgraphs),
            operators=operators,
            tensors=tensors,
            inputs=inputs,
            outputs=outputs,
            size_bytes=len(content),
        )
    except (struct.error, IndexError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"a damaged TFLite flatbuffer: {error}") from error


def _name_of(values: type, number: int) -> str:
    names = {value: name for name, value in vars(values).items() if not name.startswith("_")}
    return str(names.get(number, f"#{number}"))


def _integers(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values) if values is not None else ()


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value or "")


def _tensor(schema: Any, tensor: Any, buffers: Any) -> TensorFacts:
    data = buffers[tensor.buffer].data
    quantization = tensor.quantization
    scales = quantization.scale if quantization is not None else None
    return TensorFacts(
        name=_text(tensor.name),
        dtype=_name_of(schema.TensorType, tensor.type),
        shape=_integers(tensor.shape),
        dynamic=any(size < 0 for size in _integers(tensor.shapeSignature)),
        scales=tuple(float(scale) for scale in scales) if scales is not None else (),
        zero_points=_integers(quantization.zeroPoint) if quantization is not None else (),
        bytes=len(data) if data is not None else 0,
    )


def _operator(schema: Any, operator: Any, code: Any) -> OperatorFacts:
    # Old files have the code only in the deprecated field, new codes only in the other.
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    custom = number == schema.BuiltinOperator.CUSTOM
    payload = operator.customOptions
    return OperatorFacts(
        name=_text(code.customCode) if custom else _name_of(schema.BuiltinOperator, number),
        custom=custom,
        version=int(code.version),
        inputs=_integers(operator.inputs),
        outputs=_integers(operator.outputs),
        options=operator.builtinOptions,
        payload=bytes(payload) if payload is not None else b"",
    )
