"""The values that flow through recognition: box, face, embedding; and who makes and scores them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
"""uint8 `(h, w, 3)`. Frames are BGR, aligned crops RGB."""

Landmarks: TypeAlias = NDArray[np.float32]
"""float32 `(5, 2)`, x and y in pixels: image-left eye, image-right eye, nose tip, image-left and
image-right mouth corner."""

Embedding: TypeAlias = NDArray[np.float32]
"""float32 `(d,)`, unit L2 norm; d is 128 where the embedder is the one that ships."""


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned rectangle in float pixels; `right` and `bottom` are outside it."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Pixels; negative for an invalid box."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Pixels; negative for an invalid box."""
        return self.bottom - self.top

    @property
    def area(self) -> float:
        """Square pixels, 0 for an invalid box."""
        return max(0.0, self.width) * max(0.0, self.height)

    @property
    def center(self) -> tuple[float, float]:
        """x, y in pixels."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def scale(self, x: float, y: float) -> Box:
        """A new box with the coordinates multiplied."""
        return Box(self.left * x, self.top * y, self.right * x, self.bottom * y)

    def translate(self, x: float, y: float) -> Box:
        """A new box moved by x, y pixels."""
        return Box(self.left + x, self.top + y, self.right + x, self.bottom + y)

    def intersect(self, other: Box) -> Box:
        """The common part; its area is 0 when there is none."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    def iou(self, other: Box) -> float:
        """Intersection over union in [0, 1]; 0 when both are empty."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        common = max(0.0, across) * max(0.0, down)
        union = self.area + other.area - common
        return common / union if union > 0 else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One detected face, in pixels of the full image."""

    box: Box
    landmarks: Landmarks
    score: float
    """Detector confidence in [0, 1]."""
    zoom: float = 1.0
    """Pixels of the detector's input per pixel of the image: how closely it was looked at."""
    sure: bool = True
    """Whether the score reaches the detector's threshold; a doubtful one does not."""


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """Where the landmarks lie in an embedder's square crops."""

    name: str
    size_px: int
    template: Landmarks


class FaceDetector(Protocol):
    """Finds faces; `edgeface.inference.detector.Detector` is one."""

    def detect(
        self, image_bgr: Image, scale: tuple[float, float] = (1.0, 1.0), *, doubtful: bool = False
    ) -> list[Face]:
        """Faces, in pixels of the full image: those of `image_bgr` times `scale`; also uncertain
        ones if `doubtful`."""


class FaceEmbedder(Protocol):
    """Embeds aligned crops; `edgeface.inference.embedder.Embedder` is one."""

    @property
    def alignment(self) -> Alignment:
        """What its crops are aligned to."""

    def embed(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """float32 `(n, d)`, unit rows, one for each RGB crop."""


class LivenessScorer(Protocol):
    """Tells live faces from pictures of faces, one crop by itself."""

    @property
    def surroundings(self) -> float:
        """The side of its square crops, about the center of the face's box, over the longer side
        of that box."""

    @property
    def threshold(self) -> float:
        """The mean score of a track below which it is an attack, in [0, 1]."""

    def score(self, crops: Sequence[Image]) -> NDArray[np.float32]:
        """float32 `(n,)` in [0, 1], higher is more alive, for square BGR crops of any size;
        what of them lies outside of the image repeats its edge."""
