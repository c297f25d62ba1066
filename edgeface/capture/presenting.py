"""What the simulated camera is shown: a photograph or a film as its species, and how it moves."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import cv2
import numpy as np

from edgeface.base.errors import CameraError, PictureError
from edgeface.capture import scene
from edgeface.capture.head import Head
from edgeface.capture.held import HELD, Held
from edgeface.capture.picture_file import read_picture
from edgeface.recognition.values import Image, Landmarks
from edgeface.settings.camera import VIDEO_FILES, Presentation

USUAL_FPS: Final = 25.0
"""Of a film that does not say."""
HELD_SIZE: Final = 0.8
"""What is held, against a visitor of the same photograph."""
HELD_LOWER: Final = 0.12
"""How much lower its middle is than a visitor's head, in heights of the photograph."""


class CutOut:
    """A photograph cut out along an arch."""

    def __init__(self, photograph: Image) -> None:
        """BGR uint8 `(h, w, 3)`."""
        self._sprite: Final = scene.make_sprite(photograph)

    def draw(self, image: Image, pose: scene.Pose) -> None:
        """Draw into `image`, in place. Draws nothing where it is out of view."""
        scene.place_visitor(image, self._sprite, pose)


class Drawable(Protocol):
    """What a pose places in a frame."""

    def draw(self, image: Image, pose: scene.Pose) -> None:
        """Draw into `image`, in place. Draws nothing where it is out of view."""


class Footage:
    """A film, played in a loop. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        """Raises CameraError when it cannot be played."""
        self._path: Final = path
        self._capture = cv2.VideoCapture()
        self._number = -1
        self._image: Image = np.zeros((2, 2, 3), np.uint8)
        self._frames: int | None = None
        self._rewind()
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self._fps: Final = fps if 0.1 <= fps <= 1000 else USUAL_FPS
        self.at(0.0)

    def at(self, time_s: float) -> Image:
        """The picture of this moment, BGR uint8 `(h, w, 3)`."""
        wanted = max(0, int(time_s * self._fps))
        if self._frames is not None:
            wanted %= self._frames
        if wanted < self._number:
            self._rewind()
        while self._number < wanted:
            if not self._capture.grab():
                if self._number < 0:
                    raise CameraError(f"camera.photographs: {self._path}: no film can be read")
                self._frames = self._number + 1
                return self.at(time_s)
            self._number += 1
            if self._number == wanted or self._number == 0:
                good, image = self._capture.retrieve()
                self._image = np.asarray(image, np.uint8) if good else self._image
        return self._image

    def _rewind(self) -> None:
        self._number = -1
        if not self._capture.open(str(self._path), cv2.CAP_FFMPEG):
            raise CameraError(f"camera.photographs: {self._path}: cannot be played")


class Presented:
    """One photograph or film, ready to be drawn."""

    def __init__(self, path: Path, presentation: Presentation) -> None:
        """Raises CameraError when the file cannot be used, or has no face where one is needed."""
        self.path: Final = path
        self.presentation: Final = presentation
        film = path.suffix.lower() in VIDEO_FILES
        self._footage: Final = Footage(path) if film else None
        picture = _read(path) if self._footage is None else self._footage.at(0.0)
        self.photograph_px: Final = scene.reduced(picture).shape[0]
        """Its height."""
        self._drawn: Final = _drawable(path, presentation, picture)

    @property
    def by_hand(self) -> bool:
        """Whether somebody holds it up."""
        return isinstance(self._drawn, Held)

    def draw(self, image: Image, pose: scene.Pose, time_s: float) -> None:
        """Draw into `image`, in place, what is shown so long into the visit."""
        if self._footage is not None and isinstance(self._drawn, Held):
            self._drawn.show(self._footage.at(time_s))
        self._drawn.draw(image, pose)

    def moved(self, pose: scene.Pose, rng: np.random.Generator, time_s: float) -> scene.Pose:
        """The pose of a visitor with the turns of a head, or the shake and tilt of a hand;
        `rng` is the same for the whole visit."""
        if self.presentation == "cut_out":
            return pose
        slow, fast, phases = rng.uniform(0.25, 0.7, 3), rng.uniform(2.5, 7, 2), rng.uniform(0, 6, 5)
        yaw, pitch, bend = np.sin(phases[:3] + 2 * math.pi * slow * time_s)
        shake_x, shake_y = np.sin(phases[3:] + 2 * math.pi * fast * time_s)
        if not self.by_hand:
            yaw_deg, pitch_deg = rng.uniform((4, 2), (12, 6))
            return replace(pose, yaw_deg=yaw_deg * yaw, pitch_deg=pitch_deg * pitch)
        yaw_deg, pitch_deg, shake = rng.uniform((3, 3, 0.001), (14, 12, 0.006))
        curvature = rng.uniform(0.6, 1.5) * (1 + 0.25 * bend)
        height_px = HELD_SIZE * pose.height_px
        return replace(
            pose,
            height_px=height_px,
            x_px=pose.x_px + shake * shake_x * height_px,
            y_px=pose.y_px + (HELD_LOWER + shake * shake_y) * height_px,
            yaw_deg=yaw_deg * yaw,
            pitch_deg=pitch_deg * pitch,
            bend=curvature if self.presentation == "bent_print" else 0.0,
        )


def _read(path: Path) -> Image:
    try:
        return read_picture(path)
    except PictureError as error:
        raise CameraError(f"camera.photographs: {error}") from error


def _drawable(path: Path, presentation: Presentation, picture: Image) -> Drawable:
    if presentation in HELD:
        return Held(presentation, picture)
    if presentation == "head":
        return Head(picture, _landmarks(path, picture))
    return CutOut(picture)


def _landmarks(path: Path, picture: Image) -> Landmarks:
    """Of the largest face, found by the detector that ships."""
    from edgeface.inference.models import open_models
    from edgeface.recognition.second_look import look, look_again
    from edgeface.settings.models import ModelsSettings

    detector, *_ = open_models(ModelsSettings(accelerator="cpu"))
    faces = look(detector, picture)
    if not faces:
        raise CameraError(
            f"camera.presentations: no face is found in {path}, so it cannot be shown as a head; "
            "take another photograph, or show it as a cut_out"
        )
    face = max(faces, key=lambda one: one.box.area)
    return look_again(detector, picture, face).landmarks
