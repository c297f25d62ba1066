"""Runs a detector over annotated pictures and over pictures of one face each."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgeface.base.errors import EvaluationError
from edgeface.evaluation.detection import (
    MIN_FACE_PX,
    Matches,
    landmark_distance,
    pair_faces,
    read_boxes,
)
from edgeface.evaluation.opener import DETECTOR, Opener
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.reference import YuNet
from edgeface.evaluation.stills import shown
from edgeface.inference.detector import Detector
from edgeface.recognition.values import Face, Image

LOWEST_SCORE = 0.02
"""Average precision needs the whole curve, so detections far below the threshold count too."""
MAX_FACES = 300
REFERENCE_SCORE = 0.8
"""Landmarks are compared with faces that the reference is sure of."""


def measure_detection(
    root: PictureRoot,
    *,
    detector: str = DETECTOR,
    boxes: Path | None = None,
    only: str = "",
    one_face: str | None = None,
    reference: str | None = None,
    input_size_px: tuple[int, int] | None = None,
    min_face_px: float = MIN_FACE_PX,
    opener: Opener | None = None,
    quiet: bool = False,
) -> dict[str, Any]:
    """What `edgeface evaluate detection` prints, JSON-able.

    `boxes` is the annotations' CSV, of which the pictures with `only` in their names count;
    pictures of `root` with `one_face` in their names show one face each. Faces count from
    `min_face_px` at `input_size_px` (default: the detector's input) on. The landmarks are compared
    with those of `reference`, run at the pictures' own resolution.

    Raises EvaluationError, ModelError or RuntimeMissingError.
    """
    run = _Run(opener or Opener(), detector, reference, input_size_px, min_face_px, quiet)
    return {
        "detector": detector,
        "reference": reference,
        "input_size_px": run.size_px,
        "min_face_px": min_face_px,
        "boxes": run.annotated(root, boxes, only) if boxes is not None else None,
        "one_face": run.singles(root, one_face) if one_face else None,
        "detect_ms": float(np.median(run.spent_ms)),
    }


class _Run:
    """One detector and its reference, over several sets of pictures."""

    def __init__(
        self,
        opener: Opener,
        detector: str,
        reference: str | None,
        size_px: tuple[int, int] | None,
        min_face_px: float,
        quiet: bool,
    ) -> None:
        self._detector: Detector | YuNet = opener.detector(
            detector, score_threshold=LOWEST_SCORE, max_faces=MAX_FACES
        )
        self._threshold = self._detector.usual_score
        self._reference = (
            opener.detector(reference, score_threshold=REFERENCE_SCORE) if reference else None
        )
        self.size_px = size_px or self._detector.input_size_px or (320, 240)
        self._min_face_px = min_face_px
        self._quiet = quiet
        self._pairs: list[tuple[Face, Face]] = []
        self.spent_ms: list[float] = []

    def annotated(self, root: PictureRoot, boxes: Path, only: str) -> dict[str, Any]:
        """Average precision, recall and landmarks over the annotated pictures."""
        annotations = read_boxes(boxes)
        names = [name for name in annotations if only in name]
        if not names:
            raise EvaluationError(f"{boxes}: no picture has {only!r} in its name")
        matches = Matches()
        self._pairs = []
        for name in shown("annotated pictures", names, quiet=self._quiet):
            image = root.read(name)
            found = self._detect(image)
            smallest = self._smallest_px(image)
            matches.add(found, annotations[name], smallest)
            self._compare(image, found, smallest)
        return asdict(matches.result(self._threshold)) | {"landmarks": self._landmarks()}

    def singles(self, root: PictureRoot, one_face: str) -> dict[str, Any]:
        """The share of pictures in which any face is found, and landmarks."""
        names = root.names(one_face)
        if not names:
            raise EvaluationError(f"no picture has {one_face!r} in its name")
        self._pairs = []
        missed: list[str] = []
        for name in shown("pictures of one face", names, quiet=self._quiet):
            image = root.read(name)
            found = [face for face in self._detect(image) if face.score >= self._threshold]
            if not found:
                missed.append(name)
            self._compare(image, found, self._smallest_px(image))
        return {
            "pictures": len(names),
            "recall": 1 - len(missed) / len(names),
            "missed": missed,
            "landmarks": self._landmarks(),
        }

    def _detect(self, image: Image) -> list[Face]:
        started = time.perf_counter()
        found = self._detector.detect(image)
        self.spent_ms.append((time.perf_counter() - started) * 1e3)
        return found

    def _smallest_px(self, image: Image) -> float:
        """The smallest face that counts, in pixels of the picture."""
        height, width = image.shape[:2]
        fit = min(self.size_px[0] / width, self.size_px[1] / height)
        return float(self._min_face_px / fit)

    def _compare(self, image: Image, found: Sequence[Face], smallest_px: float) -> None:
        if self._reference is None:
            return
        sure = [face for face in found if face.score >= self._threshold]
        self._pairs += pair_faces(sure, self._reference.detect(image), smallest_px)

    def _landmarks(self) -> dict[str, Any] | None:
        distance = landmark_distance(self._pairs)
        return None if distance is None else asdict(distance)
