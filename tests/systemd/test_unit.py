"""The unit file, as far as systemd checks it without being started."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "edgeface.service"

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here"
)


@needs_systemd
def test_systemd_finds_no_fault_but_the_missing_installation() -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", str(UNIT)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if UNIT.name in line]
    assert [line for line in complaints if "/opt/edgeface/bin/edgeface" not in line] == []


@needs_systemd
def test_the_exposure_is_rated_ok() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(UNIT)],
        capture_output=True,
        text=True,
        check=False,
    )
    rated = re.search(r"exposure level for .*: ([0-9.]+)", done.stdout)
    if rated is None:
        pytest.skip(f"systemd-analyze rates nothing here: {done.stderr.strip()}")
    assert float(rated[1]) <= 2.0


def test_a_daemon_that_hangs_is_started_again() -> None:
    lines = UNIT.read_text().splitlines()
    assert "WatchdogSec=60" in lines
    assert "Restart=on-failure" in lines


def test_a_camera_and_a_coral_are_not_hidden() -> None:
    lines = UNIT.read_text().splitlines()
    assert "PrivateDevices=yes" not in lines
    assert "ProcSubset=pid" not in lines
    assert "DeviceAllow=char-video4linux rw" in lines
    assert "DeviceAllow=char-usb_device rw" in lines
