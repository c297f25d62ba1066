"""Pictures of what was found: faces marked in a picture, two crops side by side."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgeface.base.errors import StateError
from edgeface.recognition.values import Image
from edgeface.service.annotation import Color, caption, draw_face
from edgeface.toolbox.seen_face import SeenFace

_MOST_PX: Final = 1280
_LEAST_PX: Final = 640
"""Of the longer side of a marked picture: its caption has to be read beside it."""
_CROP_PX: Final = 360
_GAP_PX: Final = 8


def marked(
    image_bgr: Image, faces: Sequence[tuple[SeenFace, Color]], lines: Sequence[str]
) -> Image:
    """A new BGR picture: the image, not larger than 1280 px, with the faces marked and numbered
    from 1, and below it the lines."""
    longer = max(image_bgr.shape[:2])
    scale = min(max(longer, _LEAST_PX), _MOST_PX) / longer
    picture = numbered(image_bgr, faces, scale)
    height, width = picture.shape[:2]
    if width < _LEAST_PX:
        beside = np.zeros((height, _LEAST_PX - width, 3), np.uint8)
        picture = np.concatenate([picture, beside], axis=1)
    return np.concatenate([picture, caption([_ascii(line) for line in lines], picture.shape[1])])


def numbered(image_bgr: Image, faces: Sequence[tuple[SeenFace, Color]], scale: float) -> Image:
    """A new BGR picture: the image so many times as large, the faces marked, with the number of the
    track or else from 1."""
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(image_bgr, None, fx=scale, fy=scale, interpolation=method)
    picture = np.asarray(resized, np.uint8)
    width = picture.shape[1]
    for place, (face, color) in enumerate(faces, 1):
        number = face.track_id or place
        box = face.box.scale(scale, scale)
        landmarks = np.asarray(face.landmarks * scale, np.float32)
        draw_face(picture, replace(face.face, box=box, landmarks=landmarks), color)
        size = min(1.2, max(0.5, box.height / 160))
        at = (min(max(2, round(box.left)), width - 20), max(round(24 * size), round(box.top) - 6))
        for ink, thick in (((0, 0, 0), 4), (color, 2)):
            font = cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(picture, str(number), at, font, size, ink, thick, cv2.LINE_AA)
    return picture


def side_by_side(faces: Sequence[SeenFace], lines: Sequence[str]) -> Image:
    """A new BGR picture: what the embedder sees of the faces, enlarged, and below it the lines."""
    gap = np.zeros((_CROP_PX, _GAP_PX, 3), np.uint8)
    parts: list[Image] = []
    for face in faces:
        crop = np.ascontiguousarray(face.crop[..., ::-1])
        large = cv2.resize(crop, (_CROP_PX, _CROP_PX), interpolation=cv2.INTER_CUBIC)
        parts += [np.asarray(large, np.uint8), gap]
    row = np.concatenate(parts[:-1], axis=1)
    return np.concatenate([row, caption([_ascii(line) for line in lines], row.shape[1])])


def save_picture(path: Path, image_bgr: Image) -> None:
    """Write it in the format of its name's ending. Raises StateError."""
    _, data = cv2.imencode(path.suffix, image_bgr)
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise StateError(f"{path}: cannot be written: {error.strerror}") from error


def _ascii(text: str) -> str:
    """What OpenCV's font has of it."""
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
