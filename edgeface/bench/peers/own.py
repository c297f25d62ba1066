"""This project as one of the systems: its pipeline, with the decisions of the daemon."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from edgeface.bench.peers.contestant import serve
from edgeface.bench.pipeline_bench import index_of
from edgeface.evaluation.opener import Opener
from edgeface.gallery.locate import find_portrait
from edgeface.recognition.alignment import align
from edgeface.recognition.frame import Frame
from edgeface.recognition.pipeline import Gallery, Pipeline, PipelineRules
from edgeface.recognition.values import Face, Image

_BEGINNING: Final = datetime(2026, 1, 1, tzinfo=UTC)
_BOOTED_S: Final = 10.0


class Edgeface:
    """The models and rules that ship."""

    def __init__(self, _: dict[str, Any]) -> None:
        opener = Opener()
        self._detector, self._embedder = opener.detector(), opener.embedder()
        self._pipeline = Pipeline(
            self._detector, self._embedder, self._embedder.package.calibration, PipelineRules()
        )
        self._names: list[str] = []
        self._rows: list[np.ndarray[Any, np.dtype[np.float32]]] = []
        self._gallery: Gallery | None = None
        self._number = 0

    def enroll(self, name: str, image_bgr: Image) -> bool:
        """One picture of somebody."""
        face = find_portrait(self._detector, image_bgr, 0.5)
        if not isinstance(face, Face):
            return False
        crop = align(image_bgr, face.landmarks, self._embedder.alignment)
        self._names.append(name)
        self._rows.append(self._embedder.embed([crop])[0])
        return True

    def name(self, image_bgr: Image, at_s: float) -> list[str | None]:
        """What is decided with this frame."""
        self._gallery = self._gallery or self._index()
        self._number += 1
        frame = Frame(
            image_bgr,
            "bench",
            self._number,
            _BEGINNING + timedelta(seconds=at_s),
            round((_BOOTED_S + at_s) * 1e9),
        )
        decisions = self._pipeline.process(frame, self._gallery).decisions
        return [decision.display_name for decision in decisions]

    def _index(self) -> Gallery:
        index = index_of(np.stack(self._rows), self._names, self._embedder.space_id)
        return Gallery(index, np.ones(len(self._names), np.bool_))


if __name__ == "__main__":
    serve(Edgeface)
