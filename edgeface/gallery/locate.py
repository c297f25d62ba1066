"""Find the face in a still picture, however large, small or tightly cropped the picture is.

A detector made for door frames misses faces that fill the whole picture and such that are tiny in a
large photograph. So the picture is tried as it is, then with a wide border (also when the face
found fills the picture: its landmarks are better with room around it), then in overlapping tiles of
a half, a quarter and an eighth of its longer side.
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

from edgeface.recognition.second_look import look, look_again, surroundings
from edgeface.recognition.values import Box, Face, FaceDetector, Image

Preference: TypeAlias = Literal["central", "dominant"]

TIGHT: Final = 0.6
"""A face that takes more of the picture's width or height is looked for again with a border."""
DOMINANCE: Final = 4.0
"""A face dominates when its area, weighted for centrality, is so many times the next one's."""
TURN_MARGIN: Final = 0.03
"""A picture is turned when its face is so much surer after a turn. Then every upright one of 550
frontal faces passed, and none that had been turned, of which nine in ten are found upside down."""
_ROTATE: Final = {
    1: "the face lies on its side; rotate the picture by 90 degrees to the left",
    2: "the face is upside down; rotate the picture by 180 degrees",
    3: "the face lies on its side; rotate the picture by 90 degrees to the right",
}
_BORDERS: Final = (0.5, 1.0)
_MIN_SIDE_PX: Final = 320
_MAX_SIDE_PX: Final = 1280
_MIN_TILE_PX: Final = 240
"""A smaller tile would be enlarged for the detector: nothing more would be seen."""
_SAME_FACE_IOU: Final = 0.3
_BORDER_GRAY: Final = (127, 127, 127)


@dataclass(frozen=True, slots=True)
class FaceProblem:
    """Why no face was chosen."""

    reason: Literal["no_face", "several_faces", "not_upright"]
    faces: int
    """How many were found."""
    quarter_turns: int = 0
    """Of one that is not upright: so many to the left make it so."""

    @property
    def message(self) -> str:
        """One clause for a person."""
        if self.reason == "no_face":
            return "no face found"
        if self.reason == "not_upright":
            return _ROTATE[self.quarter_turns]
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


def find_portrait(detector: FaceDetector, image_bgr: Image, min_score: float) -> Face | FaceProblem:
    """The face of a photograph that is to tell one person: dominant, upright, and a doubtful one of
    `min_score` rather than none."""
    face = find_face(detector, image_bgr, "dominant")
    if isinstance(face, FaceProblem) and face.reason == "several_faces":
        return face
    if turns := _turns_that_help(detector, image_bgr, face):
        return FaceProblem("not_upright", 1, turns)
    if isinstance(face, Face):
        return face
    doubtful = find_doubtful_faces(detector, image_bgr)
    sure = [face for face in doubtful if face.score >= min_score]
    face = choose_face(sure, image_bgr, "dominant")
    return look_again(detector, image_bgr, face) if isinstance(face, Face) else face


def _turns_that_help(detector: FaceDetector, image: Image, face: Face | FaceProblem) -> int:
    """Quarter turns to the left that make the face of the picture upright, whether or not it is the
    one that was found: what is turned may be missed, and something small be taken for a face."""
    if isinstance(face, Face) and (turns := _turns_of(detector, image, face)):
        return turns
    turns = quarter_turns(detector, image)
    if turns == 0:
        return 0
    turned = np.ascontiguousarray(np.rot90(image, turns))
    other = find_face(detector, turned, "dominant")
    upright = isinstance(other, Face) and _turns_of(detector, turned, other) == 0
    return turns if upright else 0


def quarter_turns(detector: FaceDetector, image_bgr: Image) -> int:
    """How many quarter turns to the left (`numpy.rot90`), 0 to 3, make the best face of the picture
    upright; 0 also where there is none. Four looks of the detector."""
    image_bgr = _handy(image_bgr)
    turned = (np.ascontiguousarray(np.rot90(image_bgr, turns)) for turns in range(4))
    scores = [max((face.score for face in detector.detect(one)), default=0.0) for one in turned]
    best = int(np.argmax(scores))
    return best if scores[best] > scores[0] + TURN_MARGIN else 0


def _turns_of(detector: FaceDetector, image: Image, face: Face) -> int:
    return quarter_turns(detector, surroundings(image, face.box)[0])


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
    faces = look(detector, image_bgr)
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
    """Look with a gray border of `border` times the longer side all around."""
    height, width = image.shape[:2]
    image = _handy(image)
    margin = round(border * max(image.shape[:2]))
    padded = cv2.copyMakeBorder(
        image, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=_BORDER_GRAY
    )
    found = detector.detect(np.asarray(padded, np.uint8), doubtful=doubtful)
    x, y = width / image.shape[1], height / image.shape[0]
    return [_moved(face, -margin, -margin, x, y) for face in found]


def _detect_tiled(detector: FaceDetector, image: Image) -> list[Face]:
    """Look in half overlapping tiles, smaller ones where the larger show none: the faces of the
    first size that shows any. None when the picture is small anyway."""
    side = max(image.shape[:2]) // 2
    for side_px in (side, side // 2, side // 4):
        found: list[Face] = []
        for left, top, tile in _tiles(image, side_px) if side_px >= _MIN_TILE_PX else ():
            found += [_moved(face, left, top, 1.0, 1.0) for face in detector.detect(tile)]
        if found:
            return _distinct(found)
    return []


def _distinct(found: Sequence[Face]) -> list[Face]:
    kept: list[Face] = []
    for face in sorted(found, key=lambda face: face.score, reverse=True):
        if all(face.box.iou(other.box) < _SAME_FACE_IOU for other in kept):
            kept.append(face)
    return kept


def _tiles(image: Image, side_px: int) -> Iterator[tuple[int, int, Image]]:
    """Left, top and pixels of squares that overlap by half or a little more, as narrow as the
    picture where that is narrower."""
    height, width = image.shape[:2]
    for top in _starts(height, side_px):
        for left in _starts(width, side_px):
            tile = image[top : top + side_px, left : left + side_px]
            yield left, top, np.ascontiguousarray(tile)


def _starts(length: int, side_px: int) -> list[int]:
    steps = max(0, math.ceil((length - side_px) / (side_px / 2)))
    return [round(step * (length - side_px) / max(1, steps)) for step in range(steps + 1)]


def _handy(image: Image) -> Image:
    """A small picture enlarged and a large one scaled down, as far as a look at the whole of it
    wants: what is padded or turned is a copy, and as large."""
    height, width = image.shape[:2]
    side = max(height, width)
    factor = min(max(side, _MIN_SIDE_PX), _MAX_SIDE_PX) / side
    if factor == 1.0:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    method = cv2.INTER_CUBIC if factor > 1.0 else cv2.INTER_AREA
    return np.asarray(cv2.resize(image, size, interpolation=method), np.uint8)


def _moved(face: Face, dx: float, dy: float, sx: float, sy: float) -> Face:
    """First moved by dx, dy, then scaled."""
    landmarks = (face.landmarks + np.array([dx, dy], np.float32)) * np.array([sx, sy], np.float32)
    return Face(
        box=face.box.translate(dx, dy).scale(sx, sy),
        landmarks=landmarks.astype(np.float32),
        score=face.score,
        zoom=face.zoom / max(sx, sy),
    )
