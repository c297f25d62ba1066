"""A fault of a configuration file, and its one line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic_core import ErrorDetails

from edgeface.base.errors import SettingsError

_SUBJECT: Final = re.compile(r"^(Input|Value|String|Tuple|List|Dictionary|URL) (?=should )")
"""The validator's word for what the keys have named."""

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


def keys_of(loc: Keys, marks: Mapping[Keys, Mark]) -> Keys:
    """Where one of pydantic's errors is: the longest key path in the files that goes through its
    `loc` in order. `loc` has names of union members between the keys."""
    keys: Keys = ()
    for part in loc:
        if (*keys, part) in marks:
            keys = (*keys, part)
    return keys


def fault_of(details: ErrorDetails, marks: Mapping[Keys, Mark]) -> Fault:
    """One of pydantic's errors as a fault; `marks` are the places of the key paths."""
    keys = keys_of(details["loc"], marks)
    if details["type"] == "missing":
        return Fault(marks[keys], dotted((*keys, details["loc"][-1])), "is missing")
    message = _SUBJECT.sub("", details["msg"].removeprefix("Value error, "))
    if details["type"] == "extra_forbidden":
        message = "is not a known key"
    if details["type"] == "string_too_short" and not details["input"]:
        message = "is empty"
    if details["type"] == "too_short" and not details["input"]:
        message = "is empty; name at least one"
    return Fault(marks[keys], dotted(keys), message)


def settings_error(faults: Iterable[Fault]) -> SettingsError:
    """One error whose message has a line for every fault, in the order of files and lines."""
    return SettingsError("\n".join(str(fault) for fault in sorted(set(faults))))
