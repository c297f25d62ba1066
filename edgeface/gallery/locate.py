"""Find the face in a still picture, however large, small or tightly cropped the picture is.

A detector made for door frames misses faces that fill the whole picture and such that are tiny in a
large photograph. So the picture is tried as it is, then with a wide border (also when the face
found fills the picture: its landmarks are better with room around it), then in overlapping tiles.
Who knows that the picture shows a face may ask for doubtful ones too when that finds none. What is
chosen was looked at closely (`recognition/second_look.py`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np

from edgeface.recognition.second_look import look_again
from edgeface.recognition.values import Box, Face, FaceDetector, Image

Preference: TypeAlias = Literal["central", "dominant"]

TIGHT: Final = 0.6
"""A face that takes more of the picture's width or height is looked for again with a border."""
DOMINANCE: Final = 4.0
"""A face dominates when its area, weighted for centrality, is so many times the next one's."""
_BORDERS: Final = (0.5, 1.0)
_MIN_SIDE_PX: Final = 320
_TILED_FROM_PX: Final = 480
_SAME_FACE_IOU: Final = 0.3
_BORDER_GRAY: Final = (127, 127, 127)


@dataclass(frozen=True, slots=True)
class FaceProblem:
    """Why no face was chosen."""

    reason: Literal["no_face", "several_faces"]
    faces: int
    """How many were found."""

    @property
    def message(self) -> str:
        """One clause for a person."""
        if self.reason == "no_face":
            return "no face found"
        return f"{self.faces} faces, and none clearly dominates; crop the picture to one person"


def find_face(
    detector: FaceDetector,
    image_bgr: Image,
    prefer: Preference = "central",
    *,
    doubtful: bool = False,
) -> Face | FaceProblem:
    """The one face that the picture BGR uint8 `(h, w, 3)` is about, in its pixels.

    `central` takes the best by size and nearness to the center; `dominant` refuses when another
    face rivals it. A box may reach beyond the picture when the face is cut off by its edge.
    `doubtful` takes an uncertain face, say a profile, rather than none; its score tells.
    """
    faces = find_faces(detector, image_bgr)
    if not faces and doubtful:
        faces = find_doubtful_faces(detector, image_bgr)
    chosen = choose_face(faces, image_bgr, prefer)
    return look_again(detector, image_bgr, chosen) if isinstance(chosen, Face) else chosen


def choose_face(
    faces: Sequence[Face], image_bgr: Image, prefer: Preference = "central"
) -> Face | FaceProblem:
    """Of the faces of a picture the one that it is about; `prefer` as for `find_face`."""
    if not faces:
        return FaceProblem("no_face", 0)
    ranked = sorted(faces, key=lambda face: prominence(face.box, image_bgr), reverse=True)
    if prefer == "dominant" and len(ranked) > 1:
        first, second = (prominence(face.box, image_bgr) for face in ranked[:2])
        if first < DOMINANCE * second:
            return FaceProblem("several_faces", len(faces))
    return ranked[0]


def find_faces(detector: FaceDetector, image_bgr: Image) -> list[Face]:
    """All faces of the first way of looking that finds any, in pixels of the picture."""
    faces = list(detector.detect(image_bgr))
    if faces and not _is_tight(faces, image_bgr):
        return faces
    candidates = [faces] if faces else []
    for border in _BORDERS:
        padded = _detect_padded(detector, image_bgr, border)
        if padded:
            candidates.append(padded)
        if padded and not faces:
            break
    if candidates:
        return max(candidates, key=lambda found: max(face.score for face in found))
    return _detect_tiled(detector, image_bgr)


def find_doubtful_faces(detector: FaceDetector, image_bgr: Image) -> list[Face]:
    """Uncertain faces of the way of looking that has the best one; never in tiles.

    A tile is a look at a small part of the picture, where much resembles a face a little.
    """
    looks = [list(detector.detect(image_bgr, doubtful=True))]
    looks += [_detect_padded(detector, image_bgr, border, True) for border in _BORDERS]
    return max(looks, key=lambda found: max((face.score for face in found), default=0.0))


def lies_on_its_side(detector: FaceDetector, image_bgr: Image) -> bool:
    """Whether a picture without a face shows one after a quarter or half turn."""
    return any(
        detector.detect(np.ascontiguousarray(np.rot90(image_bgr, turns))) for turns in (1, 2, 3)
    )


def prominence(box: Box, image_bgr: Image) -> float:
    """Square pixels of the box, halved at most for its distance from the picture's center."""
    height, width = image_bgr.shape[:2]
    x, y = box.center
    distance = math.hypot(x - width / 2, y - height / 2) / math.hypot(width / 2, height / 2)
    return box.area * (1.0 - 0.5 * min(1.0, distance))


def _is_tight(faces: Sequence[Face], image: Image) -> bool:
    height, width = image.shape[:2]
    return any(face.box.width > TIGHT * width or face.box.height > TIGHT * height for face in faces)


def _detect_padded(
    detector: FaceDetector, image: Image, border: float, doubtful: bool = False
) -> list[Face]:
    """Look with a gray border of `border` times the longer side all around, small ones enlarged."""
    height, width = image.shape[:2]
    enlarge = max(1.0, _MIN_SIDE_PX / max(height, width))
    if enlarge > 1.0:
        size = (max(1, round(width * enlarge)), max(1, round(height * enlarge)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    margin = round(border * max(image.shape[:2]))
    padded = cv2.copyMakeBorder(
        image, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=_BORDER_GRAY
    )
    found = detector.detect(np.asarray(padded, np.uint8), doubtful=doubtful)
    x, y = width / image.shape[1], height / image.shape[0]
    return [_moved(face, -margin, -margin, x, y) for face in found]


def _detect_tiled(detector: FaceDetector, image: Image) -> list[Face]:
    """Look in nine overlapping tiles of half the size; none when the picture is small anyway."""
    if max(image.shape[:2]) < _TILED_FROM_PX:
        return []
    found: list[Face] = []
    for left, top, tile in _tiles(image):
        found += [_moved(face, left, top, 1.0, 1.0) for face in detector.detect(tile)]
    kept: list[Face] = []
    for face in sorted(found, key=lambda face: face.score, reverse=True):
        if all(face.box.iou(other.box) < _SAME_FACE_IOU for other in kept):
            kept.append(face)
    return kept


def _tiles(image: Image) -> Iterator[tuple[int, int, Image]]:
    height, width = image.shape[:2]
    for top in (0, height // 4, height // 2):
        for left in (0, width // 4, width // 2):
            tile = image[top : top + height - height // 2, left : left + width - width // 2]
            yield left, top, np.ascontiguousarray(tile)


def _moved(face: Face, dx: float, dy: float, sx: float, sy: float) -> Face:
    """First moved by dx, dy, then scaled."""
    landmarks = (face.landmarks + np.array([dx, dy], np.float32)) * np.array([sx, sy], np.float32)
    return Face(
        box=face.box.translate(dx, dy).scale(sx, sy),
        landmarks=landmarks.astype(np.float32),
        score=face.score,
        zoom=face.zoom / max(sx, sy),
    )
