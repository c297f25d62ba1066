"""The folder of sealed pictures of decisions: written, read, and erased by age, size and person.

`EVENT_ID.json` has two lines: the outcome of the decision with the ids of the people whom it named
or nearly named, and `SnapshotData` as it is sent. The picture in it is sealed, and the key that
opens it is not on the device. Whose picture a file is has to be known, so one that does not say so
is erased.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeface.base.errors import ContractError, StateError
from edgeface.base.files import drafted, make_folder, opened, read_file
from edgeface.base.ids import EVENT_ID, is_person_id, time_of_event
from edgeface.contract import codec
from edgeface.contract.answers import SnapshotData
from edgeface.contract.event import Outcome

RESERVE_BYTES: Final = 32 << 20
"""What is left of the disk for events, which come first."""
_NAME: Final = re.compile(rf"({EVENT_ID.pattern})\.json")
_DRAFT: Final = re.compile(rf"\.{EVENT_ID.pattern}\.json\.[0-9a-f]{{8}}")
"""What a crash has left of one that was being written. Nothing else in the folder is touched."""
_MAX_BYTES: Final = codec.MAX_PAYLOAD_BYTES + 4096
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Kept:
    outcome: str
    people: frozenset[str]
    size: int
    since_s: float
    """When it was written or found, on CLOCK_BOOTTIME."""
    stamp_s: float | None
    """When it was written by the clock of that time; None for one of this run."""

    def age_s(self, now_s: float, boottime_s: float) -> float:
        """Of this run by a clock that nobody sets; of an earlier one also by the date."""
        here_s = boottime_s - self.since_s
        return here_s if self.stamp_s is None else max(here_s, now_s - self.stamp_s)


class SnapshotFolder:
    """Thread-safe. The folder is made with the first picture."""

    def __init__(self, folder: Path, boottime_s: float = 0.0, *, tidy: bool = False) -> None:
        """Find what is there; with `tidy`, for the one process that writes here, what a crash has
        left half written is erased, and what does not say whom it shows. Raises StateError."""
        self._folder = folder
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._changes = 0
        self._swept: object = None
        self.trouble: str | None = None
        """Why something that had to go is still there."""
        try:
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                self._find(path, boottime_s, tidy=tidy)
        except OSError as error:
            raise StateError(f"{folder}: cannot be read: {error.strerror or error}") from error

    def _find(self, path: Path, boottime_s: float, *, tidy: bool) -> None:
        name = _NAME.fullmatch(path.name)
        if name is None:
            if tidy and _DRAFT.fullmatch(path.name):
                self._unlink(path)
            return
        event_id = name[1]
        try:
            with opened(path) as file:
                size = os.fstat(file.fileno()).st_size
                outcome, people = _head(file.readline(4096))
        except (OSError, ValueError) as error:
            if tidy:
                _log.error("%s: damaged (%s); erased", path, error)
                self._unlink(path)
            return
        self._kept[event_id] = _Kept(outcome, people, size, boottime_s, time_of_event(event_id))
        self._changes += 1

    @property
    def size(self) -> int:
        """Bytes of all pictures."""
        with self._lock:
            return sum(kept.size for kept in self._kept.values())

    def of(self, outcome: Outcome) -> list[str]:
        """The events of this outcome whose pictures are kept, the oldest first."""
        with self._lock:
            return sorted(key for key, kept in self._kept.items() if kept.outcome == outcome)

    def put(
        self, data: SnapshotData, outcome: Outcome, people: Iterable[str], boottime_s: float
    ) -> None:
        """Keep a picture. Raises OSError, also while the disk is almost full."""
        assert data.event_id is not None
        named = frozenset(people)
        head = codec.dump({"outcome": outcome, "people": sorted(named)})
        content = b"\n".join((head, codec.to_json(data), b""))
        make_folder(self._folder)
        space = os.statvfs(self._folder)
        if space.f_bavail * space.f_frsize < RESERVE_BYTES + len(content):
            raise OSError(errno.ENOSPC, f"less than {RESERVE_BYTES >> 20} MiB are left on the disk")
        # A power cut may cost this picture; nobody is to wait for the disk because of it.
        with drafted(self._path(data.event_id), replace=True, durable=False) as file:
            file.write(content)
        with self._lock:
            self._kept[data.event_id] = _Kept(outcome, named, len(content), boottime_s, None)
            self._changes += 1

    def get(self, event_id: str) -> SnapshotData | None:
        """The picture of an event; None where none is kept, or it cannot be read."""
        with self._lock:
            if event_id not in self._kept:
                return None
        try:
            _, data, _ = read_file(self._path(event_id), _MAX_BYTES).split(b"\n")
            found = codec.from_json(SnapshotData, data)
        except (OSError, ValueError, ContractError) as error:
            if not isinstance(error, FileNotFoundError):
                _log.error("%s: cannot be read: %s", self._path(event_id), error)
            return None
        return found if found.event_id == event_id else None

    def enforce(self, now_s: float, boottime_s: float, keep_s: float, max_bytes: int) -> None:
        """Erase what is older than `keep_s`, and the oldest of what is beyond `max_bytes`. `now_s`
        is UTC epoch seconds."""
        with self._lock:
            ages = {
                event_id: kept.age_s(now_s, boottime_s) for event_id, kept in self._kept.items()
            }
            left = sum(kept.size for kept in self._kept.values())
            for event_id in sorted(ages, key=lambda event_id: ages[event_id], reverse=True):
                if ages[event_id] < keep_s and left <= max_bytes:
                    break
                left -= self._kept[event_id].size
                self._erase(event_id)

    def forget(self, gone: Callable[[str], bool], state: object = None) -> None:
        """Erase the pictures of everybody who is `gone`. Nothing is done where `state`, by which
        `gone` answers, and the pictures are those of the last call and all went well."""
        with self._lock:
            if state is not None and (state, self._changes) == self._swept:
                return
            named = frozenset().union(*(kept.people for kept in self._kept.values()))
            absent = {person_id for person_id in named if gone(person_id)}
            shown = [key for key, kept in self._kept.items() if kept.people & absent]
            went = [self._erase(event_id) for event_id in shown]
            if all(went):
                self._swept = (state, self._changes)
        if shown:
            _log.info("pictures of erased people were erased", extra={"pictures": sum(went)})

    def _erase(self, event_id: str) -> bool:
        gone = self._unlink(self._path(event_id))
        if gone:
            del self._kept[event_id]
        return gone

    def _unlink(self, path: Path) -> bool:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            why = error.strerror or str(error)
            if self.trouble is None:  # it is tried again and again
                _log.error("%s: cannot be erased: %s", path, why)
            self.trouble = f"{path}: a picture cannot be erased: {why}"
            return False
        self.trouble = None
        return True

    def _path(self, event_id: str) -> Path:
        return self._folder / f"{event_id}.json"


def _head(line: bytes) -> tuple[str, frozenset[str]]:
    """Outcome and people of the first line; raises ValueError where it does not name the people."""
    found = json.loads(line)
    people = found.get("people") if isinstance(found, dict) else None
    if not isinstance(people, list) or not all(is_person_id(str(item)) for item in people):
        raise ValueError("it does not say whom it shows")
    return str(found.get("outcome")), frozenset(map(str, people))
