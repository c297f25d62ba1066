"""A TFLite file as plain values: operators, tensors, parameters."""

from __future__ import annotations

import importlib
import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from edgeface.base.errors import ModelError, RuntimeMissingError

_SCHEMAS: Final = ("ai_edge_litert.schema_py_generated", "tflite")
"""Modules that the schema's compiler has made: that of ai-edge-litert, and the package for those
who have tflite-runtime, which brings none."""
OPTIONS: Final = (
    "Axis",
    "DilationHFactor",
    "DilationWFactor",
    "EllipsisMask",
    "FilterHeight",
    "FilterWidth",
    "FusedActivationFunction",
    "NewAxisMask",
    "StrideH",
    "WeightsFormat",
)
"""The operators' options that are read, as the schema spells them."""


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
    options: Mapping[str, int]
    """Those of `OPTIONS` that it has."""
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
    for name in _SCHEMAS:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    raise RuntimeMissingError(
        "reading a .tflite file needs its schema: pip install ai-edge-litert, or, beside "
        "tflite-runtime, pip install tflite"
    )


def read_model(content: bytes) -> GraphFacts:
    """Read a flatbuffer.

    Raises ModelError when it is none, RuntimeMissingError where there is no schema to read it by.
    """
    schema = _schema()
    if content[4:8] != b"TFL3":
        raise ModelError("not a TFLite flatbuffer (no TFL3 mark)")
    try:
        model = schema.Model.GetRootAsModel(content, 0)
        graph = model.Subgraphs(0)
        tensors = tuple(
            _tensor(schema, tensor, model.Buffers(tensor.Buffer()))
            for tensor in _each(graph.Tensors, graph.TensorsLength())
        )
        operators = tuple(
            _operator(schema, operator, model.OperatorCodes(operator.OpcodeIndex()))
            for operator in _each(graph.Operators, graph.OperatorsLength())
        )
        inputs = _integers(graph.Inputs, graph.InputsLength())
        outputs = _integers(graph.Outputs, graph.OutputsLength())
        named = (*inputs, *outputs, *(i for op in operators for i in op.inputs + op.outputs))
        if not all(-1 <= index < len(tensors) for index in named):
            raise IndexError("it names a tensor that it has not got")
        return GraphFacts(
            subgraphs=model.SubgraphsLength(),
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


def _each(item: Callable[[int], Any], count: int) -> list[Any]:
    return [item(number) for number in range(count)]


def _integers(item: Callable[[int], Any], count: int) -> tuple[int, ...]:
    return tuple(int(value) for value in _each(item, count))


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")


def _tensor(schema: Any, tensor: Any, buffer: Any) -> TensorFacts:
    quantization = tensor.Quantization()
    scales: list[Any] = []
    zero_points: tuple[int, ...] = ()
    if quantization is not None:
        scales = _each(quantization.Scale, quantization.ScaleLength())
        zero_points = _integers(quantization.ZeroPoint, quantization.ZeroPointLength())
    signature = _integers(tensor.ShapeSignature, tensor.ShapeSignatureLength())
    return TensorFacts(
        name=_text(tensor.Name()),
        dtype=_name_of(schema.TensorType, tensor.Type()),
        shape=_integers(tensor.Shape, tensor.ShapeLength()),
        dynamic=any(size < 0 for size in signature),
        scales=tuple(float(scale) for scale in scales),
        zero_points=zero_points,
        bytes=buffer.DataLength(),
    )


def _operator(schema: Any, operator: Any, code: Any) -> OperatorFacts:
    # Old files have the code only in the deprecated field, new codes only in the other.
    number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    custom = number == schema.BuiltinOperator.CUSTOM
    payload = operator.CustomOptionsAsNumpy() if operator.CustomOptionsLength() else b""
    return OperatorFacts(
        name=_text(code.CustomCode()) if custom else _name_of(schema.BuiltinOperator, number),
        custom=custom,
        version=int(code.Version()),
        inputs=_integers(operator.Inputs, operator.InputsLength()),
        outputs=_integers(operator.Outputs, operator.OutputsLength()),
        options=_options(schema, operator),
        payload=bytes(payload),
    )


def _options(schema: Any, operator: Any) -> dict[str, int]:
    union = operator.BuiltinOptions()
    kind = getattr(schema, _name_of(schema.BuiltinOptions, operator.BuiltinOptionsType()), None)
    if union is None or kind is None:
        return {}
    options = kind()
    options.Init(union.Bytes, union.Pos)
    found = {name: getattr(options, name) for name in OPTIONS if hasattr(options, name)}
    return {name: int(read()) for name, read in found.items()}
