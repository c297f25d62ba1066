"""The capture worker: owns the camera and hands over its latest frame.

A camera of a new configuration is opened before anything of that configuration is taken.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, wait
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
from edgeface.service.supervisor import fatal
from edgeface.service.worker import Pulse
from edgeface.settings.camera import Camera

TRIAL_S: Final = 25.0
"""A little longer than the slowest back end takes to find out that there is no camera."""
_WAIT_S: Final = 0.1


class CameraTrial:
    """The main thread waits for it, the capture worker carries it out; who is first, ends it."""

    def __init__(self, camera: Camera) -> None:
        self.camera = camera
        self._fault: Future[str | None] = Future()

    @property
    def pending(self) -> bool:
        """Whether it is still to be carried out: a worker that fails later is not to try again."""
        return not self._fault.done()

    def settle(self, fault: str | None) -> bool:
        """What has come of it: None for a camera that is open. False when it has ended before;
        then this camera is not the one to go on with."""
        try:
            self._fault.set_result(fault)
        except InvalidStateError:
            return False
        return True

    def wait(self, ending: Callable[[], bool], timeout_s: float = TRIAL_S) -> str | None:
        """Why the camera is not to be used; None when it is open. Ends it when it takes too long,
        or when the process is `ending`."""
        end_s = time.monotonic() + timeout_s
        while not wait([self._fault], _WAIT_S).done:
            if ending():
                self.settle("the daemon is told to stop")
            elif time.monotonic() >= end_s:
                self.settle(f"it does not open within {timeout_s:g} s")
        return self._fault.result()


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
        if source.health.connected:
            _log.info("camera %s is open", source.name)
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
        source.expose(self._board.by_recognizer.exposure_ev)
        source.rest(self._board.by_recognizer.idle)
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
