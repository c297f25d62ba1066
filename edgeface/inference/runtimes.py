"""The TFLite runtimes a device may have, and which of them really works."""

from __future__ import annotations

import base64
import ctypes
import importlib
import importlib.metadata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import ModelError, RuntimeMissingError

RUNTIMES: Mapping[str, str] = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
}
"""Distribution name to module, in order of preference."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "auto": tuple(RUNTIMES),
    "litert": ("ai-edge-litert",),
    "tflite": ("tflite-runtime",),
}
"""What `models.runtime` stands for."""

PROBE_MODEL = base64.b64decode(
    "GAAAAFRGTDMAAA4AGAAUABAADAAIAAQADgAAABQAAAAgAAAAJAAAAEQBAAADAAAAAQAAAAgAAAAEAAQABAAAAAAAAAAA"
    "AAAAAQAAABAAAAAMABQAEAAMAAgABAAMAAAAEAAAADwAAABAAAAARAAAAAEAAAAQAAAAAAAKAAwAAAAIAAQACgAAAAgA"
    "AAAMAAAAAQAAAAEAAAABAAAAAAAAAAEAAAABAAAAAQAAAAAAAAACAAAAZAAAAAQAAACy////EAAAADAAAAAAAAAJMAAA"
    "AKT///8IAAAAFAAAAAEAAAAAAAAAAAAAAAAAAAABAAAAAAAAPwEAAAB5AAAAAgAAAAEAAAAEAAAAAAAOABQAEAAPAAAA"
    "CAAEAA4AAAAcAAAAOAAAAAAAAAk4AAAADAAMAAAAAAAIAAQADAAAAAgAAAAQAAAAAQAAAAAAAAAAAAAAAQAAAAAAAD8B"
    "AAAAeAAAAAIAAAABAAAABAAAAAEAAAAQAAAADAAQAA8AAAAIAAQADAAAABMAAAACAAAAAAAAEw=="
)
"""The smallest model that shows whether a runtime works, `y = relu(x)`; `x` and `y` int8 `(1, 4)`,
scale 0.5, zero point 0.

Importing a TFLite runtime proves nothing: tflite-runtime 2.14 imports under numpy 2 and fails only
when an interpreter is built."""

PROBE_INPUT = (-3, -1, 0, 5)
PROBE_OUTPUT = (0, 0, 0, 5)


class Interpreter(Protocol):
    """What is used of a TFLite interpreter. Not thread-safe: one thread owns it.

    `invoke` releases the GIL; nothing else may be called on the object while it runs.
    """

    def allocate_tensors(self) -> None: ...

    def get_input_details(self) -> list[dict[str, Any]]: ...

    def get_output_details(self) -> list[dict[str, Any]]: ...

    def set_tensor(self, tensor_index: int, value: NDArray[Any]) -> None: ...

    def invoke(self) -> None: ...

    def get_tensor(self, tensor_index: int) -> NDArray[Any]: ...


@dataclass(frozen=True, slots=True)
class Runtime:
    """An importable TFLite runtime."""

    name: str
    """Distribution name, as pip knows it."""
    version: str
    module: Any
    """The imported module with `Interpreter` and `load_delegate`."""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    def interpreter(
        self, content: bytes, *, threads: int = 1, delegates: Sequence[Any] = ()
    ) -> Interpreter:
        """An interpreter over the flatbuffer `content`, tensors allocated.

        Raises ModelError when the runtime refuses the file.
        """
        try:
            made: Interpreter = self.module.Interpreter(
                model_content=content,
                num_threads=threads,
                experimental_delegates=list(delegates) or None,
            )
            made.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ModelError(f"{self} refuses the model: {reason}") from error
        return made

    def load_delegate(self, library: str, options: Mapping[str, str]) -> Any:
        """A delegate from a shared library.

        Raises RuntimeMissingError when the library is missing (the runtimes raise OSError for that,
        against their documentation) or refuses (ValueError, often without a message).
        """
        try:
            # Looked at first: the runtimes' Delegate.__del__ fails noisily on a half-made object.
            _ = ctypes.CDLL(library).tflite_plugin_destroy_delegate
            return self.module.load_delegate(library, dict(options))
        except OSError as error:
            raise RuntimeMissingError(f"{library} cannot be loaded: {error}") from error
        except AttributeError as error:
            raise RuntimeMissingError(f"{library} is no TFLite delegate: {error}") from error
        except ValueError as error:
            reason = " ".join(str(error).split()) or "no reason given"
            raise RuntimeMissingError(f"{library} refused: {reason}") from error


def probe_runtime(name: str) -> Runtime:
    """Import one runtime of `RUNTIMES` and run the probe model on it.

    Raises RuntimeMissingError with the reason why it cannot be used.
    """
    try:
        module = importlib.import_module(RUNTIMES[name])
        runtime = Runtime(name, importlib.metadata.version(name), module)
        interpreter = runtime.interpreter(PROBE_MODEL)
        index = interpreter.get_input_details()[0]["index"]
        interpreter.set_tensor(index, np.array([PROBE_INPUT], np.int8))
        interpreter.invoke()
        output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    except ModuleNotFoundError as error:
        raise RuntimeMissingError(f"{name}: not installed") from error
    except Exception as error:
        # A runtime built for another numpy raises ImportError, SystemError or AttributeError.
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RuntimeMissingError(f"{name}: installed but unusable: {reason}") from error
    if tuple(output[0].tolist()) != PROBE_OUTPUT:
        raise RuntimeMissingError(f"{name}: computes wrong results on the probe model")
    return runtime


def working_runtimes(choice: str = "auto", refused: list[str] | None = None) -> Iterator[Runtime]:
    """The runtimes of `CHOICES[choice]` that run the probe model, each tried when it is asked for.

    Why one was passed over is added to `refused`. Raises RuntimeMissingError when there is none,
    with the reasons and what to install.
    """
    reasons = [] if refused is None else refused
    found = False
    for name in CHOICES[choice]:
        try:
            runtime = probe_runtime(name)
        except RuntimeMissingError as error:
            reasons.append(str(error))
        else:
            found = True
            yield runtime
    if not found:
        asked = "" if choice == "auto" else f" for models.runtime: {choice}"
        raise RuntimeMissingError(
            f"no TFLite runtime works here{asked} ({'; '.join(reasons)}); install one: "
            'pip install ai-edge-litert (64 bit), or pip install "tflite-runtime" "numpy<2"'
        )


def find_runtime(choice: str = "auto") -> Runtime:
    """The first of `working_runtimes`. Raises RuntimeMissingError."""
    return next(working_runtimes(choice))
