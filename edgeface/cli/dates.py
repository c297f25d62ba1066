"""Dates and times on the command line."""

from __future__ import annotations

import argparse
import math
from datetime import UTC, date, datetime, timedelta


def start(text: str) -> float:
    """UTC epoch seconds of a time, or of the start of a day; for `argparse`."""
    return _moment(text, days_after=0)


def end(text: str) -> float:
    """UTC epoch seconds of a time, or of the end of a day; for `argparse`."""
    return _moment(text, days_after=1)


def show(epoch_s: float) -> str:
    """As text, in UTC."""
    try:
        return datetime.fromtimestamp(epoch_s, UTC).strftime("%Y-%m-%dT%H:%MZ")
    except (ValueError, OverflowError, OSError):
        return f"{epoch_s:g} s"


def show_window(from_s: float | None, to_s: float | None) -> str:
    """A validity in words; None and the infinite bound nothing."""
    bounds = (("from", from_s), ("until", to_s))
    parts = [f"{word} {show(at)}" for word, at in bounds if at is not None and math.isfinite(at)]
    return " ".join(parts) or "always"


def _moment(text: str, days_after: int) -> float:
    """UTC epoch seconds of a date (its start plus `days_after`) or of a date and time."""
    try:
        if len(text) == len("2026-11-21"):
            day = date.fromisoformat(text) + timedelta(days=days_after)
            return datetime(day.year, day.month, day.day).astimezone().timestamp()
        return datetime.fromisoformat(text).astimezone().timestamp()
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no date like 2026-11-21 and no time like 2026-11-21T08:00"
        ) from None
