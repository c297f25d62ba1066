"""The daemon under the unit's own system call filter, from its start to its end."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

from edgeface.base.clock import Clock
from edgeface.demo.photographs import COLLINS
from tests.support.broker import Witness, running_broker
from tests.support.daemon import ROOT, DaemonProcess, edgeface, write_config, write_visits
from tests.support.sandbox import LIBRARY, allowed_calls

UNIT = ROOT / "systemd" / "edgeface.service"
BASE = "edgeface/v1/hq/door-1"


def _missing() -> str:
    if shutil.which("systemd-analyze") is None:
        return "no systemd-analyze here, which knows the groups of system calls"
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        return f"no {LIBRARY} here"
    return ""


pytestmark = pytest.mark.skipif(bool(_missing()), reason=_missing() or "nothing is missing")


def confined(calls: Collection[str]) -> list[str]:
    """The words before a command that hold it to these system calls."""
    return [sys.executable, "-m", "tests.support.sandbox", ",".join(sorted(calls)), "--"]


def test_it_recognizes_reloads_and_stops_and_knows_whether_its_clock_is_right(
    tmp_path: Path,
) -> None:
    folder = write_visits(tmp_path / "pictures", [COLLINS])
    camera = {"source": "images", "folder": str(folder), "fps": 12, "loop": True}
    with running_broker(tmp_path / "broker") as broker:
        file = write_config(tmp_path, broker.port, camera=camera)
        assert edgeface("enroll", COLLINS, "--name", "Eileen", "-c", file).returncode == 0
        # The unit's user is not root, who alone gives away what it makes (`base.files.adopt`).
        given_away = {"chown"} if os.geteuid() == 0 else set()
        before = confined(allowed_calls(UNIT) | given_away)
        with Witness(broker.port) as witness, DaemonProcess(file, before) as daemon:
            daemon.wait_ready()
            seen = json.loads(witness.wait_on(f"{BASE}/event", 1, 20)[0].message.payload)
            daemon.send(signal.SIGHUP)
            daemon.wait_told(b"READY=1", 2)
            assert daemon.stop()[0] == 0, daemon.log
            state = json.loads(witness.on(f"{BASE}/state")[-1].message.payload)
    assert seen["event_type"] == "recognized"
    assert seen["clock_synced"] == state["clock_synced"] == Clock().synced()
    assert "not permitted" not in daemon.log
    assert "cannot be asked" not in daemon.log


def test_a_forbidden_question_is_told_from_a_clock_that_is_wrong() -> None:
    calls = {name for name in allowed_calls(UNIT) if "adjtime" not in name}
    ask = "from edgeface.base.clock import Clock; print(Clock().sync_trouble(), Clock().synced())"
    done = subprocess.run(
        [*confined(calls), sys.executable, "-c", ask],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert "cannot be asked" in done.stdout
    assert "SystemCallFilter=" in done.stdout
    assert done.stdout.split()[-1] == "False"
