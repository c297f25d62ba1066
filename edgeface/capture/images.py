"""The pictures of a folder, shown one after another."""

from __future__ import annotations

import logging
from pathlib import Path

from edgeface.base.clock import Clock
from edgeface.base.errors import CameraError, EndOfStreamError, PictureError
from edgeface.capture.pacing import Pacer
from edgeface.capture.picture_file import READABLE, read_picture
from edgeface.capture.source import FrameSource, Picture
from edgeface.recognition.values import Image
from edgeface.settings.camera import ImagesCamera

_log = logging.getLogger(__name__)


class ImagesSource(FrameSource):
    """Every picture of a folder in the order of the names, `fps` a second.

    No picture is skipped for being late: a slow reader slows the show. One that cannot be decoded
    is logged and left out. Pictures may differ in size.
    """

    def __init__(self, camera: ImagesCamera, clock: Clock | None = None) -> None:
        super().__init__(camera.name, clock)
        self._folder = camera.folder
        self._loop = camera.loop
        self._pacer = Pacer(self._clock, camera.fps, late="slip")
        self._paths: list[Path] = []
        self._at = 0
        self._decoded_in_pass = 0
        self._pending: Image | None = None

    def _start(self) -> None:
        try:
            found = sorted(p for p in self._folder.iterdir() if p.suffix.lower() in READABLE)
        except OSError as error:
            raise CameraError(
                f"cannot read the folder {self._folder}: {error.strerror}; set camera.folder to a "
                "folder of pictures"
            ) from error
        if not found:
            raise CameraError(
                f"no picture in {self._folder}; it should hold files that end in "
                + ", ".join(READABLE)
            )
        self._paths = found
        self._at = 0
        self._decoded_in_pass = 0
        self._pacer.start()

    def _next(self, timeout_s: float) -> Picture:
        if self._pending is None:
            self._pending = self._decode_next()
        _, stamp = self._pacer.take(timeout_s)
        image, self._pending = self._pending, None
        return Picture(image, stamp)

    def _decode_next(self) -> Image:
        while True:
            if self._at == len(self._paths):
                self._begin_again()
            path = self._paths[self._at]
            self._at += 1
            try:
                image = read_picture(path)
            except PictureError as error:
                _log.warning("left out %s", error)
                continue
            self._decoded_in_pass += 1
            return image

    def _begin_again(self) -> None:
        if not self._decoded_in_pass:
            raise CameraError(f"no picture in {self._folder} can be decoded")
        if not self._loop:
            raise EndOfStreamError(f"all pictures of {self._folder} were shown")
        self._at = 0
        self._decoded_in_pass = 0

    def _stop(self) -> None:
        self._paths = []
        self._pending = None
