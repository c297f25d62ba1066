"""The capture worker: owns the camera and hands over its latest frame."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import Final

from edgeface.base.clock import Clock
from edgeface.base.errors import (
    CameraError,
    ClosedError,
    EndOfStreamError,
    FrameTimeoutError,
    RuntimeMissingError,
)
from edgeface.capture.factory import make_source
from edgeface.capture.reopening import ReopeningSource
from edgeface.capture.slot import LatestSlot
from edgeface.recognition.frame import Frame
from edgeface.service.board import Board
from edgeface.service.camera_trial import CameraTrial
from edgeface.service.supervisor import fatal
from edgeface.service.worker import Pulse

READ_S: Final = 0.5
OPEN_S: Final = 60.0
"""Opening a camera, also again after it was lost, may take so long."""

_log = logging.getLogger(__name__)


class Capture:
    """`run` is the worker's function."""

    def __init__(self, board: Board, slot: LatestSlot[Frame], clock: Clock) -> None:
        self._board = board
        self._slot = slot
        self._clock = clock
        self._was_open = False

    def run(self, pulse: Pulse, trial: CameraTrial | None = None) -> None:
        """Read until told to stop or the source ends, which closes the slot.

        It begins when models and gallery are there, so that a file loses no frame. A camera that
        cannot be opened the first time is for a person to put right (FatalError). That of a `trial`
        is read from if it can be opened, and else the one of the settings, which was open before.
        """
        if pulse.until(lambda: self._board.models and self._board.gallery) is None:
            return
        source = self._tried(trial, pulse) if trial is not None and trial.pending else None
        if source is None:
            source = self._opened(pulse)
        self._was_open = True
        try:
            while not pulse.stop.is_set():
                with pulse.patience(OPEN_S):
                    self._step(source, pulse)
                self._board.by_capture.camera = source.health
        except EndOfStreamError:
            self._slot.close()
        finally:
            source.close()
            self._board.by_capture.camera = source.health

    def _opened(self, pulse: Pulse) -> ReopeningSource:
        source = make_source(self._board.settings.camera, self._clock, pulse.stop)
        first = not self._was_open
        with fatal(CameraError, RuntimeMissingError, when=first), pulse.patience(OPEN_S):
            source.open(again=self._was_open)
        return source

    def _tried(self, trial: CameraTrial, pulse: Pulse) -> ReopeningSource | None:
        """The camera of a trial, open; None when the one of the settings is to be used on."""
        source = make_source(trial.camera, self._clock, pulse.stop)
        fault: str | None = None
        try:
            with pulse.patience(OPEN_S):
                source.open()
        except Exception as error:  # noqa: BLE001 - whatever it is, the camera before still works
            if not isinstance(error, (CameraError, RuntimeMissingError)):
                _log.exception("camera %s cannot be opened", source.name)
            fault = str(error) or type(error).__name__
        if trial.settle(fault) and fault is None:
            return source
        source.close()
        return None

    def _step(self, source: ReopeningSource, pulse: Pulse) -> None:
        try:
            frame = source.read(READ_S)
        except FrameTimeoutError:
            return
        with suppress(ClosedError):
            if source.live:
                self._slot.put(frame)
                return
            while not self._slot.put_when_free(frame, READ_S) and not pulse.stop.is_set():
                pulse.beat()
