"""The fault harness in small, as `make faults` runs it in full."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["--kills=2", "--outages=2", "--stalls=1", "--door-stalls=1", "--flips=2", "--seed=1235"]
"""A seed with which no fault comes late or lasts long."""


def faults(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.faults", "--folder", str(folder), *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=ROOT,
    )


def test_kills_outages_cut_links_and_a_full_disk_lose_nothing_and_open_nothing(
    tmp_path: Path,
) -> None:
    done = faults(tmp_path, *SMALL, "--full-disks", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "all counts are right" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_does_not_finish_its_plan_is_wrong(tmp_path: Path) -> None:
    done = faults(tmp_path, *SMALL, "--kills", "99", "--full-disks", "0", "--limit-s", "0")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "kills: 0 of 99" in done.stdout
