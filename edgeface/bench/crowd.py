"""A camera before which so many people stand, at any size: the load of the pipeline benchmark."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgeface.base.clock import Clock
from edgeface.base.errors import EvaluationError
from edgeface.capture.pacing import Pacer
from edgeface.capture.picture_file import read_picture
from edgeface.capture.source import FrameSource, Picture
from edgeface.recognition.second_look import with_surroundings
from edgeface.recognition.values import FaceDetector, Image
from edgeface.settings.places import PACKAGE

FPS: Final = 30.0
PHOTOGRAPHS: Final = (
    PACKAGE / "demo" / "pictures" / "grace-hopper.jpg",
    PACKAGE / "demo" / "pictures" / "eileen-collins.png",
)
_AROUND: Final = 2.2
"""The side of what is shown of a person over that of the face."""
_LARGEST: Final = 0.8
"""Of the frame's height, for one who stands alone."""
_SWAY_PX: Final = 6
_SWAY_FRAMES: Final = 45


def portraits(detector: FaceDetector, photographs: Sequence[Path] = PHOTOGRAPHS) -> list[Image]:
    """The faces of the photographs with their surroundings, square BGR pictures.

    Raises PictureError, EvaluationError where no face is found, and what the detector raises.
    """
    found = []
    for path in photographs:
        image = read_picture(path)
        faces = detector.detect(image)
        if not faces:
            raise EvaluationError(f"{path}: no face is found in it")
        found.append(with_surroundings(image, faces[0].box, _AROUND))
    return found


class CrowdSource(FrameSource):
    """People side by side before a plain wall, who sway together; nobody stands still. Without
    people nothing moves."""

    live = False

    def __init__(
        self,
        people: Sequence[Image],
        faces: int,
        size_px: tuple[int, int],
        clock: Clock | None = None,
    ) -> None:
        """`faces` of the portraits `people`, in turn, in frames of (width, height)."""
        super().__init__("crowd", clock)
        self._pacer = Pacer(self._clock, FPS, late="slip")
        self._sway = _SWAY_PX if faces else 0
        self._size_px = size_px
        self._scene = _scene(people, faces, size_px)
        self._frame = 0

    def _start(self) -> None:
        self._pacer.start()

    def _next(self, timeout_s: float) -> Picture:
        _, stamp = self._pacer.take(timeout_s)
        turn = 2 * math.pi * self._frame / _SWAY_FRAMES
        self._frame += 1
        left = round(self._sway * (1 + math.sin(turn)))
        top = round(self._sway * (1 + math.cos(turn)))
        width, height = self._size_px
        part = self._scene[top : top + height, left : left + width]
        return Picture(np.ascontiguousarray(part), stamp)

    def _stop(self) -> None:
        pass


def _scene(people: Sequence[Image], faces: int, size_px: tuple[int, int]) -> Image:
    """The wall with everybody, by the sway larger than a frame."""
    width, height = size_px
    noise = np.random.default_rng(1).integers(90, 150, (height // 8, width // 8, 3), np.uint8)
    whole = (width + 2 * _SWAY_PX, height + 2 * _SWAY_PX)
    scene = np.asarray(cv2.resize(noise, whole, interpolation=cv2.INTER_CUBIC), np.uint8)
    if not faces:
        return scene
    columns = min(faces, math.ceil(math.sqrt(faces * width / height)))
    rows = math.ceil(faces / columns)
    side = int(min(width / columns, height / rows, _LARGEST * height))
    for number in range(faces):
        row, column = divmod(number, columns)
        left = round((column + 0.5) * width / columns - side / 2) + _SWAY_PX
        top = round((row + 0.5) * height / rows - side / 2) + _SWAY_PX
        portrait = people[number % len(people)]
        shown = cv2.resize(portrait, (side, side), interpolation=cv2.INTER_AREA)
        scene[top : top + side, left : left + side] = shown
    return scene
