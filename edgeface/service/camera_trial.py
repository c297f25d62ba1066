"""A camera of a new configuration is opened before anything of that configuration is taken."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError, wait
from typing import Final

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
