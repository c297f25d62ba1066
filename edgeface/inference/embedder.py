"""The face embedder: aligned crops in, unit vectors out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import ModelError
from edgeface.inference.description import EmbedderDescription
from edgeface.inference.network import Preprocessor, network_of
from edgeface.inference.package import ModelPackage
from edgeface.inference.runtimes import Interpreter
from edgeface.recognition.values import Alignment, Embedding, Image


class Embedder:
    """Embeds aligned crops, one invocation a face. Owned by one thread."""

    def __init__(self, package: ModelPackage, interpreter: Interpreter) -> None:
        """Raises ModelError when the package is no embedder or the model is not as it says."""
        description = package.description
        if not isinstance(description, EmbedderDescription):
            raise ModelError(f"{package.folder}: {description.task}, not a face embedder")
        rules, output = description.input, description.output
        shapes = [(1, output.dimensions), (1, 1, 1, output.dimensions)]
        self._network = network_of(package, interpreter, {output.tensor: shapes})
        self.package = package
        self.dimensions: int = output.dimensions
        self.alignment: Alignment = description.template
        self._swap = rules.channels == "BGR"
        self._preprocessor = Preprocessor(rules, self._network.input)

    def close(self) -> None:
        """Let go of the model and what it runs on; safe to call twice. It cannot be run then."""
        self._network.close()

    @property
    def space_id(self) -> str:
        """Id of the space that the embeddings lie in."""
        return self.package.space_id

    def embed(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """float32 `(n, d)`, unit rows, for RGB uint8 crops of the model's input size.

        Raises ValueError on a crop of another size, ModelError when the model cannot be run or
        gives a vector without a direction, which a healthy one never does.
        """
        rows = np.empty((len(crops), self.dimensions), np.float32)
        for row, crop in zip(rows, crops, strict=True):
            row[:] = self.embed_input(crop[..., ::-1] if self._swap else crop)
        return rows

    def embed_input(self, pixels: Image) -> Embedding:
        """The embedding of an input of the model's own size and channel order."""
        (raw,) = self._network.run(self._preprocessor.encode(np.ascontiguousarray(pixels)))
        vector: NDArray[Any] = self._network.outputs[0].dequantize(raw).reshape(-1)
        # The norm is taken in float on the CPU, whatever the model ran on.
        norm = float(np.linalg.norm(vector))
        if not 1e-6 < norm < math.inf:
            raise ModelError(f"{self.package.folder}: the model gave a vector of length {norm:g}")
        return np.asarray(vector / np.float32(norm), np.float32)
