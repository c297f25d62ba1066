"""What libraries in C write to standard error: taken from there, thinned out and logged.

TFLite, FFmpeg and libjpeg write to file descriptor 2 behind Python's back, between the lines of a
JSON log as well. While this stands that is a pipe, `sys.stderr` writes to where it led before, and
each line is logged at level info: the daemon shows it as a record of its own, the other verbs not.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from edgeface.base.addresses import without_secrets

VERBS: Final = frozenset(
    [
        "run",
        "events",
        "enroll",
        "gallery",
        "fleet",
        "models",
        "evaluate",
        "compare",
        "inspect",
        "matrix",
        "map",
        "embed",
        "identify",
        "verify",
        "doctor",
    ]
)
"""Those that load models and decode pictures, and start no process that would write there too."""
REPEAT_S: Final = 60.0
"""Lines that differ in numbers alone are logged once in this time."""

_STANDARD_ERROR: Final = 2
_MAX_KINDS: Final = 100
_MAX_LINE: Final = 500
_NUMBERS: Final = re.compile(r"0x[0-9a-f]+|\d+")

_log = logging.getLogger("edgeface.vendor")


class Thinner:
    """Used by one thread."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._known: dict[str, tuple[float, int]] = {}

    def passes(self, line: str) -> int | None:
        """None when one of its kind was logged just now, and else how many were left out."""
        kind, now_s = _NUMBERS.sub("#", line), self._now_s()
        logged_s, left_out = self._known.get(kind, (now_s - REPEAT_S, 0))
        if now_s - logged_s < REPEAT_S:
            self._known[kind] = (logged_s, left_out + 1)
            return None
        if len(self._known) >= _MAX_KINDS:
            self._known.clear()
        self._known[kind] = (now_s, 0)
        return left_out


@contextmanager
def vendor_lines(verb: str) -> Iterator[None]:
    """Take them while the verb runs; nothing happens for one that is not in `VERBS`, or where
    standard error is not file descriptor 2 now."""
    ours = sys.stderr
    try:
        taken = verb in VERBS and ours.fileno() == _STANDARD_ERROR
    except (OSError, ValueError):  # a stream without a file
        taken = False
    if not taken:
        yield
        return
    ours.flush()
    place = os.dup(_STANDARD_ERROR)
    reading, writing = os.pipe()
    os.dup2(writing, _STANDARD_ERROR)
    os.close(writing)
    thread = threading.Thread(target=_pump, args=(reading,), name="vendor lines", daemon=True)
    thread.start()
    with open(  # noqa: PTH123 - a file descriptor
        place, "w", buffering=1, encoding=ours.encoding, errors=ours.errors
    ) as sys.stderr:
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(place, _STANDARD_ERROR)  # the last that writes into the pipe is gone
            sys.stderr = ours
            thread.join(1.0)


def _pump(reading: int) -> None:
    thinner = Thinner()
    with open(reading, encoding="utf-8", errors="replace") as lines:
        while line := lines.readline(_MAX_LINE):
            text = without_secrets(line.strip())  # FFmpeg names what it cannot open
            left_out = thinner.passes(text) if text else None
            if left_out is not None:
                _log.info("%s", text, extra={"left_out": left_out} if left_out else None)
