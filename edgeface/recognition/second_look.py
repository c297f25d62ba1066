"""A second, closer look at a face that was found coarsely.

The detector sees a frame scaled down to its input. A face that is small there is found, but its
landmarks are guesses, and what is aligned by guesses resembles nobody. The same detector sees the
full-resolution surroundings of that face enlarged, and gives the landmarks that count.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from edgeface.recognition.values import Box, Face, FaceDetector, Image

COARSE_PX: Final = 60.0
"""A face whose shorter side is below it in the detector's input was looked at coarsely."""
FILLS: Final = 0.4
"""The share of the closer look's side that the face takes."""
SAME_IOU: Final = 0.3
"""The least overlap at which both looks mean the same face."""
_OUTSIDE_GRAY: Final = (127, 127, 127)


def is_coarse(face: Face) -> bool:
    """Whether the image has more of the face than the detector saw of it, and that was little."""
    side_px = min(face.box.width, face.box.height)
    return face.zoom < 1.0 and side_px * face.zoom < COARSE_PX


def look_again(detector: FaceDetector, image_bgr: Image, face: Face) -> Face:
    """The face as a closer look finds it in the image BGR uint8 `(h, w, 3)`, in its pixels.

    The face itself where the first look was close enough. Where the closer look sees no face, or
    only another one, it is returned with a score of 0: what is not confirmed is not to be compared
    with anybody, and the gate of uncertain faces refuses it. Raises what the detector raises.
    """
    if not is_coarse(face):
        return face
    part, left, top = surroundings(image_bgr, face.box)
    # The frame had a face here: for a confirmation a doubtful one is enough, and its score counts.
    found = [_moved(again, left, top) for again in detector.detect(part, doubtful=True)]
    best = max(found, key=lambda again: again.box.iou(face.box), default=face)
    if best is face or best.box.iou(face.box) < SAME_IOU:
        return replace(face, score=0.0)
    return best


def surroundings(image_bgr: Image, box: Box) -> tuple[Image, int, int]:
    """The square about the box of which it fills `FILLS`, gray outside the image, and where its
    left upper corner lies."""
    x, y = box.center
    side = max(1, round(max(box.width, box.height) / FILLS))
    left, top = round(x - side / 2), round(y - side / 2)
    height, width = image_bgr.shape[:2]
    inside = image_bgr[
        np.clip(top, 0, height) : np.clip(top + side, 0, height),
        np.clip(left, 0, width) : np.clip(left + side, 0, width),
    ]
    if inside.shape[:2] == (side, side):
        return np.ascontiguousarray(inside), left, top
    part = np.full((side, side, 3), _OUTSIDE_GRAY, np.uint8)
    rows, columns = max(0, -top), max(0, -left)
    part[rows : rows + inside.shape[0], columns : columns + inside.shape[1]] = inside
    return part, left, top


def _moved(face: Face, left: float, top: float) -> Face:
    landmarks = face.landmarks + np.array([left, top], np.float32)
    return replace(face, box=face.box.translate(left, top), landmarks=landmarks)
