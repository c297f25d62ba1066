"""YuNet as a reference detector, to compare the shipped one with.

YuNet: Wu et al., "YuNet: a tiny millisecond-level face detector", 2023; OpenCV runs its ONNX file.
The file is the user's own: `yunet:PATH.onnx` or, for a fixed input size, `yunet:PATH.onnx@320x240`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from edgeface.base.errors import EvaluationError
from edgeface.recognition.values import Box, Face, Image

PREFIX = "yunet:"
_FORM = re.compile(r"yunet:(?P<path>.+?)(?:@(?P<width>\d+)x(?P<height>\d+))?")


class YuNet:
    """Finds faces at the picture's own resolution, or scaled to fit an input size."""

    usual_score = 0.6

    def __init__(
        self,
        path: Path,
        *,
        input_size_px: tuple[int, int] | None = None,
        score_threshold: float = usual_score,
        nms_iou: float = 0.3,
    ) -> None:
        """`input_size_px` is (width, height); None keeps the picture's resolution.

        Raises EvaluationError if OpenCV cannot load the file.
        """
        if not path.is_file():
            raise EvaluationError(f"{path}: no such YuNet model")
        self.input_size_px = input_size_px
        self.score_threshold = score_threshold
        try:
            self._net = cv2.FaceDetectorYN.create(
                str(path), "", (320, 240), score_threshold, nms_iou, 5000
            )
        except cv2.error as error:
            raise EvaluationError(f"{path}: OpenCV cannot load it: {error}") from error

    def detect(
        self, image_bgr: Image, scale: tuple[float, float] = (1.0, 1.0), *, doubtful: bool = False
    ) -> list[Face]:
        """Faces in pixels of `image_bgr` times `scale`, highest score first; `doubtful`: from half
        the score."""
        self._net.setScoreThreshold(self.score_threshold * (0.5 if doubtful else 1.0))
        height, width = image_bgr.shape[:2]
        fit = 1.0
        if self.input_size_px is not None:
            wide, high = self.input_size_px
            fit = min(wide / width, high / height)
            size = (max(1, round(width * fit)), max(1, round(height * fit)))
            canvas = np.zeros((high, wide, 3), dtype=np.uint8)
            shrunk = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA)
            canvas[: size[1], : size[0]] = shrunk
            image_bgr, width, height = canvas, wide, high
        self._net.setInputSize((width, height))
        rows = self._net.detect(image_bgr)[1]
        found = np.zeros((0, 15), np.float32) if rows is None else np.asarray(rows, np.float32)
        faces = [_face(row, fit, scale) for row in found]
        faces = [replace(face, sure=face.score >= self.score_threshold) for face in faces]
        return sorted(faces, key=lambda face: -face.score)


def open_reference(spec: str, *, score_threshold: float = YuNet.usual_score) -> YuNet:
    """A detector from `yunet:PATH.onnx[@WIDTHxHEIGHT]`. Raises EvaluationError."""
    match = _FORM.fullmatch(spec)
    if match is None:
        raise EvaluationError(f"{spec}: expected yunet:PATH.onnx or yunet:PATH.onnx@WIDTHxHEIGHT")
    size = (int(match["width"]), int(match["height"])) if match["width"] else None
    return YuNet(Path(match["path"]), input_size_px=size, score_threshold=score_threshold)


def _face(row: np.ndarray, fit: float, scale: tuple[float, float]) -> Face:
    x, y, width, height = (float(value) / fit for value in row[:4])
    landmarks = (row[4:14].reshape(5, 2) / fit * np.array(scale)).astype(np.float32)
    box = Box(x, y, x + width, y + height).scale(*scale)
    return Face(box, landmarks, float(np.clip(row[14], 0.0, 1.0)), fit / max(scale))
