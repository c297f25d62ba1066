"""The daemon's lives: started, left to work, killed; and what lies in its outbox afterwards."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from edgeface.base import sqlite_file
from edgeface.mqtt.localbroker import tethered
from tests.faults.accounts import Entry, Logged, Snapshot

ROOT = Path(__file__).resolve().parents[2]
STOP_S = 30.0


class Life:
    """One process of the scripted daemon."""

    def __init__(self, config: Path, folder: Path) -> None:
        """`folder` takes its ledger and its log."""
        folder.mkdir(parents=True)
        self.ledger = folder / "ledger"
        self._log = folder / "log"
        self.started_s = time.monotonic()
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", "tests.faults.scripted"]
            self._process = subprocess.Popen(
                tethered([*command, str(config), str(self.ledger)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=ROOT,
            )

    @property
    def log(self) -> str:
        """What it has written to standard error."""
        return self._log.read_text(errors="replace")

    @property
    def session(self) -> str:
        """As it names it; empty when it was killed before it had one."""
        file = self.ledger.with_name("session")
        return file.read_text() if file.exists() else ""

    @property
    def ended(self) -> int | None:
        """The exit code of a process that has ended by itself."""
        return self._process.poll()

    @property
    def has_committed(self) -> bool:
        """Whether it has told of an event."""
        return self.ledger.exists() and self.ledger.stat().st_size > 0

    def entries(self) -> list[Entry]:
        """What it has told so far."""
        return Entry.read(self.ledger.read_text()) if self.ledger.exists() else []

    def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        self._process.kill()
        self._process.wait(STOP_S)

    def stop(self) -> int:
        """SIGTERM, and wait for the end; the exit code, -9 when it had to be killed."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()
            return -signal.SIGKILL


def read_outbox(state: Path, scratch: Path) -> Snapshot | None:
    """What the outbox's file holds between two lives; None while it holds no session.

    Read from a copy, so that the next life meets the file as the last one left it.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    for suffix in ("", "-wal"):
        source = state / f"outbox.sqlite{suffix}"
        if source.exists():
            shutil.copyfile(source, scratch / source.name)
    if not (scratch / "outbox.sqlite").exists():
        return None
    db = sqlite3.connect(scratch / "outbox.sqlite")
    db.text_factory = sqlite_file.TEXT
    try:
        tables = {name for (name,) in db.execute("SELECT name FROM sqlite_master")}
        if "meta" not in tables:
            return None
        meta = dict(db.execute("SELECT key, value FROM meta"))
        if "session" not in meta:
            return None
        waiting = frozenset(db.execute("SELECT session, seq FROM event"))
        ranges = db.execute("SELECT session, first_seq, last_seq FROM gap").fetchall()
        for (payload,) in db.execute("SELECT payload FROM event WHERE kind = 'gap'"):
            with suppress(ValueError, KeyError, TypeError):  # of one in which the bit has flipped
                ranges += Logged.read(payload).gaps
    finally:
        db.close()
    unannounced = frozenset((s, n) for s, first, last in ranges for n in range(first, last + 1))
    return Snapshot(meta["session"], int(meta["last_seq"]), waiting, unannounced)
