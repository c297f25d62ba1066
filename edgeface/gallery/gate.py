"""The quality gate: from photographs to embeddings that may be enrolled. No picture is kept.

What is wrong with a file is said in the error of reading it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np

from edgeface.base.errors import PictureError
from edgeface.capture.picture_file import read_picture
from edgeface.gallery.locate import (
    FaceProblem,
    find_portrait,
)
from edgeface.gallery.person import StoredTemplate
from edgeface.inference.detector import Detector
from edgeface.inference.embedder import Embedder
from edgeface.inference.models import open_models
from edgeface.inference.package import ModelPackage
from edgeface.recognition.alignment import align
from edgeface.recognition.quality import Quality, QualityLimits, assess, refusal
from edgeface.recognition.templates import encode_template
from edgeface.recognition.values import Embedding, Face, FaceDetector, FaceEmbedder, Image
from edgeface.settings.models import ModelsSettings
from edgeface.settings.recognition import DetectionSettings, QualitySettings

MAX_SIDE_PX: Final = 4096
"""Larger photographs are scaled down: a face needs no more, and a Pi has little memory."""
_MIN_SIDE_PX: Final = 16


def read_photo(path: Path) -> Image:
    """BGR uint8 `(h, w, 3)`, turned upright as its EXIF data say, the longer side at most 4096 px.

    Raises PictureError naming the file and what is wrong.
    """
    return fit_photo(read_picture(path), str(path))


def fit_photo(image: Image, source: str) -> Image:
    """A picture BGR uint8 `(h, w, 3)`, scaled down so that the longer side is at most 4096 px.

    Raises PictureError naming `source` for one that is too small to show anybody.
    """
    height, width = image.shape[:2]
    if min(height, width) < _MIN_SIDE_PX:
        raise PictureError(f"{source}: only {width}x{height} pixels")
    shrink = MAX_SIDE_PX / max(height, width)
    if shrink < 1.0:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return image


@dataclass(frozen=True, slots=True, eq=False)
class Portrait:
    """A photo that passed the gate."""

    source: str
    """File name."""
    face: Face
    quality: Quality
    embedding: Embedding

    def stored(self, created_s: float) -> StoredTemplate:
        """As kept in the gallery."""
        worth = float(np.clip(self.quality.weight, 0.0, 1.0))
        return StoredTemplate(encode_template(self.embedding), worth, created_s)


@dataclass(frozen=True, slots=True)
class Refused:
    """A photo that cannot be used."""

    source: str
    """File name."""
    reason: str
    """`unreadable`, `no_face`, `not_upright`, `several_faces` or the quality gate in the way."""
    message: str
    """What is wrong with it and what would be better, in one clause."""


Examined: TypeAlias = Portrait | Refused


class Gate:
    """Examines photographs one by one. Owned by one thread, as the models are."""

    def __init__(
        self, detector: FaceDetector, embedder: FaceEmbedder, limits: QualityLimits
    ) -> None:
        self._detector = detector
        self._embedder = embedder
        self._limits = limits.for_enrollment()

    def examine_file(self, path: Path) -> Examined:
        """Read and examine one photo."""
        try:
            image = read_photo(path)
        except PictureError as error:
            return Refused(str(path), "unreadable", str(error).removeprefix(f"{path}: "))
        return self.examine(image, str(path))

    def embedding_of(self, path: Path) -> Embedding:
        """Of the face of a photo that passes. Raises PictureError naming the file and what is wrong
        with it: a verdict about a face that nobody chose, or saw, would be worse than none."""
        examined = self.examine_file(path)
        if isinstance(examined, Refused):
            raise PictureError(f"{path}: {examined.message}")
        return examined.embedding

    def examine(self, image_bgr: Image, source: str) -> Examined:
        """Examine a picture BGR uint8 `(h, w, 3)`."""
        face = find_portrait(self._detector, image_bgr, self._limits.min_score)
        if isinstance(face, FaceProblem):
            return Refused(source, face.reason, face.message)
        try:
            crop = align(image_bgr, face.landmarks)
        except ValueError:
            return Refused(source, "no_face", "no face found (the landmarks make no sense)")
        height, width = image_bgr.shape[:2]
        quality = assess(face, crop, (width, height))
        gate = refusal(quality, self._limits)
        if gate is not None:
            return Refused(source, gate, explain(gate, quality, self._limits))
        crop = align(image_bgr, face.landmarks, self._embedder.alignment)
        embedding = np.asarray(self._embedder.embed([crop])[0], dtype=np.float32)
        return Portrait(source, face, quality, embedding)


def explain(gate: str, quality: Quality, limits: QualityLimits) -> str:
    """What a quality gate found and what would be better, in one clause."""
    match gate:
        case "too_small":
            return (
                f"the face is {quality.face_px:.0f} px wide, at least {limits.min_face_px:.0f} are "
                "needed; use a larger picture or go nearer"
            )
        case "blurred":
            return (
                f"the face is blurred (sharpness {quality.sharpness:.2f}, at least "
                f"{limits.min_sharpness:.2f}); hold still and focus on the face"
            )
        case "turned_away":
            return (
                f"the face is turned away (yaw {quality.yaw_deg:z.0f}, pitch "
                f"{quality.pitch_deg:z.0f}, roll {quality.roll_deg:z.0f} degrees, at most "
                f"{limits.max_yaw_deg:.0f}, {limits.max_pitch_deg:.0f}, {limits.max_roll_deg:.0f});"
                " look into the camera"
            )
        case "too_dark":
            return (
                f"the face is too dark (exposure {quality.exposure:.2f}); add light from the front"
            )
        case "too_bright":
            return (
                f"the face is too bright (exposure {quality.exposure:.2f}); avoid glare and flash"
            )
        case "eyes_covered":
            return (
                f"the eyes are covered (eyes {quality.eyes:.2f}, at least {limits.min_eyes:.2f}); "
                "uncover the eyes"
            )
        case "backlit":
            return (
                f"the face has too little contrast (contrast {quality.contrast:.2f}, at least "
                f"{limits.min_contrast:.2f}); light from the front, not from behind"
            )
        case "cut_off":
            return "the face is cut off by the edge of the picture; leave some room around it"
        case "uncertain":
            return (
                f"hardly recognizable as a face (score {quality.score:.2f}, at least "
                f"{limits.min_score:.2f}); use a clearer picture with nothing before the face"
            )
        case _:
            return f"refused by the quality gate {gate}"


def on_cpu(models: ModelsSettings, detection: DetectionSettings) -> tuple[Detector, Embedder]:
    """Both models on the CPU: a running daemon owns the Edge TPU, and templates of both are of one
    space. Raises ModelError or RuntimeMissingError."""
    detector, embedder, _ = open_models(models.on("cpu"), detection)
    return detector, embedder


def open_gate(
    models: ModelsSettings, detection: DetectionSettings, quality: QualitySettings
) -> tuple[Gate, ModelPackage]:
    """The models' gate, and the embedder's package. Raises ModelError or RuntimeMissingError."""
    detector, embedder = on_cpu(models, detection)
    return Gate(detector, embedder, QualityLimits(**quality.model_dump())), embedder.package
