"""Which events wait in the daemon's outbox, by a look at its file.

The daemon holds the file locked. So a copy of it and of its write-ahead log is looked at: what has
been committed is in one of them (https://www.sqlite.org/wal.html).
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from edgeface.base.errors import ContractError
from edgeface.contract import event
from edgeface.contract.event import Recognition


def waiting_events(outbox: Path) -> list[Recognition]:
    """The events on disk that the broker has not taken yet, oldest first.

    Empty also where the copy was made at a moment that makes no sense; look again then.
    """
    with tempfile.TemporaryDirectory(prefix="edgeface-demo-") as folder:
        copy = Path(folder) / outbox.name
        found: list[Recognition] = []
        with suppress(OSError, sqlite3.Error, ContractError):
            for suffix in ("", "-wal"):
                shutil.copyfile(f"{outbox}{suffix}", f"{copy}{suffix}")
            with closing(sqlite3.connect(copy)) as database:
                rows = database.execute("SELECT payload FROM event ORDER BY id").fetchall()
            parsed = [event.parse(bytes(payload)) for (payload,) in rows]
            found = [item for item in parsed if isinstance(item, Recognition)]
        return found
