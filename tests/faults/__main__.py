"""Kill, cut, stop and fill, and count what arrives: `make faults`, or `python -m tests.faults`.

Runs the daemon with a script in the place of its models against a real mosquitto. At random
moments the daemon is killed (SIGKILL), the broker stopped and restarted, connections made
half-open, the daemon's disk filled, and bits flipped in its files. Ends with a table, and with
status 1 when a count is wrong.

With `--injected` each fault is injected by itself instead, and then every two that can be at once,
into the daemon with small models on an accelerator's stand-in: when the device tells of it, what
goes on, and when all is well again. Ends with the tables of docs/reliability.md, and with status 1
when a fault was not told, something else stopped, or it did not recover, twice.

The disk is a small tmpfs in a mount namespace of this process alone, which goes when it ends; where
that is not permitted the disk is not filled, and the table says so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.faults.harness import Harness, Plan
from tests.faults.namespace import mount_small, own_mounts
from tests.faults.one_by_one import OneByOne
from tests.faults.table import table
from tests.faults.times import tables

DISK_BYTES = 16 * 1024 * 1024
"""Of the file system that is filled; the outbox's WAL alone takes 4 MiB."""
_INSIDE = "EDGEFACE_FAULTS_DISK"
"""Set in the environment of the process that has its own mounts."""


def main(arguments: list[str]) -> int:
    """Run and print; 0, or 1 when a count is wrong."""
    parsed = _parse(arguments)
    folder: Path | None = parsed.pop("folder")
    injected = {name: parsed.pop(name) for name in ("injected", "only", "singles")}
    if _INSIDE not in os.environ:
        namespace = own_mounts()
        if namespace is not None:
            os.environ[_INSIDE] = "1"
            again = [sys.executable, "-m", "tests.faults", *arguments]
            os.execvp(namespace[0], [*namespace, *again])
    with tempfile.TemporaryDirectory(prefix="faults-", dir=folder) as temporary:
        work = Path(temporary)
        disk = None
        if _INSIDE in os.environ:
            disk = work / "disk"
            disk.mkdir()
            mount_small(disk, DISK_BYTES)
        try:
            if injected.pop("injected"):
                return _one_by_one(work, disk, **injected)
            report = Harness(Plan(**parsed), work, disk, say=_say).run()
        finally:
            if disk is not None:
                subprocess.run(["umount", str(disk)], check=True)
    print(table(report, filled=disk is not None))
    return int(any(check.wrong for check in report.checks()))


def _one_by_one(work: Path, disk: Path | None, only: list[str], singles: bool) -> int:
    began_s = time.monotonic()
    with OneByOne(work, disk, say=_say) as run:
        known = [fault.name for fault in run.faults]
        if unknown := [name for name in only if name not in known]:
            _say(f"no such fault: {', '.join(unknown)}; there are: {', '.join(known)}")
            return 2
        alone = run.singles(only)
        pairs = [] if singles else run.pairs(only)
    print(tables(alone, pairs, time.monotonic() - began_s))
    return int(any(cell.troubles for cell in (*alone, *pairs)))


def _say(line: str) -> None:
    print(line, flush=True)


def _parse(arguments: list[str]) -> dict[str, Any]:
    full = Plan()
    parser = argparse.ArgumentParser("python -m tests.faults", description=__doc__)
    for name, what in (
        ("kills", "SIGKILLs of the daemon"),
        ("outages", "stops and restarts of the broker"),
        ("stalls", "half-open connections of the daemon"),
        ("door-stalls", "half-open connections of a door"),
        ("full-disks", "times the disk is filled"),
        ("flips", "bits flipped in outbox, gallery, time and floor, each after a kill"),
        ("seed", "of all that is random"),
    ):
        default = getattr(full, name.replace("-", "_"))
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{what} ({default})")
    parser.add_argument(
        "--limit-s", type=float, default=full.limit_s, help=f"for the faults ({full.limit_s:g})"
    )
    parser.add_argument("--folder", type=Path, help="where to work (the system's temporary folder)")
    parser.add_argument(
        "--injected", action="store_true", help="each fault by itself, and in pairs"
    )
    parser.add_argument(
        "--only", action="append", default=[], metavar="NAME", help="with --injected: this fault"
    )
    parser.add_argument("--singles", action="store_true", help="with --injected: no pairs")
    return vars(parser.parse_args(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
