"""What the recognizer notices of the camera: upright, frozen, covered, out of focus, moved; and how
light a face is in its pictures."""

from __future__ import annotations

from typing import Final

from edgeface.base.clock import NS
from edgeface.contract.report import AlertId
from edgeface.recognition.frame import Frame
from edgeface.recognition.metering import FaceMeter
from edgeface.recognition.pipeline import FrameResult
from edgeface.recognition.scene_watch import FrozenWatch, SceneWatch
from edgeface.recognition.turning import TurnWatch
from edgeface.recognition.values import FaceDetector
from edgeface.service.board import Board
from edgeface.service.view_file import read_view, write_view
from edgeface.settings.camera import Camera

KEEP_EVERY_S: Final = 86_400.0
"""The view changes slowly, and flash memory wears out."""
FORGOTTEN_EVERY_S: Final = 10.0
"""So often it is looked whether somebody has deleted the view, which acknowledges a move."""


class CameraWatch:
    """Writes what it notices to the recognizer's post. Used by that worker alone."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._file = board.settings.state_dir / "view"
        self._camera: Camera | None = None
        self._turns = TurnWatch()
        self._meter = FaceMeter(0.0)
        self._frozen = FrozenWatch(0.0)
        self._scene = SceneWatch()
        self._kept = False
        """Whether there is a file of the view."""
        self._keep_s = self._look_s = 0.0

    def is_frozen(self, frame: Frame) -> bool:
        """Take every frame: whether it is an old one once more, in which nobody is to be sought."""
        camera = self._board.settings.camera
        time_s = frame.boottime_ns / NS
        if camera is not self._camera:  # it may be another one now, or hang otherwise
            self._camera = camera
            self._turns, self._frozen = TurnWatch(), FrozenWatch(camera.frozen_s)
            self._meter = FaceMeter(camera.exposure_limit_ev)
            self._begin(time_s)
        trouble = None
        if "camera_frozen" in camera.watched:
            trouble = self._frozen.trouble(frame.image, time_s)
        self._say("camera_frozen", trouble)
        return trouble is not None

    def look(
        self, frame: Frame, result: FrameResult, detector: FaceDetector, *, resting: bool
    ) -> None:
        """Take a frame with its faces; when `resting`, nobody is there. Raises what the detector
        raises."""
        time_s = frame.boottime_ns / NS
        if not resting:
            small = frame.image if frame.detect_image is None else frame.detect_image
            self._turns.look(detector, small, time_s)
        faces = [sight.face.box for sight in result.sights]
        self._meter.look(frame.image, faces, time_s)
        post = self._board.by_recognizer
        post.turn, post.exposure_ev = self._turns.hint, self._meter.ev
        watched = () if self._camera is None else self._camera.watched
        if set(watched) <= {"camera_frozen"}:
            return
        self._notice_forgotten(time_s)
        changed = self._scene.look(frame.image, faces, time_s)
        self._keep(time_s, changed=changed)
        found = self._scene.troubles
        troubles: dict[AlertId, str | None] = {
            "camera_covered": found.covered,
            "camera_defocused": found.defocused,
            "camera_moved": found.moved,
        }
        for alert, trouble in troubles.items():
            self._say(alert, trouble if alert in watched else None)

    def _say(self, alert: AlertId, trouble: str | None) -> None:
        post = self._board.by_recognizer
        if post.picture.get(alert) != trouble:
            post.picture = {**post.picture, alert: trouble}

    def _begin(self, time_s: float) -> None:
        """With the view of before, if it is of this camera."""
        self._board.by_recognizer.picture = {}
        view = read_view(self._file, self._name())
        self._scene, self._kept = SceneWatch(view), view is not None
        self._keep_s = time_s + KEEP_EVERY_S

    def _notice_forgotten(self, time_s: float) -> None:
        if not self._kept or time_s < self._look_s:
            return
        self._look_s = time_s + FORGOTTEN_EVERY_S
        if not self._file.exists():
            self._begin(time_s)

    def _keep(self, time_s: float, *, changed: bool) -> None:
        view = self._scene.view
        if view is None or not (changed or time_s >= self._keep_s):
            return
        self._keep_s = time_s + KEEP_EVERY_S
        self._kept = write_view(self._file, self._name(), view)

    def _name(self) -> str:
        """What the view belongs to; the address of a camera may hold secrets and is not in it."""
        camera = self._board.settings.camera
        return f"{camera.source} {camera.name} {camera.rotate} {camera.flip}"
