"""A loaded model: an interpreter whose input and outputs were found by name and checked once.

Tensors are quantized by their own parameters; pixels become an input tensor through one table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import ModelError
from edgeface.inference.description import Preprocessing
from edgeface.inference.package import ModelPackage
from edgeface.inference.runtimes import Interpreter
from edgeface.recognition.values import Image

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
    """None for float32, where quantized and real values are the same."""

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
        centered = values.astype(np.float32) - np.float32(self.quantization.zero_point)
        return centered * np.float32(self.quantization.scale)

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
    quantization that is missing or per channel.
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
            raise ModelError(f"tensor '{name}' has no single quantization scale above 0")
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
        self._interpreter: Interpreter | None = interpreter
        self.input = find_tensor(interpreter.get_input_details(), input_name, [input_shape])
        details = interpreter.get_output_details()
        self.outputs: tuple[TensorSpec, ...] = tuple(
            find_tensor(details, name, shapes) for name, shapes in outputs.items()
        )

    def run(self, tensor: NDArray[Any]) -> list[NDArray[Any]]:
        """Invoke the model; copies of its raw outputs, in the order of `outputs`.

        Raises ModelError when the runtime or the accelerator fails, or the model is closed.
        """
        interpreter = self._interpreter
        if interpreter is None:
            raise ModelError("the model cannot be run: it is closed")
        try:
            interpreter.set_tensor(self.input.index, tensor)
            interpreter.invoke()
            return [np.asarray(interpreter.get_tensor(out.index)) for out in self.outputs]
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"the model cannot be run: {' '.join(str(error).split())}") from error

    def close(self) -> None:
        """Let go of the interpreter, and with it of an accelerator; safe to call twice."""
        self._interpreter = None


class Preprocessor:
    """Fills the input tensor of one model.

    A pixel has 256 values, so `(pixel - mean) / std` and the tensor's quantization together are a
    table of 256 entries a channel, computed once; that of a step a level, -1 to 1 for the models
    that ship, is arithmetic that the processor does on many pixels at once. The returned tensor is
    one buffer that the next call overwrites.
    """

    def __init__(self, rules: Preprocessing, tensor: TensorSpec) -> None:
        self._rules = rules
        pixels = np.arange(256, dtype=np.float64)[:, None]
        real = (pixels - np.array(rules.mean_by_channel)) / np.array(rules.std_by_channel)
        table = tensor.quantize(real)
        same = bool((table == table[:, :1]).all())
        # OpenCV looks up in one table for all channels twice as fast as in one for each.
        self._table = np.ascontiguousarray(table[:, :1] if same else table)[None]
        level = np.arange(256)
        steps = np.maximum(level - (level < 128), 0) - 128  # halves are rounded away from zero
        self._is_steps = tensor.dtype == np.int8 and same and np.array_equal(table[:, 0], steps)
        self._buffer = np.empty((1, rules.height, rules.width, 3), tensor.dtype)
        self._filled = (0, 0)

    def encode(self, pixels: Image) -> NDArray[np.generic]:
        """The tensor for pixels that already have the model's size and channel order.

        Raises ValueError on another size.
        """
        if pixels.shape != self._buffer.shape[1:] or pixels.dtype != np.uint8:
            raise ValueError(
                f"uint8 {self._buffer.shape[1:]} is needed, not {pixels.dtype} {pixels.shape}"
            )
        self._filled = (0, 0)
        self._look_up(pixels)
        return self._buffer

    def fit(self, image_bgr: Image) -> tuple[NDArray[np.generic], tuple[float, float]]:
        """The tensor for a BGR image of any size, and (x, y) input pixels per image pixel."""
        rules = self._rules
        height, width = image_bgr.shape[:2]
        if rules.fit == "letterbox":
            factor = min(rules.width / width, rules.height / height)
            inner_width = min(rules.width, max(1, round(width * factor)))
            inner_height = min(rules.height, max(1, round(height * factor)))
        else:
            inner_width, inner_height = rules.width, rules.height
        pixels: NDArray[np.uint8] = image_bgr
        if (inner_height, inner_width) != (height, width):
            pixels = _resize(pixels, inner_width, inner_height)
        if rules.channels == "RGB":
            pixels = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
        if self._filled != (inner_height, inner_width):
            self._buffer[0, inner_height:] = self._table[0, rules.pad]
            self._buffer[0, :inner_height, inner_width:] = self._table[0, rules.pad]
            self._filled = (inner_height, inner_width)
        self._look_up(pixels)
        return self._buffer, (inner_width / width, inner_height / height)

    def _look_up(self, pixels: Image) -> None:
        """Write what the table has for the pixels into the left upper corner of the buffer."""
        height, width = pixels.shape[:2]
        corner = self._buffer[0, :height, :width]
        if self._is_steps:
            dark = np.less(pixels, 128).view(np.uint8)
            np.bitwise_xor(cv2.subtract(pixels, dark), 128, out=corner.view(np.uint8))
        else:
            cv2.LUT(pixels, self._table, dst=corner)


def _resize(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """The image at another size; averaged when it shrinks, so that small faces do not alias.

    Halving is averaging that OpenCV has vectorized, as interpolation between neighbors is, which
    reads every pixel while a side shrinks by a third at most. Halvings first, then interpolation to
    the wanted size or to one that comes to it by halving, take a tenth to a third of the time of
    averaging over areas of any other size, and look the same to the detector.
    """
    rows, columns = image.shape[:2]
    while rows % 2 == columns % 2 == 0 and rows // 2 >= height and columns // 2 >= width:
        rows, columns = rows // 2, columns // 2
        image = _scaled(image, columns, rows, cv2.INTER_AREA)
    twice = 0
    while 2 * rows > 3 * height << twice and 2 * columns > 3 * width << twice:
        twice += 1
    image = _scaled(image, width << twice, height << twice, cv2.INTER_LINEAR)
    for left in range(twice - 1, -1, -1):
        image = _scaled(image, width << left, height << left, cv2.INTER_AREA)
    return image


def _scaled(image: NDArray[np.uint8], width: int, height: int, method: int) -> NDArray[np.uint8]:
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=method), np.uint8)
