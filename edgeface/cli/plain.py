"""Text for a terminal: nothing that came over the wire may steer it."""

from __future__ import annotations

import json
import sys


def plain(text: str) -> str:
    """One line: a question mark for each character that is not printable."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def plain_json(value: object) -> str:
    """Indented JSON whose names can be read: only what is not printable is escaped."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(
        letter if letter.isprintable() or letter == "\n" else json.dumps(letter)[1:-1]
        for letter in text
    )


def warn(text: str) -> None:
    """A line on standard error."""
    print(f"edgeface: warning: {text}", file=sys.stderr)
