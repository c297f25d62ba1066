"""The outbox's writer on a file system that is really full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.namespace import own_mounts

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
from contextlib import suppress
from pathlib import Path
from edgeface.base.clock import ManualClock
from edgeface.outbox.outbox_writer import RETRY_MAX_S
from tests.faults.namespace import mount_small
from tests.support.outboxes import numbers, take_one, waiting, writer

folder = Path(sys.argv[1])
mount_small(folder, 4 * 1024 * 1024)
clock = ManualClock()
found = writer(folder / "outbox.sqlite", clock)
log = folder / "outbox.sqlite-wal"

def fill():
    with suppress(OSError), (folder / "ballast").open("ab", buffering=0) as ballast:
        while True:
            ballast.write(bytes(4096))

for _ in range(40):
    found.settle(take_one(found, clock).event_id)
assert log.stat().st_size > 200_000, log.stat()
fill()
last = take_one(found, clock)
assert found.status.degraded is None, "the log's own space was not used"
assert log.stat().st_size < 100_000, log.stat()
fill()
for _ in range(60):
    fill()
    last = take_one(found, clock)
assert found.status.degraded == "disk_full", found.status
assert found.status.unsaved > 0
(folder / "ballast").unlink()
clock.sleep(RETRY_MAX_S)
take_one(found, clock)
assert (found.status.degraded, found.status.unsaved) == (None, 0), found.status
seen = numbers(found)
assert seen == list(range(seen[0], 103)), seen
assert seen[0] <= 41, seen
found.close()
print("held")
"""


def test_a_full_disk_is_relieved_by_the_log_first_and_then_degrades(tmp_path: Path) -> None:
    namespace = own_mounts()
    if namespace is None:
        pytest.skip("a tmpfs cannot be mounted here: it takes root or user namespaces")
    done = subprocess.run(
        [*namespace, sys.executable, "-c", PROGRAM, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert "held" in done.stdout
