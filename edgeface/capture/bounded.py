"""Calls into drivers that may never come back, with a bound on the wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from typing import TypeVar

from edgeface.base.errors import FrameTimeoutError

T = TypeVar("T")

_log = logging.getLogger(__name__)


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
    future: Future[T] = Future()

    def run() -> None:
        try:
            result = function()
        except BaseException as error:  # noqa: BLE001  (raised again in the caller's thread)
            with suppress(InvalidStateError):
                future.set_exception(error)
            return
        try:
            future.set_result(result)
        except InvalidStateError:  # cancelled: the caller has left
            if late is not None:
                late(result)

    threading.Thread(target=run, name=f"bounded {what}", daemon=True).start()
    try:
        return future.result(timeout_s)
    except TimeoutError as error:
        if not future.cancel():  # it came after all, or this is an error of the call's own
            return future.result()
        _log.warning("%s did not return within %g s; its thread is left behind", what, timeout_s)
        raise FrameTimeoutError(f"{what} did not return within {timeout_s:g} s") from error
