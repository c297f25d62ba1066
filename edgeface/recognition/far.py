"""Faces too far away for a look at the whole picture: one part of it a frame, in turn, is looked at
as well, and the place where such a face was in the frames before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from edgeface.recognition.second_look import DOUBTFUL_LOOKS, DOUBTFUL_PX, SAME_IOU, confirmed
from edgeface.recognition.values import Box, Face, FaceDetector, Image

TILE_PX: Final = (640, 480)
"""Width and height of a part; an input of 320x240 shows its faces at half their size."""
FAR_PX: Final = 80.0
"""A face whose shorter side has more is found in the whole picture, and keeps the look at a part
away: the one who stands at the door comes first."""


class FarSearch:
    """Goes over the parts of the pictures of one camera. Not thread-safe."""

    def __init__(self) -> None:
        self._turn = 0

    def look(
        self,
        detector: FaceDetector,
        image_bgr: Image,
        faces: Sequence[Face],
        expected: Sequence[Box],
    ) -> list[Face]:
        """The faces that a look at the whole image BGR uint8 `(h, w, 3)` found, and those far away
        that it missed, all in its pixels.

        `expected` is where faces ought to be that were there before. At most `DOUBTFUL_LOOKS` of
        these places and as many of what the part shows are looked at; what counts is that a second
        look is sure. Raises what the detector raises.
        """
        found = list(faces)
        self._add(detector, image_bgr, found, [box for box in expected if _is_far(box)])
        if all(_is_far(face.box) for face in found) and (tiles := _tiles(image_bgr)):
            left, top = tiles[self._turn % len(tiles)]
            self._turn = (self._turn + 1) % len(tiles)
            tile = image_bgr[top : top + TILE_PX[1], left : left + TILE_PX[0]]
            seen = [face.box.translate(left, top) for face in detector.detect(tile, doubtful=True)]
            wide = [box for box in seen if _is_far(box) and box.width >= DOUBTFUL_PX]
            self._add(detector, image_bgr, found, wide)
        return found

    def _add(
        self, detector: FaceDetector, image: Image, found: list[Face], places: Sequence[Box]
    ) -> None:
        new = [box for box in places if all(box.iou(face.box) < SAME_IOU for face in found)]
        for box in new[:DOUBTFUL_LOOKS]:
            face = confirmed(detector, image, box)
            if face and all(face.box.iou(other.box) < SAME_IOU for other in found):
                found.append(face)


def _is_far(box: Box) -> bool:
    return min(box.width, box.height) <= FAR_PX


def _tiles(image: Image) -> list[tuple[int, int]]:
    """Left and top of the parts that cover the image and overlap by a face that is far away; none
    where it is hardly larger than one."""
    height, width = image.shape[:2]
    columns, rows = _starts(width, TILE_PX[0]), _starts(height, TILE_PX[1])
    tiles = [(left, top) for top in rows for left in columns]
    return tiles if len(tiles) > 1 else []


def _starts(length: int, side: int) -> list[int]:
    steps = max(0, math.ceil((length - side) / (side - FAR_PX)))
    return [round(step * (length - side) / max(1, steps)) for step in range(steps + 1)]
