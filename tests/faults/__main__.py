"""Kill, cut, stop and fill, and count what arrives: `make faults`, or `python -m tests.faults`.

Runs the daemon with a script in the place of its models against a real mosquitto. At random
moments the daemon is killed (SIGKILL), the broker stopped and restarted, connections made
half-open, the daemon's disk filled, and bits flipped in its files. Ends with a table, and with
status 1 when a count is wrong.

The disk is a small tmpfs in a mount namespace of this process alone, which goes when it ends; where
that is not permitted the disk is not filled, and the table says so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.faults.harness import Harness, Plan
from tests.faults.namespace import mount_small, own_mounts
from tests.faults.table import table

DISK_BYTES = 16 * 1024 * 1024
"""Of the file system that is filled; the outbox's WAL alone takes 4 MiB."""
_INSIDE = "EDGEFACE_FAULTS_DISK"
"""Set in the environment of the process that has its own mounts."""


def main(arguments: list[str]) -> int:
    """Run and print; 0, or 1 when a count is wrong."""
    plan, folder = _parse(arguments)
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
        report = Harness(plan, work, disk, say=lambda line: print(line, flush=True)).run()
        if disk is not None:
            subprocess.run(["umount", str(disk)], check=True)
    print(table(report, filled=disk is not None))
    return int(any(check.wrong for check in report.checks()))


def _parse(arguments: list[str]) -> tuple[Plan, Path | None]:
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
    found = vars(parser.parse_args(arguments))
    folder: Path | None = found.pop("folder")
    return Plan(**found), folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
