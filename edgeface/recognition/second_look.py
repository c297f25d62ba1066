"""A second look at a face that was seen from too far away, or from too near.

The detector sees a frame scaled down to its input. A face that is small there may be missed by a
little, and where it is found its landmarks are guesses; what is aligned by guesses resembles
nobody. Those of a face that fills the input are less exact as well. The same detector sees the
full-resolution surroundings, framed as it knows faces best: that tells whether a doubtful one is a
face, and gives the landmarks that count.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import cv2
import numpy as np

from edgeface.recognition.values import Box, Face, FaceDetector, Image

COARSE_PX: Final = 60.0
"""A face whose shorter side is below it in the detector's input was looked at coarsely."""
NEAR_PX: Final = 130.0
"""A face whose shorter side is above it there was seen from too near."""
FILLS: Final = 0.5
"""The share of the second look's side that the face takes."""
SAME_IOU: Final = 0.3
"""The least overlap at which both looks mean the same face."""
DOUBTFUL_LOOKS: Final = 2
"""So many doubtful faces of an image are looked at again, the best first: bounds the time."""
DOUBTFUL_PX: Final = 24.0
"""A narrower doubtful face of an image is not looked at: it is too small to be compared."""
CONFIRMED: Final = 0.75
"""A doubtful face counts from this score of the second look on: of those of 40 to 60 px hardly any
has less, and what resembles a face twice by chance hardly ever has it."""
_OUTSIDE_GRAY: Final = (127, 127, 127)


def is_coarse(face: Face) -> bool:
    """Whether the image has more of the face than the detector saw of it, and that was little."""
    return face.zoom < 1.0 and _seen_px(face) < COARSE_PX


def _seen_px(face: Face) -> float:
    """The shorter side in the detector's input."""
    return min(face.box.width, face.box.height) * face.zoom


def look(
    detector: FaceDetector,
    image_bgr: Image,
    small_bgr: Image | None = None,
    scale: tuple[float, float] = (1.0, 1.0),
) -> list[Face]:
    """The faces of the image BGR uint8 `(h, w, 3)`, in its pixels: those that the detector is sure
    of at once, and the doubtful ones, small in its input, which a second look confirms.

    `small_bgr` is what it sees first, if not the image itself: the same scene, in which a pixel is
    `scale` of the image's. Raises what the detector raises.
    """
    seen = image_bgr if small_bgr is None else small_bgr
    found = detector.detect(seen, scale, doubtful=True)
    faces = [face for face in found if face.sure]
    doubtful = [face for face in found if not face.sure and is_coarse(face)]
    wide = [face for face in doubtful if face.box.width >= DOUBTFUL_PX]
    for face in wide[:DOUBTFUL_LOOKS]:
        again = confirmed(detector, image_bgr, face.box)
        if again and all(again.box.iou(one.box) < SAME_IOU for one in faces):
            faces.append(again)
    return faces


def confirmed(detector: FaceDetector, image_bgr: Image, box: Box) -> Face | None:
    """What is in the box of the image BGR uint8 `(h, w, 3)`, in its pixels, if a look at its
    surroundings is sure that it is a face. Raises what the detector raises."""
    again = _framed(detector, image_bgr, box)
    return again if again and again.sure and again.score >= CONFIRMED else None


def look_again(detector: FaceDetector, image_bgr: Image, face: Face) -> Face:
    """The face as a second look finds it in the image BGR uint8 `(h, w, 3)`, in its pixels.

    The face itself where the first look was framed well enough. Where the second sees no face, or
    only another one, it is returned with a score of 0: what is not confirmed is not to be compared
    with anybody, and the gate of uncertain faces refuses it. Raises what the detector raises.
    """
    if not is_coarse(face) and _seen_px(face) <= NEAR_PX:
        return face
    # The frame had a face here: for a confirmation a doubtful one is enough, and its score counts.
    return _framed(detector, image_bgr, face.box) or replace(face, score=0.0)


def _framed(detector: FaceDetector, image: Image, box: Box) -> Face | None:
    """The face of the box, sure or doubtful, in its surroundings; None where it is not there."""
    part, left, top = surroundings(image, box)
    there = box.translate(-left, -top)
    overlaps = [(face.box.iou(there), face) for face in detector.detect(part, doubtful=True)]
    overlap, best = max(overlaps, key=lambda pair: pair[0], default=(0.0, None))
    return _moved(best, left, top) if best and overlap >= SAME_IOU else None


def surroundings(image_bgr: Image, box: Box) -> tuple[Image, int, int]:
    """The square about the box of which it fills `FILLS`, gray outside the image, and where its
    left upper corner lies."""
    inside, side, left, top = _square(image_bgr, box, 1 / FILLS)
    if inside.shape[:2] == (side, side):
        return inside, left, top
    part = np.full((side, side, 3), _OUTSIDE_GRAY, np.uint8)
    rows, columns = max(0, -top), max(0, -left)
    part[rows : rows + inside.shape[0], columns : columns + inside.shape[1]] = inside
    return part, left, top


def with_surroundings(image_bgr: Image, box: Box, times: float) -> Image:
    """The square about the box that is `times` as long as its longer side, for who judges by what
    is around a face: outside the image its edge is repeated, as a border of one color looks like
    that of a print or a screen. Of a box that lies wholly outside it is black."""
    inside, side, left, top = _square(image_bgr, box, times)
    if inside.shape[:2] == (side, side):
        return inside
    if not inside.size:
        return np.zeros((side, side, 3), np.uint8)
    above, before = max(0, -top), max(0, -left)
    below, behind = side - above - inside.shape[0], side - before - inside.shape[1]
    padded = cv2.copyMakeBorder(inside, above, below, before, behind, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)


def _square(image: Image, box: Box, times: float) -> tuple[Image, int, int, int]:
    """What the image has of the square about the box, the square's side, and its left and top. The
    side is even, as what is halved is scaled in a third of the time."""
    x, y = box.center
    half = max(1, round(times * max(box.width, box.height) / 2))
    side, left, top = 2 * half, round(x) - half, round(y) - half
    height, width = image.shape[:2]
    rows = slice(max(0, top), max(0, min(height, top + side)))
    columns = slice(max(0, left), max(0, min(width, left + side)))
    return image[rows, columns], side, left, top


def _moved(face: Face, left: float, top: float) -> Face:
    landmarks = face.landmarks + np.array([left, top], np.float32)
    return replace(face, box=face.box.translate(left, top), landmarks=landmarks)
