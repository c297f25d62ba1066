"""The passive presentation attack detector: faces with their surroundings in, scores out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import ModelError
from edgeface.inference.description import LivenessDescription
from edgeface.inference.network import Preprocessor, network_of
from edgeface.inference.package import DESCRIPTION_FILE, ModelPackage
from edgeface.inference.runtimes import Interpreter
from edgeface.recognition.values import Image


class PassiveLiveness:
    """Scores pictures of one face each, one invocation a picture. Owned by one thread.

    Satisfies `recognition.values.LivenessScorer`.
    """

    def __init__(
        self, package: ModelPackage, interpreter: Interpreter, bpcer: float = 0.01
    ) -> None:
        """`bpcer`: the share of live people that the threshold may refuse (ISO/IEC 30107-3). Raises
        ModelError when the package is of another task or the model is not as it says."""
        description = package.description
        if not isinstance(description, LivenessDescription):
            raise ModelError(f"{package.folder}: {description.task}, not an attack detector")
        output = description.output
        shapes = [(1, 1), (1, 1, 1, 1)]
        self._network = network_of(package, interpreter, {output.tensor: shapes})
        self._logit = output.score == "logit"
        self._description = description
        self._bpcer = bpcer
        self.distrusted: str | None = None
        """Why there is no score, see `distrust`."""
        self.package = package
        self.surroundings: float = description.surroundings
        self._preprocessor = Preprocessor(description.input, self._network.input)

    def close(self) -> None:
        """Let go of the model and what it runs on; safe to call twice. It cannot be run then."""
        self._network.close()

    @property
    def threshold(self) -> float:
        """The mean score of a track below which it is an attack. Raises ModelError where there is
        no calibration, or none for so few refusals."""
        return self.threshold_at(self._bpcer)

    def threshold_at(self, bpcer: float) -> float:
        """The same where that share of live people may be refused (ISO/IEC 30107-3).

        Raises ModelError where there is no calibration, or none for so few.
        """
        source = self.package.folder / DESCRIPTION_FILE
        calibration = self._description.calibration
        if calibration is None:
            raise ModelError(f"{source}: calibration: missing, so no threshold can be set")
        try:
            return calibration.threshold(bpcer)
        except ModelError as error:
            raise ModelError(f"{source}: {error}") from error

    def score(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """float32 `(n,)` in [0, 1], the higher the more surely live.

        Each crop is BGR uint8, the square of `surroundings` times the longer side of the face's box
        about its center, of any size. Raises ModelError when the model cannot be run, or is not to
        be relied on.
        """
        if self.distrusted is not None:
            raise ModelError(self.distrusted)
        scores = np.empty(len(crops), np.float32)
        for place, crop in enumerate(crops):
            tensor, _ = self._preprocessor.fit(crop)
            scores[place] = self._run(tensor)
        return scores

    def distrust(self, why: str | None) -> None:
        """From now on it has no score, for a reason; None: it has again."""
        self.distrusted = why

    def score_input(self, pixels: Image) -> float:
        """The score of an input of the model's own size and channel order."""
        return self._run(self._preprocessor.encode(np.ascontiguousarray(pixels)))

    def _run(self, tensor: NDArray[np.generic]) -> float:
        (raw,) = self._network.run(tensor)
        value = float(self._network.outputs[0].dequantize(raw).reshape(()))
        return float(1 / (1 + np.exp(-value))) if self._logit else value
