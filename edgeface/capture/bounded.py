"""Calls into drivers that may never come back, with a bound on the wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from edgeface.base.errors import FrameTimeoutError

T = TypeVar("T")

_log = logging.getLogger(__name__)


class _Call(Generic[T]):
    """One call on its own thread; the result goes to the caller, or to `late` if he has left."""

    def __init__(self, function: Callable[[], T], late: Callable[[T], None] | None) -> None:
        self._function = function
        self._late = late
        self._lock = threading.Lock()
        self._abandoned = False
        self.done = threading.Event()
        self.results: list[T] = []
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            result = self._function()
        except BaseException as error:  # noqa: BLE001  (raised again in the caller's thread)
            with self._lock:
                self.error = error
                self.done.set()
            return
        with self._lock:
            abandoned = self._abandoned
            if not abandoned:
                self.results.append(result)
                self.done.set()
        if abandoned and self._late is not None:
            self._late(result)

    def abandon(self) -> bool:
        """False when the result arrived after all."""
        with self._lock:
            self._abandoned = not self.done.is_set()
            return self._abandoned


def call_bounded(
    function: Callable[[], T],
    timeout_s: float,
    what: str,
    late: Callable[[T], None] | None = None,
) -> T:
    """`function()` on a daemon thread; its result or its exception.

    Raises FrameTimeoutError after `timeout_s`. A thread inside a driver cannot be stopped from
    Python: it is left behind, and should it return later, `late` gets the result to release it.
    """
    call = _Call(function, late)
    threading.Thread(target=call.run, name=f"bounded {what}", daemon=True).start()
    if not call.done.wait(timeout_s) and call.abandon():
        _log.warning("%s did not return within %g s; its thread is left behind", what, timeout_s)
        raise FrameTimeoutError(f"{what} did not return within {timeout_s:g} s")
    if call.error is not None:
        raise call.error
    return call.results[0]
