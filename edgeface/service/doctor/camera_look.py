"""A look through the camera: its rate, its light, how it hangs, and who stands before it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Final

from edgeface.base.clock import NS
from edgeface.base.errors import EdgefaceError, EndOfStreamError, FrameTimeoutError
from edgeface.capture.factory import make_backend
from edgeface.gallery.gate import explain
from edgeface.inference.models import open_models
from edgeface.recognition.alignment import align
from edgeface.recognition.frame import Frame
from edgeface.recognition.quality import assess, refusals
from edgeface.recognition.scene_watch import FrozenWatch
from edgeface.recognition.second_look import look, look_again
from edgeface.recognition.turning import best_turn
from edgeface.recognition.values import Face, FaceDetector
from edgeface.recognition.view import is_black, small_gray
from edgeface.service.doctor.finding import Finding, Patient, failed, together
from edgeface.service.recognizing import rules_of
from edgeface.service.reporting import PATIENCE_S
from edgeface.settings.tree import Settings

LOOK_S: Final = 5.0
SLOW: Final = 0.6
"""A camera that gives less of the frames that were asked for is told."""
_EVERY_S: Final = 1.0
"""Frames so far apart are looked at for faces."""


class _Looked:
    """What came of the camera in `LOOK_S`."""

    def __init__(self, settings: Settings) -> None:
        self.kept: list[Frame] = []
        self.frozen: str | None = None
        self.stalled: str | None = None
        """Why no more frames came."""
        self.count = 0
        self.seconds = 0.0
        """From the first frame to the last."""
        camera = settings.camera
        watch = FrozenWatch(camera.frozen_s)
        with make_backend(camera) as source:
            self.name = source.name
            first_s = -math.inf
            while self.seconds < LOOK_S:
                try:
                    frame = source.read(camera.stall_timeout_s)
                except EndOfStreamError:
                    if not self.count:
                        raise
                    break
                except FrameTimeoutError as error:
                    if not self.count:
                        raise
                    self.stalled = str(error)
                    break
                time_s = frame.boottime_ns / NS
                first_s = first_s if self.count else time_s
                self.count += 1
                self.seconds = time_s - first_s
                if "camera_frozen" in camera.watched:
                    self.frozen = watch.trouble(frame.image, time_s) or self.frozen
                if not self.kept or time_s - self.kept[-1].boottime_ns / NS >= _EVERY_S:
                    self.kept.append(frame)


def camera(patient: Patient) -> Finding:
    """The camera gives pictures, often enough, lit and upright; who stands before it is large and
    clear enough to be enrolled."""
    settings = patient.configured
    looked = _Looked(settings)
    height, width = looked.kept[-1].image.shape[:2]
    text = f"{settings.camera.source} {looked.name} gives {width}x{height}"
    found = [Finding("ok", text), *_rate(settings, looked), *_picture(looked)]
    try:
        detector, embedder, _ = open_models(settings.models, settings.detection)
    except EdgefaceError as error:
        found.append(Finding("not_tried", f"no face was looked for: {error}"))
        return together(found)
    try:
        found += _faces(settings, detector, looked.kept)
    finally:
        detector.close()
        embedder.close()
    return together(found)


def _rate(settings: Settings, looked: _Looked) -> Iterator[Finding]:
    if looked.stalled is not None:
        text = f"no more frames came after the first {looked.count}: {looked.stalled}"
        yield Finding("fail", text, "check cable, power and network of the camera")
        return
    if not looked.seconds:
        yield Finding("not_tried", "its rate: there was one frame only")
        return
    fps = (looked.count - 1) / looked.seconds
    text = f"{fps:.1f} frames a second"
    wanted = getattr(settings.camera, "fps", None)
    cure = "more light, another camera.pixel_format or a smaller camera.size; a USB 3 port"
    if settings.decision.min_agreeing / fps > PATIENCE_S:
        text += ": too few of a person who stands at a door and looks"
        yield Finding("fail", text, cure)
    elif wanted is not None and fps < SLOW * wanted:
        yield Finding("warn", f"{text}, and camera.fps is {wanted:g}", cure)
    else:
        yield Finding("ok", text)


def _picture(looked: _Looked) -> Iterator[Finding]:
    if looked.frozen is not None:
        yield failed(looked.frozen)
    if is_black(small_gray(looked.kept[-1].image)):
        yield Finding("warn", "the picture is black", "uncover the lens, or light the place")


def _faces(settings: Settings, detector: FaceDetector, frames: list[Frame]) -> Iterator[Finding]:
    seen = [(face, frame) for frame in frames for face in _found(detector, frame)]
    votes = Counter(best_turn(detector, frame.image) for frame in frames)
    del votes[None]
    turn = max(votes, key=lambda degrees: votes[degrees], default=0)
    # A detector finds a face in a wallpaper now and then, and upright ones settle it.
    if turn and not votes[0] and votes[turn] >= min(2, len(frames)):
        said, _, cure = settings.camera.turn_hint(turn).partition(": ")
        yield Finding("warn", said, cure)
        return
    if not seen:
        text = "nobody was in view: stand where people will stand, and look into the camera"
        yield Finding("not_tried", f"size and light of a face: {text}")
        return
    face, frame = max(seen, key=lambda one: one[0].box.area)
    face = look_again(detector, frame.image, face)
    size = min(face.box.width, face.box.height)
    text = f"a face of {size:.0f} pixels, upright"
    try:
        crop = align(frame.image, face.landmarks)
    except ValueError:
        yield Finding("not_tried", f"{text}, whose landmarks make no sense")
        return
    limits = rules_of(settings).limits.for_enrollment()
    height, width = frame.image.shape[:2]
    quality = assess(face, crop, (width, height))
    gates = refusals(quality, limits)
    if not gates:
        yield Finding("ok", f"{text}, large, sharp and lit well enough to be enrolled")
    for gate in gates:
        said, _, cure = explain(gate, quality, limits).partition("; ")
        yield Finding("warn", said, cure or "look into the camera, in light from the front")


def _found(detector: FaceDetector, frame: Frame) -> list[Face]:
    return look(detector, frame.image, frame.detect_image, frame.detect_scale)
