"""Watches for an accelerator that was lost or missing to be usable again."""

from __future__ import annotations

import logging
import time
from typing import Final

from edgeface.base.backoff import Backoff
from edgeface.base.errors import EdgefaceError
from edgeface.inference.models import accelerator_trouble
from edgeface.service.board import Board
from edgeface.service.worker import Pulse

RETRY_MIN_S: Final = 30.0
RETRY_MAX_S: Final = 600.0
PROBE_S: Final = 90.0
"""With each runtime it may take 30 s."""

_log = logging.getLogger(__name__)


def watch_accelerator(board: Board, pulse: Pulse) -> None:
    """A worker's function: while degraded, probe the accelerator with a growing, jittered pause.

    The probe runs in a child process; the recognizer takes the accelerator back when nobody is at
    the door. The pauses are short again once it has held for as long as the longest.
    """
    held_s = time.monotonic()
    backoff = Backoff(floor_s=RETRY_MIN_S / 2, base_s=RETRY_MIN_S, cap_s=RETRY_MAX_S)
    while not pulse.stop.is_set():
        facts = board.models
        if facts is None or not facts.accelerator.degraded:
            if time.monotonic() - held_s >= RETRY_MAX_S:
                backoff.reset()
            pulse.beat()
            pulse.stop.wait(1.0)
            continue
        with pulse.patience(backoff.limit_s(backoff.failures + 1) + PROBE_S):
            if pulse.stop.wait(backoff.next_s()):
                return
            held_s = time.monotonic()
            if _usable(board):
                _log.info("the accelerator can be used again")
                board.by_watcher.found += 1
                pulse.stop.wait(RETRY_MIN_S)


def _usable(board: Board) -> bool:
    try:
        trouble = accelerator_trouble(board.settings.models)
    except EdgefaceError as error:
        trouble = str(error)
    if trouble is not None:
        _log.debug("the accelerator cannot be used yet: %s", trouble)
    return trouble is None
