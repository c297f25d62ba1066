"""The formatters, the thinning out of repetitions, and signals as a queue."""

from __future__ import annotations

import io
import json
import logging
import os
import signal
import threading

import pytest

from edgeface.service.logs import (
    JournalFormatter,
    JsonFormatter,
    RepeatFilter,
    TextFormatter,
    configure,
)
from edgeface.service.signals import SignalQueue
from edgeface.settings.daemon import LogSettings


def record(level: int = logging.INFO, text: str = "seen %d", *args: object) -> logging.LogRecord:
    return logging.LogRecord("edgeface.x", level, "x.py", 7, text, args or (3,), None)


def test_json_has_the_extra_fields_and_is_one_line() -> None:
    made = record()
    made.person_id = "p_1"
    made.at = threading.Lock
    line = JsonFormatter().format(made)
    fields = json.loads(line)
    assert "\n" not in line
    assert fields["message"] == "seen 3"
    assert fields["level"] == "info"
    assert fields["person_id"] == "p_1"
    assert fields["time"].endswith("Z")


def test_a_traceback_stays_within_the_json_line() -> None:
    made = record(logging.ERROR)
    try:
        raise ValueError("no")
    except ValueError as error:
        made.exc_info = (type(error), error, error.__traceback__)
    line = JsonFormatter().format(made)
    assert "\n" not in line
    assert "ValueError: no" in json.loads(line)["traceback"]
    text = TextFormatter().format(made)
    assert text.splitlines()[-1] == "ValueError: no"


def test_text_is_for_people() -> None:
    made = record()
    made.person_id = "p_1"
    assert TextFormatter(journal=True).format(made) == "info    seen 3 person_id=p_1"
    assert TextFormatter().format(made).endswith(" info    seen 3 person_id=p_1")


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7)],
    ids=["error", "warning", "info", "debug"],
)
def test_the_journal_gets_the_priority_of_every_line(level: int, priority: int) -> None:
    made = record(level, "a\nb%s", "")
    lines = JournalFormatter(TextFormatter(journal=True)).format(made).splitlines()
    assert all(line.startswith(f"<{priority}>") for line in lines)
    assert len(lines) == 2


def test_a_repeated_warning_is_shown_once_a_minute_with_the_number_left_out() -> None:
    now_s = [0.0]
    rules = RepeatFilter(lambda: now_s[0])
    assert rules.filter(record(logging.WARNING))
    assert not rules.filter(record(logging.WARNING))
    assert not rules.filter(record(logging.WARNING))
    assert rules.filter(record(logging.WARNING, "another %d"))
    now_s[0] = 61
    last = record(logging.WARNING)
    assert rules.filter(last)
    assert vars(last)["left_out"] == 2
    assert all(rules.filter(record(logging.INFO)) for _ in range(3))


def test_an_error_that_ends_a_thread_is_logged(root_logger: None) -> None:
    stream = io.StringIO()
    configure(LogSettings(format="json"), stream)

    def fail() -> None:
        raise RuntimeError("out of order")

    thread = threading.Thread(target=fail, name="somebody")
    thread.start()
    thread.join()
    fields = json.loads(stream.getvalue())
    assert fields["message"] == "thread somebody ended with RuntimeError: out of order"


def test_configuring_again_replaces_what_was_there(root_logger: None) -> None:
    first, second = io.StringIO(), io.StringIO()
    configure(LogSettings(format="text"), first)
    configure(LogSettings(format="text", level="warning"), second)
    logging.getLogger("edgeface.y").warning("once")
    logging.getLogger("edgeface.y").info("never")
    assert first.getvalue() == ""
    assert second.getvalue().splitlines()[-1].endswith("warning once")


def test_signals_arrive_in_order_and_the_old_handlers_come_back() -> None:
    before = signal.getsignal(signal.SIGHUP)
    with SignalQueue() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGTERM)
        assert {signals.get(5), signals.get(5)} == {signal.SIGHUP, signal.SIGTERM}
        assert signals.get(0) is None
    assert signal.getsignal(signal.SIGHUP) is before
