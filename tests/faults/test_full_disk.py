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

START = """
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from edgeface.gallery.opening import open_gallery
from edgeface.service import local_gallery
from edgeface.service.composition import Composition
from edgeface.service.worker import Pulse
from tests.faults.namespace import mount_small
from tests.support.broker import eventually
from tests.support.gallery import ALICE, BOB, SPACE, put
from tests.support.settings import settings_of

state, killed, damaged = Path(sys.argv[1]), sys.argv[2] == "killed", sys.argv[2] == "damaged"
mount_small(state, 4 * 1024 * 1024)
settings = settings_of(state_dir=str(state))
Composition(settings)
if os.fork() == 0:
    with open_gallery(settings) as store:
        put(store, ALICE, 1)
        os._exit(0)  # without a clean end: the log stays
os.wait()
if not killed:
    with open_gallery(settings):
        pass
(state / "gallery.sqlite-shm").unlink(missing_ok=True)
assert (state / "gallery.sqlite-wal").exists() == killed
(state / "device.key.pub").unlink()
known = () if damaged else (ALICE,)
if damaged:
    (state / "gallery.sqlite").write_bytes(b"no database" * 100)
with suppress(OSError), (state / "ballast").open("ab", buffering=0) as ballast:
    while True:
        ballast.write(bytes(512))

local_gallery.POLL_S = 0.05
composition = Composition(settings)
composition.outbox.start()
board = composition.board
board.by_recognizer.models = SimpleNamespace(space=SPACE, dimensions=128)
pulse = Pulse(10)
worker = local_gallery.LocalGallery(board, composition.floor)
thread = threading.Thread(target=worker.run, args=(pulse,))
thread.start()
eventually(lambda: board.by_gallery.trouble is not None)
assert "until there is room on the disk" in board.by_gallery.trouble, board.by_gallery.trouble
assert board.gallery.people == known, board.gallery.people
(state / "ballast").unlink()
eventually(lambda: "until there is room" not in (board.by_gallery.trouble or ""))
assert damaged or board.by_gallery.trouble is None, board.by_gallery.trouble
with open_gallery(settings) as store:
    put(store, BOB, 2)
eventually(lambda: board.gallery.people == (*known, BOB))
pulse.stop.set()
thread.join()
composition.outbox.close()
print("held")
"""


@pytest.mark.parametrize("before", ["stopped", "killed", "damaged"])
def test_a_full_disk_does_not_keep_the_daemon_from_starting(tmp_path: Path, before: str) -> None:
    run_within(START, tmp_path, before)


def test_a_full_disk_is_relieved_by_the_log_first_and_then_degrades(tmp_path: Path) -> None:
    run_within(PROGRAM, tmp_path)


def run_within(program: str, *arguments: object) -> None:
    namespace = own_mounts()
    if namespace is None:
        pytest.skip("a tmpfs cannot be mounted here: it takes root or user namespaces")
    done = subprocess.run(
        [*namespace, sys.executable, "-c", program, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert "held" in done.stdout
