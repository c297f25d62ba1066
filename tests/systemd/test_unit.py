"""The unit file, as far as systemd checks it without being started."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "systemd" / "edgeface.service"
TEMPLATE = UNIT.with_name("edgeface@.service")
both = pytest.mark.parametrize("unit", [UNIT, TEMPLATE], ids=lambda unit: unit.stem)

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="no systemd-analyze here"
)


@needs_systemd
@both
def test_systemd_finds_no_fault_but_the_missing_installation(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if unit.stem in line]
    assert [line for line in complaints if "/opt/edgeface/bin/edgeface" not in line] == []


@needs_systemd
@both
def test_the_exposure_is_rated_ok(unit: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    rated = re.search(r"exposure level for .*: ([0-9.]+)", done.stdout)
    if rated is None:
        pytest.skip(f"systemd-analyze rates nothing here: {done.stderr.strip()}")
    assert float(rated[1]) <= 1.9


def test_the_template_is_the_unit_but_for_what_each_instance_has_of_its_own() -> None:
    """A line that is changed in one of them has to be changed in the other."""
    own = re.compile(
        r"(Description|ExecStart|LoadCredential|WorkingDirectory)=|"
        r"(State|Runtime|Configuration)Directory=|# Read from /etc/credstore/"
    )
    unit, template = UNIT.read_text().splitlines(), TEMPLATE.read_text().splitlines()
    assert [line for line in unit if not own.match(line)] == [
        line for line in template if not own.match(line)
    ]
    changed = [(a, b) for a, b in zip(unit, template, strict=True) if a != b]
    assert all(own.match(a) and own.match(b) for a, b in changed)
    assert all(b.count("%i") == 1 for _, b in changed)
    credential = re.compile(r"(LoadCredential=(.+)):(.+)\.%i")
    for before, after in changed:
        found = credential.fullmatch(after)
        # Else the instance's name, or the folder of that name, stands where the only one's was.
        expected = re.sub(r"[ /.]%i", "", after)
        assert before == (expected if found is None else found[1]), after
        assert found is None or found[2] == found[3], after


def test_it_is_bounded_and_leaves_no_dump_of_its_keys() -> None:
    lines = UNIT.read_text().splitlines()
    assert {"MemoryMax=1G", "TasksMax=128", "LimitCORE=0", "PrivateMounts=yes"} <= set(lines)


def test_cameras_and_corals_are_the_users_by_its_groups() -> None:
    members = UNIT.with_name("edgeface.sysusers").read_text().splitlines()
    assert {"m edgeface video", "m edgeface plugdev"} <= set(members)


def test_a_daemon_that_hangs_is_started_again() -> None:
    lines = UNIT.read_text().splitlines()
    assert "WatchdogSec=60" in lines
    assert "Restart=on-failure" in lines


def test_unit_code_and_pages_call_the_credentials_by_the_same_names() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "systemd" / "install.md"]
    files = [*ROOT.glob("edgeface/**/*.py"), *ROOT.glob("config/**/*.yaml"), *pages]
    name = re.compile(r"(?<=credential:)[\w.-]+\b|\bedgeface\.[a-z]+-(?:key|password)\b")
    named = {found for path in files for found in name.findall(path.read_text())}
    loaded = set(re.findall(r"^LoadCredential=(.+)$", UNIT.read_text(), re.MULTILINE))
    assert named - {"NAME"} == loaded


def test_a_camera_and_a_coral_are_not_hidden() -> None:
    lines = UNIT.read_text().splitlines()
    assert "PrivateDevices=yes" not in lines
    assert "ProcSubset=pid" not in lines
    assert "DeviceAllow=char-video4linux rw" in lines
    assert "DeviceAllow=char-usb_device rw" in lines
