"""A source that heals itself: closed and opened again when it stalls or is lost."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from typing import Final, Self

from edgeface.base.backoff import STABLE_S, Backoff
from edgeface.base.clock import NS, Clock
from edgeface.base.errors import CameraError, ClosedError, EndOfStreamError, FrameTimeoutError
from edgeface.capture.source import FrameSource
from edgeface.recognition.frame import Frame
from edgeface.settings.camera import CameraBase

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CameraHealth:
    """What the state and the health message say of the camera; replaced whole, never changed."""

    connected: bool = False
    """Whether the source is open; it may still be about to stall."""
    frames: int = 0
    """Frames delivered."""
    skipped: int = 0
    """Frames of the source that were never delivered, by the gaps in their numbers."""
    stalls: int = 0
    """Times that nothing came for the stall time."""
    losses: int = 0
    """Times that the source failed otherwise, while open or on re-opening."""
    reopened: int = 0
    """Times it was opened again."""
    last_error: str | None = None
    """Why it was closed last; None again once a frame has come."""


class ReopeningSource:
    """A `FrameSource` for whoever reads it, around one.

    The first `open()` lets errors through: a camera that was never there is for a person to put
    right. Afterwards `read()` closes a source that delivered nothing for `stall_timeout_s` or
    failed, and opens it again after a pause, which starts anew with each frame. No
    wait is longer than the caller's timeout, and each ends when `stop` is set.
    """

    def __init__(
        self,
        source: FrameSource,
        camera: CameraBase,
        clock: Clock | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        self.name: Final = source.name
        """Id for `Frame.source`, logs and `~/state`."""
        self.live: Final = source.live
        """See `FrameSource.live`."""
        self.health = CameraHealth()
        """The counters as they are now; may be read from any thread."""
        self._source = source
        self._stall_ns = round(camera.stall_timeout_s * NS)
        self._backoff = Backoff(floor_s=0.0, base_s=camera.reopen_min_s, cap_s=camera.reopen_max_s)
        self._clock = clock or Clock()
        self._stop = stop or threading.Event()
        self._is_open = False
        self._silent_since_ns: int | None = None
        self._retry_ns = 0
        self._returned_ns: int | None = None
        """When it delivered again; None once that was said."""
        self._sequence: int | None = None

    def open(self, *, again: bool = False) -> None:
        """Open for the first time. Raises CameraError or RuntimeMissingError; may be repeated.

        `again`: this camera was open before. Then a CameraError is a loss like any other, and
        `read()` goes on trying.
        """
        if self._is_open:
            return
        self._backoff.reset()
        self._silent_since_ns = None
        try:
            self._source.open()
        except CameraError as error:
            if not again:
                raise
            self._lose(error)
        else:
            self.health = replace(self.health, connected=True)
        self._is_open = True

    def read(self, timeout_s: float) -> Frame:
        """The next frame, re-opening as needed within `timeout_s`.

        Raises FrameTimeoutError (also when `stop` was set), EndOfStreamError or ClosedError.
        """
        if not self._is_open:
            raise ClosedError(f"camera {self.name!r} is not open")
        deadline_ns = self._clock.boottime_ns() + round(max(0.0, timeout_s) * NS)
        first = True
        while first or self._clock.boottime_ns() < deadline_ns:
            first = False
            if self._stop.is_set():
                raise FrameTimeoutError(f"camera {self.name!r}: stopping")
            if self._source.is_open:
                frame = self._read_once(deadline_ns)
                if frame is not None:
                    return frame
            else:
                self._reopen_when_due(deadline_ns)
        why = self.health.last_error
        raise FrameTimeoutError(
            f"camera {self.name!r}: no frame within {timeout_s:g} s" + (f": {why}" if why else "")
        )

    def expose(self, ev: float) -> None:
        """See `FrameSource.expose`."""
        self._source.expose(ev)

    def rest(self, resting: bool) -> None:
        """See `FrameSource.rest`."""
        self._source.rest(resting)

    def close(self) -> None:
        """Release everything; safe to call twice."""
        self._is_open = False
        self._source.close()
        self.health = replace(self.health, connected=False)

    def _read_once(self, deadline_ns: int) -> Frame | None:
        # Silence counts from the first read that got nothing: a slow reader is no stalled camera.
        now_ns = self._clock.boottime_ns()
        since_ns = now_ns if self._silent_since_ns is None else self._silent_since_ns
        until_ns = min(deadline_ns, since_ns + self._stall_ns)
        try:
            frame = self._source.read(max(0, until_ns - now_ns) / NS)
        except (EndOfStreamError, ClosedError):
            raise
        except FrameTimeoutError:
            self._silent_since_ns = since_ns
            silent_ns = self._clock.boottime_ns() - since_ns
            if silent_ns >= self._stall_ns:
                self.health = replace(self.health, stalls=self.health.stalls + 1)
                self._give_up(f"no frame for {silent_ns / NS:.1f} s")
            return None
        except CameraError as error:
            self._lose(error)
            return None
        self._count(frame)
        return frame

    def _count(self, frame: Frame) -> None:
        self._note_return()
        self._backoff.reset()
        self._silent_since_ns = None
        missed = 0 if self._sequence is None else frame.sequence - self._sequence - 1
        self._sequence = frame.sequence
        self.health = replace(
            self.health,
            connected=True,
            frames=self.health.frames + 1,
            skipped=self.health.skipped + max(0, missed),
            last_error=None,
        )

    def _note_return(self) -> None:
        """Say that it delivers again once it has for a while: one that comes and goes says nothing
        new each time."""
        now_ns = self._clock.boottime_ns()
        if self._backoff.failures:
            self._returned_ns = now_ns
        elif self._returned_ns is not None and now_ns - self._returned_ns >= STABLE_S * NS:
            self._returned_ns = None
            _log.info("camera %s delivers again", self.name)

    def _lose(self, error: CameraError) -> None:
        self.health = replace(self.health, losses=self.health.losses + 1)
        self._give_up(str(error))

    def _give_up(self, why: str) -> None:
        """Close and draw the pause before the next attempt."""
        self._source.close()
        self._returned_ns = None
        pause_s = self._backoff.next_s()
        self._retry_ns = self._clock.boottime_ns() + round(pause_s * NS)
        self.health = replace(self.health, connected=False, last_error=why)
        again = {"again_in_s": round(pause_s, 1)}  # not in the words, which are thinned out
        _log.warning("camera %s closed: %s; opening again", self.name, why, extra=again)

    def _reopen_when_due(self, deadline_ns: int) -> None:
        now_ns = self._clock.boottime_ns()
        wait_ns = min(self._retry_ns, deadline_ns) - now_ns
        if wait_ns > 0 and self._clock.wait(self._stop, wait_ns / NS):
            return
        if self._clock.boottime_ns() < self._retry_ns:
            return
        try:
            self._source.open()
        except CameraError as error:
            self._lose(error)
            return
        self._silent_since_ns = None
        self.health = replace(self.health, connected=True, reopened=self.health.reopened + 1)

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
