"""A fault of a configuration file, and its one line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgeface.base.errors import SettingsError

Key = str | int
"""A key of a mapping, or the number of an item in a list."""

Keys = tuple[Key, ...]


@dataclass(frozen=True, order=True)
class Mark:
    """A place in a file; line and column count from 1. `file_order` sorts drop-ins last."""

    file_order: int
    line: int
    column: int
    file: Path


@dataclass(frozen=True, order=True)
class Fault:
    """What is wrong, and where."""

    mark: Mark
    keys: str
    """The key's path, as `camera.photographs[0]`; empty for the file as a whole."""
    message: str

    def __str__(self) -> str:
        place = f"{self.mark.file}:{self.mark.line}:{self.mark.column}"
        return ": ".join(part for part in (place, self.keys, self.message) if part)


def dotted(keys: Keys) -> str:
    """`("camera", "photographs", 0)` as `camera.photographs[0]`."""
    text = ""
    for key in keys:
        if isinstance(key, str) and not key.isprintable():
            key = repr(key)
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def settings_error(faults: Iterable[Fault]) -> SettingsError:
    """One error whose message has a line for every fault, in the order of files and lines."""
    return SettingsError("\n".join(str(fault) for fault in sorted(set(faults))))
