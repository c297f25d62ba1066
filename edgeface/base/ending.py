"""Signals that end a program which has something to put away."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Final, NoReturn

_TERMINATED: Final = 128
_ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def leaving() -> AbstractContextManager[None]:
    """SIGTERM and SIGHUP end what runs within as Ctrl-C does, through every `finally`; once:
    timeout(1) sends it twice, and the second would end the putting away."""
    return _handled(_leave, signal.SIGTERM, signal.SIGHUP)


def undisturbed() -> AbstractContextManager[None]:
    """No signal interrupts what has to be put away; it is bounded."""
    return _handled(signal.SIG_IGN, *_ENDING)


@contextmanager
def held() -> Iterator[None]:
    """A signal that comes within has its effect afterwards; a process that is started within begins
    with them held, until `let_go`. Of the thread."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_go() -> None:
    """In a process that was started while they were `held`."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)


@contextmanager
def _handled(
    handler: Callable[[int, FrameType | None], None] | signal.Handlers, *numbers: signal.Signals
) -> Iterator[None]:
    """Another handler for some signals, for a while. Of the main thread."""
    previous = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in previous.items():
            signal.signal(number, earlier)


def _leave(number: int, _frame: FrameType | None) -> NoReturn:
    for again in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(again, signal.SIG_IGN)
    raise SystemExit(_TERMINATED + number)
