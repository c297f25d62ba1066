"""A loaded model: an interpreter whose input and outputs were looked up and checked once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import ModelError
from edgeface.inference.package import ModelPackage
from edgeface.inference.runtimes import Interpreter
from edgeface.inference.tensors import TensorSpec, find_tensor


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
