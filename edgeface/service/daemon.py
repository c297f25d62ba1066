"""The daemon: from a configuration file to the exit code of the process.

Its main thread: signals, supervision, reports, and an end within a bound.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import cv2

from edgeface import __version__
from edgeface.base.counting import people
from edgeface.base.errors import EdgefaceError
from edgeface.service.commanding.reloads import Reloaded
from edgeface.service.composition import (
    BEFORE_PUBLISHER,
    PUBLISHING,
    RECOGNIZER,
    Composition,
)
from edgeface.service.logs import configure
from edgeface.service.recorder import Recorder
from edgeface.service.reload import change_embedder, reload
from edgeface.service.signals import Notifier, SignalQueue
from edgeface.service.supervisor import CLEAN, STUCK, Exit
from edgeface.settings.loading import load_settings

TICK_S: Final = 0.2
START_TICK_S: Final = 0.02
"""Until it is ready: then nobody waits for a tick who could be served."""
WORKERS_SHARE: Final = 0.4
"""Of the time for stopping: for camera and models to let go."""
PUBLISHER_SHARE: Final = 0.5
"""For the outbox to drain and the broker to be told."""
OUTBOX_SHARE: Final = 0.1
WATCHDOG_S: Final = 1.0
"""The watchdog is fed at most this often."""

_log = logging.getLogger(__name__)


class Daemon:
    """Runs a composition until a signal or a worker ends it. Used by the main thread."""

    def __init__(self, composition: Composition, file: Path) -> None:
        """`file` is what SIGHUP reads again."""
        self._composition = composition
        self._file = file
        self._notifier = Notifier()
        self._lifecycle = ""
        self._refused = ""
        """Why the last reload was refused; empty when it was not."""
        self._fed_s = 0.0

    def run(self, signals: SignalQueue) -> Exit:
        """Start, watch, stop. Code 0 after SIGTERM or SIGINT or at the end of a finite source, and
        otherwise the reason's. Raises StateError for an outbox that cannot be used."""
        # One thread of OpenCV's own is enough beside the models' threads.
        cv2.setNumThreads(1)
        self._composition.start()

        def reread() -> Reloaded:
            done = reload(self._composition, self._file, ending=lambda: signals.ending)
            self._refused = done.faults[0] if done.faults else ""
            return done

        end: Exit | None = None
        while end is None:
            number = signals.get(TICK_S if self._lifecycle else START_TICK_S)
            if number == signal.SIGHUP:
                self._notifier.reloading()
                reread()
                self._lifecycle = ""
            elif number is not None:
                end = Exit(CLEAN, "")
            else:
                end = self._tick(reread)
        return self._stop(end)

    def _tick(self, reread: Callable[[], Reloaded]) -> Exit | None:
        composition = self._composition
        end = composition.supervisor.check()
        if end is not None:
            return end
        if composition.supervisor.finished(RECOGNIZER):
            return Exit(CLEAN, "")
        if composition.desk.reloads.work(reread):
            self._lifecycle = ""
        change_embedder(composition)
        composition.reporter.tick()
        composition.announcer.tick(composition.board.settings)
        health = composition.reporter.health()
        if health is not None:
            composition.publisher.publish(composition.presence.health(health))
        self._tell_systemd()
        return None

    def _tell_systemd(self) -> None:
        composition = self._composition
        lifecycle = composition.reporter.lifecycle
        if lifecycle != self._lifecycle and lifecycle != "init":
            index = composition.board.gallery
            count = 0 if index is None else len(index.people)
            reasons = "; ".join(composition.reporter.reasons())
            why = f": {reasons}" if reasons else ""
            why += f"; the reload was refused: {self._refused}" if self._refused else ""
            extra: dict[str, object] = {"people": count} | ({"reasons": reasons} if reasons else {})
            if self._refused:  # which was thinned out of the log where it is the same once more
                extra["refused"] = self._refused
                _log.info("the configuration before is used on", extra=extra)
            else:
                _log.info("edgeface %s is %s", __version__, lifecycle, extra=extra)
            self._notifier.ready(f"{lifecycle}, {people(count)}{why}")
            self._lifecycle = lifecycle
        watchdog_s, now_s = self._notifier.watchdog_s, time.monotonic()
        if watchdog_s is None or not composition.supervisor.healthy():
            return
        if now_s - self._fed_s >= min(WATCHDOG_S, watchdog_s / 4):
            self._fed_s = now_s
            self._notifier.watchdog()

    def _stop(self, end: Exit) -> Exit:
        """Camera and models, then the publisher, then the outbox, each within its share and what
        those before it have left of theirs."""
        composition = self._composition
        total_s = composition.board.settings.service.stop_timeout_s
        composition.reporter.stopping = True
        composition.presence.set_state(composition.reporter.state())
        self._notifier.stopping(end.reason or "stopping")
        supervisor, begun_s = composition.supervisor, time.monotonic()

        def until(share: float) -> float:
            return max(0.0, begun_s + share * total_s - time.monotonic())

        left = supervisor.stop(until(WORKERS_SHARE), BEFORE_PUBLISHER)
        composition.presence.set_state(composition.reporter.state())
        left += supervisor.stop(until(WORKERS_SHARE + PUBLISHER_SHARE), PUBLISHING)
        ended = composition.outbox.close(max(until(1.0), OUTBOX_SHARE * total_s))
        if not ended and not composition.outbox.safe:
            left += ("outbox",)
        if left:
            _log.error("did not stop: %s", ", ".join(left))
            if end.code == CLEAN:  # else the first reason is the one that matters
                return Exit(STUCK, f"stuck at the end: {', '.join(left)}")
        return end


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
        _log.info("edgeface %s starts", __version__, extra={"configuration": str(file)})
        recorder = None if record is None else stack.enter_context(Recorder(record))
        composition = compose(settings, observe=None if recorder is None else recorder.observe)
        end = Daemon(composition, file).run(signals)
    if end.cause is not None:
        raise end.cause
    if end.reason:
        _log.error("%s", end.reason)
    return end.code
