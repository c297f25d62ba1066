"""The face detector: an image in, faces in image pixels out."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import ModelError
from edgeface.inference.decode import (
    Candidates,
    LevelDecoder,
    best_first,
    level_shapes,
    suppress,
)
from edgeface.inference.description import DetectorDescription
from edgeface.inference.network import Preprocessor, network_of
from edgeface.inference.package import ModelPackage
from edgeface.inference.runtimes import Interpreter
from edgeface.recognition.values import Box, Face, Image

DOUBTFUL: Final = 0.5
"""The share of the score threshold from which on a face is at least a doubtful one."""


class Detector:
    """Finds faces with five landmarks. Owned by one thread."""

    def __init__(
        self,
        package: ModelPackage,
        interpreter: Interpreter,
        *,
        score_threshold: float | None = None,
        max_faces: int = 8,
    ) -> None:
        """`score_threshold` in (0, 1) replaces the package's.

        Raises ModelError when the package is no detector or the model is not as it says.
        """
        description = package.description
        if not isinstance(description, DetectorDescription):
            raise ModelError(f"{package.folder}: {description.task}, not a face detector")
        output, rules = description.output, description.input
        size = (rules.width, rules.height)
        shapes: dict[str, list[tuple[int, ...]]] = {}
        for level in output.levels:
            shapes |= level_shapes(output, level, *size)
        self._network = network_of(package, interpreter, shapes)
        self.package = package
        self.input_size_px: Final = size
        """Width and height of the model's input."""
        self.usual_score: Final = output.score_threshold
        """The package's threshold, from which faces count when nothing else is asked for."""
        self._max_faces = max_faces
        self._nms_iou = output.nms_iou
        threshold = output.score_threshold if score_threshold is None else score_threshold
        self._sure: Final = threshold - 1e-6  # what lies on it, but for rounding, reaches it
        specs = {spec.name: spec for spec in self._network.outputs}
        self._levels, self._doubtful_levels = (
            [
                LevelDecoder(
                    output,
                    level,
                    size,
                    (specs[level.score], specs[level.box], specs[level.landmarks]),
                    least,
                )
                for level in output.levels
            ]
            for least in (threshold, DOUBTFUL * threshold)
        )
        self._preprocessor = Preprocessor(rules, self._network.input)

    def close(self) -> None:
        """Let go of the model and what it runs on; safe to call twice. It cannot be run then."""
        self._network.close()

    def detect(
        self,
        image_bgr: Image,
        scale: tuple[float, float] = (1.0, 1.0),
        *,
        doubtful: bool = False,
    ) -> list[Face]:
        """Faces, best first; at most `max_faces`; if `doubtful`, from `DOUBTFUL` of the threshold,
        and those below it are not `sure`.

        `scale` is `Frame.detect_scale`: the results are multiplied by it, so that they are in
        pixels of the full image when `image_bgr` is the smaller one. Boxes may reach beyond the
        image where a face is cut off. Raises ModelError when the model cannot be run.
        """
        tensor, (fit_x, fit_y) = self._preprocessor.fit(image_bgr)
        found = self._run(tensor, self._doubtful_levels if doubtful else self._levels)
        factor = np.array([scale[0] / fit_x, scale[1] / fit_y] * 2, np.float32)
        boxes = (found.boxes * factor).tolist()
        landmarks = found.landmarks * factor[:2]
        scores = found.scores.tolist()
        zoom = float(1 / factor.max())
        return [
            Face(Box(*box), marks, score, zoom, score >= self._sure)
            for box, marks, score in zip(boxes, landmarks, scores, strict=True)
        ]

    def detect_input(self, pixels: Image) -> Candidates:
        """Faces in an input of the model's own size and channel order, in input pixels."""
        return self._run(self._preprocessor.encode(pixels), self._levels)

    def _run(self, tensor: NDArray[Any], levels: list[LevelDecoder]) -> Candidates:
        raw = self._network.run(tensor)
        found = best_first(
            [level.decode(*raw[3 * number : 3 * number + 3]) for number, level in enumerate(levels)]
        )
        return suppress(found, self._nms_iou, self._max_faces)
