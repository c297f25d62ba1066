"""From a configuration file to the exit code of the process."""

from __future__ import annotations

import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from edgeface.base.errors import EdgefaceError
from edgeface.service.composition import Composition
from edgeface.service.daemon import Daemon
from edgeface.service.logs import configure
from edgeface.service.recorder import Recorder
from edgeface.service.signals import SignalQueue
from edgeface.settings.loading import load_settings

_log = logging.getLogger(__name__)


def run_to_the_end(
    file: Path, record: Path | None = None, compose: Callable[..., Composition] = Composition
) -> int:
    """Run until a signal; the exit code, after `leave`. Errors are told as the command line does.

    `record`: a folder for annotated frames, see `recorder`.
    """
    try:
        code = _run(file, record, compose)
    except EdgefaceError as error:
        for line in str(error).splitlines() or [type(error).__name__]:
            print(f"edgeface: error: {line}", file=sys.stderr)
        code = error.exit_code
    return leave(code)


def leave(code: int) -> int:
    """`code`, unless a thread is left behind in a call that nobody can end: then the process ends
    here with it, because the interpreter would wait for the thread or crash under it."""
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    if others:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _run(file: Path, record: Path | None, compose: Callable[..., Composition]) -> int:
    """Raises SettingsError for a configuration with faults, and the ModelError,
    RuntimeMissingError, CameraError, GalleryError or StateError that keeps the daemon from working.
    """
    faulthandler.enable()
    with SignalQueue() as signals, ExitStack() as stack:
        settings = load_settings(file)
        configure(settings.log)
        recorder = None if record is None else stack.enter_context(Recorder(record))
        composition = compose(settings, observe=None if recorder is None else recorder.observe)
        end = Daemon(composition, file).run(signals)
    if end.cause is not None:
        raise end.cause
    if end.reason:
        _log.error("%s", end.reason)
    return end.code
