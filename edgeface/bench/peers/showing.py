"""The frames that all systems see: photographs as visitors, or a clip."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from edgeface.base.clock import ManualClock
from edgeface.base.errors import EndOfStreamError, EvaluationError
from edgeface.bench.peers.comparison import ShownFrames
from edgeface.capture.simulated import SimulatedSource, Visits
from edgeface.capture.stream import FileStreamSource
from edgeface.recognition.values import Image
from edgeface.settings.camera import SimulatedCamera, StreamCamera

FPS = 10.0
READ_TIMEOUT_S = 10.0


def show_photographs(
    photographs: Sequence[Path], size: tuple[int, int], frames: int, target: Path
) -> ShownFrames:
    """The first photograph is the visitor, the others are strangers; each comes for 3 s in turn.

    `size` is width and height in px, `target` the npy file that is written. Raises CameraError when
    a photograph cannot be used.
    """
    camera = SimulatedCamera.model_construct(
        photographs=tuple(photographs), size=size, fps=FPS, visit_s=3.0, gap_s=0.5, loop=True
    )
    source, visits = SimulatedSource(camera, ManualClock()), Visits(camera)
    visitor = []
    pictures = []
    for number in range(frames):
        visit = visits.at(number)
        visitor.append(visit is not None and visits.photograph_of(visit) == photographs[0])
        pictures.append(source.render(number))
    return _written(pictures, visitor, FPS, target)


def show_clip(clip: Path, size: tuple[int, int], frames: int, target: Path) -> ShownFrames:
    """A clip of the visitor alone, scaled to `size`. Raises CameraError when it cannot be read."""
    camera = StreamCamera.model_construct(url=str(clip))
    pictures: list[Image] = []
    with FileStreamSource(clip, camera, ManualClock()) as source:
        while len(pictures) < frames:
            try:
                frame = source.read(READ_TIMEOUT_S)
            except EndOfStreamError:
                break
            image = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
            pictures.append(np.asarray(image, np.uint8))
    return _written(pictures, [True] * len(pictures), FPS, target)


def _written(pictures: list[Image], visitor: list[bool], fps: float, target: Path) -> ShownFrames:
    if not any(visitor):
        raise EvaluationError(f"{len(pictures)} frames show no visitor: too few to compare")
    np.save(target, np.stack(pictures))
    return ShownFrames(target, tuple(visitor), fps)
