"""A loaded model: an interpreter whose input and outputs were found by name and checked once.

Tensors are quantised by their own parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import ModelError
from edgeface.inference.package import ModelPackage
from edgeface.inference.runtimes import Interpreter

_DTYPES = (np.dtype(np.int8), np.dtype(np.uint8), np.dtype(np.float32))


@dataclass(frozen=True, slots=True)
class Quantization:
    """`real = (q - zero_point) * scale`, one scale for the whole tensor."""

    scale: float
    zero_point: int


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """An input or output tensor of a loaded model."""

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    """int8, uint8 or float32."""
    quantization: Quantization | None
    """None for float32, where quantised and real values are the same."""

    def quantize(self, real: NDArray[np.floating[Any]]) -> NDArray[Any]:
        """Real values to the tensor's dtype: `clip(round(x / scale) + zero_point)`.

        Halves are rounded away from zero, as TFLite's own QUANTIZE does.
        """
        if self.quantization is None:
            return real.astype(np.float32)
        scaled = np.asarray(real, np.float64) / self.quantization.scale
        rounded = np.trunc(scaled + np.copysign(0.5, scaled)) + self.quantization.zero_point
        limits = np.iinfo(self.dtype)
        clipped: NDArray[Any] = np.clip(rounded, limits.min, limits.max).astype(self.dtype)
        return clipped

    def dequantize(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """The tensor's values as float32."""
        if self.quantization is None:
            return values.astype(np.float32, copy=False)
        centred = values.astype(np.float32) - np.float32(self.quantization.zero_point)
        return centred * np.float32(self.quantization.scale)

    def least_at(self, real: float) -> float:
        """The smallest stored value whose real value is at least `real`.

        Lets raw tensors be compared with a threshold. It may lie outside the dtype's range: then
        every value, or none, reaches `real`.
        """
        if self.quantization is None:
            return real
        steps = real / self.quantization.scale
        # A value that lies on the threshold up to rounding noise counts as reaching it.
        return float(np.ceil(steps - 1e-6) + self.quantization.zero_point)


def read_spec(detail: Mapping[str, Any]) -> TensorSpec:
    """A spec from one entry of `get_input_details()` or `get_output_details()`.

    Raises ModelError on a dtype other than int8, uint8 and float32, a size that is not fixed, or a
    quantisation that is missing or per channel.
    """
    name = str(detail["name"])
    dtype = np.dtype(detail["dtype"])
    if dtype not in _DTYPES:
        raise ModelError(f"tensor '{name}' is {dtype}; int8, uint8 or float32 is needed")
    signature = [int(size) for size in detail.get("shape_signature", detail["shape"])]
    if any(size < 0 for size in signature):
        raise ModelError(f"tensor '{name}' has no fixed size: {signature}")
    quantization = None
    if dtype != np.float32:
        scales = detail["quantization_parameters"]["scales"]
        zeros = detail["quantization_parameters"]["zero_points"]
        if len(scales) != 1 or not scales[0] > 0:
            raise ModelError(f"tensor '{name}' has no single quantisation scale above 0")
        quantization = Quantization(float(scales[0]), int(zeros[0]))
    shape = tuple(int(size) for size in detail["shape"])
    return TensorSpec(name, int(detail["index"]), shape, dtype, quantization)


def find_tensor(
    details: Iterable[Mapping[str, Any]], name: str, shapes: Sequence[tuple[int, ...]]
) -> TensorSpec:
    """The tensor called `name`, with one of `shapes`.

    Raises ModelError naming what there is instead.
    """
    known = {str(detail["name"]): detail for detail in details}
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise ModelError(f"the model has no tensor '{name}' at that end; it has: {names}")
    spec = read_spec(known[name])
    if spec.shape not in shapes:
        wanted = " or ".join(str(shape) for shape in shapes)
        raise ModelError(f"tensor '{name}' has shape {spec.shape}; {wanted} is needed")
    return spec


def network_of(
    package: ModelPackage,
    interpreter: Interpreter,
    outputs: Mapping[str, Sequence[tuple[int, ...]]],
) -> Network:
    """The package's model, as `Network`; a ModelError names the package."""
    rules = package.description.input
    try:
        return Network(
            interpreter,
            input_name=rules.tensor,
            input_shape=(1, rules.height, rules.width, 3),
            outputs=outputs,
        )
    except ModelError as error:
        raise ModelError(f"{package.folder}: {error}") from error


class Network:
    """One input, several outputs by name. Owned by one thread."""

    def __init__(
        self,
        interpreter: Interpreter,
        *,
        input_name: str,
        input_shape: tuple[int, ...],
        outputs: Mapping[str, Sequence[tuple[int, ...]]],
    ) -> None:
        """Look up the input and the `outputs` (name to the shapes allowed).

        Raises ModelError when a tensor is missing or has another shape or an unusable type.
        """
        self._interpreter = interpreter
        self.input = find_tensor(interpreter.get_input_details(), input_name, [input_shape])
        details = interpreter.get_output_details()
        self.outputs: tuple[TensorSpec, ...] = tuple(
            find_tensor(details, name, shapes) for name, shapes in outputs.items()
        )

    def run(self, tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """Invoke the model; copies of its raw outputs, in the order of `outputs`.

        Raises ModelError when the runtime or the accelerator fails.
        """
        try:
            self._interpreter.set_tensor(self.input.index, tensor)
            self._interpreter.invoke()
            return [np.asarray(self._interpreter.get_tensor(out.index)) for out in self.outputs]
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"the model cannot be run: {' '.join(str(error).split())}") from error
