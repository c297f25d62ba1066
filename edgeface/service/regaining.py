"""Watches for an Edge TPU that was lost or missing to be usable again."""

from __future__ import annotations

import logging
from typing import Final

from edgeface.base.backoff import Backoff
from edgeface.base.errors import EdgefaceError
from edgeface.inference.description import COMPILED_FILE
from edgeface.inference.edgetpu import EdgeTpu
from edgeface.inference.package import load_package
from edgeface.inference.runtimes import find_runtime
from edgeface.service.board import Board
from edgeface.service.worker import Pulse

RETRY_MIN_S: Final = 30.0
RETRY_MAX_S: Final = 600.0
PROBE_S: Final = 60.0

_log = logging.getLogger(__name__)


def watch_accelerator(board: Board, pulse: Pulse) -> None:
    """A worker's function: while degraded, probe the TPU with a growing, jittered pause.

    The probe runs in a child process; the recognizer takes the TPU back when nobody is at the door.
    """
    backoff = Backoff(floor_s=RETRY_MIN_S / 2, base_s=RETRY_MIN_S, cap_s=RETRY_MAX_S)
    while not pulse.stop.is_set():
        facts = board.models
        if facts is None or not facts.accelerator.degraded:
            backoff.reset()
            pulse.beat()
            pulse.stop.wait(1.0)
            continue
        with pulse.patience(backoff.limit_s(backoff.failures + 1) + PROBE_S):
            if pulse.stop.wait(backoff.next_s()):
                return
            if _usable(board):
                _log.info("the Edge TPU can be used again")
                board.by_watcher.found += 1
                pulse.stop.wait(RETRY_MIN_S)


def _usable(board: Board) -> bool:
    settings = board.settings.models
    try:
        packages = [load_package(settings.detector), load_package(settings.embedder)]
        if not all(package.compiled for package in packages):
            return False
        tpu = EdgeTpu(find_runtime(), settings.edgetpu_device)
        return tpu.probe([package.folder / COMPILED_FILE for package in packages]) is None
    except EdgefaceError as error:
        _log.debug("the Edge TPU cannot be probed: %s", error)
        return False
