"""Logging: one JSON object or one line per record on standard error, repetitions thinned out."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, TextIO

from edgeface.settings.daemon import LogSettings

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PRIORITIES: Final = ((logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""Levels of syslog, which the journal reads from a leading <N>."""

REPEAT_S: Final = 60.0
"""The same warning is shown once in this time."""
_MAX_KNOWN: Final = 1000


def _extras(record: logging.LogRecord) -> dict[str, Any]:
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """One JSON object per record: time, level, logger, thread, message, the `extra` fields."""

    def format(self, record: logging.LogRecord) -> str:
        """The object in one line."""
        at = datetime.fromtimestamp(record.created, UTC)
        fields: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        fields |= _extras(record)
        if record.exc_info and record.exc_info[0] is not None:
            fields["traceback"] = "".join(traceback.format_exception(*record.exc_info))
        return json.dumps(fields, default=str, ensure_ascii=False)


class TextFormatter(logging.Formatter):
    """One line for people; under systemd without the time, which the journal knows."""

    def __init__(self, *, journal: bool = False) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        """The line, with the traceback's below it."""
        extras = "".join(f" {key}={value}" for key, value in _extras(record).items())
        text = f"{record.levelname.lower():<7} {record.getMessage()}{extras}"
        if not self._journal:
            at = datetime.fromtimestamp(record.created).astimezone()
            text = f"{at.strftime('%H:%M:%S')}.{int(record.msecs):03d} {text}"
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
        return text


class JournalFormatter(logging.Formatter):
    """Another formatter's text with the record's priority before every line."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """The text with `<N>` in front."""
        priority = next((n for level, n in _PRIORITIES if record.levelno >= level), 7)
        lines = self._inner.format(record).splitlines() or [""]
        return "\n".join(f"<{priority}>{line}" for line in lines)


class RepeatFilter(logging.Filter):
    """Lets the same warning or error of one place pass once in `REPEAT_S`.

    The next one that passes says how many were left out. Below warning everything passes.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._now_s = now_s
        self._lock = threading.Lock()
        self._known: dict[tuple[str, int, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is shown."""
        if record.levelno < logging.WARNING:
            return True
        key = (record.name, record.lineno, record.getMessage())
        now_s = self._now_s()
        with self._lock:
            shown_s, left_out = self._known.get(key, (-REPEAT_S, 0))
            if now_s - shown_s < REPEAT_S:
                self._known[key] = (shown_s, left_out + 1)
                return False
            if len(self._known) >= _MAX_KNOWN:
                self._known.clear()
            self._known[key] = (now_s, 0)
        if left_out:
            record.left_out = left_out
        return True


def configure(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Replace the root logger's handlers; may be called again after a reload.

    Uncaught errors of threads are logged too.
    """
    stream = stream if stream is not None else sys.stderr
    journal = bool(os.environ.get("JOURNAL_STREAM"))
    wants_text = settings.format == "text" or (settings.format == "auto" and stream.isatty())
    formatter: logging.Formatter = TextFormatter(journal=journal) if wants_text else JsonFormatter()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JournalFormatter(formatter) if journal else formatter)
    handler.addFilter(RepeatFilter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(settings.level.upper())
    threading.excepthook = _log_thread_error


def _log_thread_error(args: threading.ExceptHookArgs) -> None:
    if args.exc_type is SystemExit or args.exc_value is None:
        return
    name = args.thread.name if args.thread is not None else "?"
    logging.getLogger("edgeface").error(
        "thread %s ended with %s: %s",
        name,
        args.exc_type.__name__,
        args.exc_value,
        exc_info=args.exc_value,
    )
