"""A few faults injected one by one, as `python -m tests.faults --injected` does with all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.faults.namespace import own_mounts
from tests.support.stepped_clock import SteppedClock

ROOT = Path(__file__).resolve().parents[2]


def injected(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.faults", "--injected", "--singles"]
    for name in names:
        command += ["--only", name]
    return subprocess.run(
        [*command, "--folder", str(folder)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=ROOT,
    )


def test_each_fault_is_told_and_the_rest_goes_on_and_all_is_well_again(tmp_path: Path) -> None:
    names = ["camera unplugged", "camera silent"]
    names += ["disk full while running"] if own_mounts() is not None else []
    names += ["clock a day back"] if SteppedClock.there else []
    done = injected(tmp_path, *names)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(names)} faults and 0 pairs" in done.stdout
    assert "wrong: 0" in done.stdout
    assert all(f"\n| {name} |" in done.stdout for name in names)
    assert list(tmp_path.iterdir()) == []
