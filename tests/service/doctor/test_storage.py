"""Where the state lies, by what the kernel would show of its disk."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgeface.base.errors import StateError
from edgeface.service.doctor.finding import Patient
from edgeface.service.doctor.storage import disk, root, state
from edgeface.settings.loading import load_settings
from tests.service.doctor.test_host import put


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    """Whose state folder is there, and whose kernel is the folder `root`."""
    (tmp_path / "state").mkdir()
    config = tmp_path / "edgeface.yaml"
    config.write_text(
        "{site: home, device: door-1, state_dir: state, camera: {source: images, folder: .}}\n"
    )
    return Patient(load_settings(config), config, tmp_path / "root")


def on(patient: Patient, name: str, **files: str) -> None:
    """Put the state onto the second partition of the block device `name`."""
    number = patient.state_dir.stat().st_dev
    block = f"sys/block/{name}"
    put(patient.root, f"{block}/{name}p2/partition", "2")
    for path, text in files.items():
        put(patient.root, f"{block}/device/{path}", text)
    link = patient.root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
    link.parent.mkdir(parents=True)
    link.symlink_to(patient.root / block / f"{name}p2")


def mounted(patient: Patient, *lines: str) -> None:
    put(patient.root, "proc/mounts", "\n".join(lines))


def test_an_sd_card_is_named(patient: Patient) -> None:
    on(patient, "mmcblk0", type="SD")
    found = disk(patient)
    assert found.verdict == "ok", found
    assert "mmcblk0 is an SD card" in found.detail


@pytest.mark.parametrize(
    ("life", "spare", "verdict"),
    [("0x01 0x03", "0x01", "ok"), ("0x02 0x0a", "0x01", "warn"), ("0x01 0x01", "0x02", "warn")],
)
def test_an_emmc_tells_its_wear(patient: Patient, life: str, spare: str, verdict: str) -> None:
    on(patient, "mmcblk0", type="MMC", life_time=life, pre_eol_info=spare)
    found = disk(patient)
    assert found.verdict == verdict
    assert f"{int(life[-2:], 16) * 10} % of its life" in found.detail


def test_errors_of_the_file_system_are_told(patient: Patient) -> None:
    on(patient, "mmcblk0", type="SD")
    put(patient.root, "sys/fs/ext4/mmcblk0p2/errors_count", "3")
    found = disk(patient)
    assert found.verdict == "fail"
    assert "fsck" in found.cure


def test_an_outbox_that_may_grow_beyond_the_disk_is_told(tmp_path: Path, patient: Patient) -> None:
    assert disk(patient).verdict == "ok"
    config = tmp_path / "edgeface.yaml"
    text = config.read_text().replace("site:", f"outbox: {{max_bytes: {1 << 60}}}, site:")
    config.write_text(text)
    found = disk(Patient(load_settings(config), root=tmp_path / "root"))
    assert found.verdict == "warn"
    assert "outbox.max_bytes" in found.cure


def test_a_state_folder_in_memory_is_told(patient: Patient) -> None:
    mounted(patient, "/dev/sda1 / ext4 rw,noatime 0 0")
    assert root(patient).verdict == "ok"
    mounted(patient, "/dev/sda1 / ext4 rw 0 0", f"tmpfs {patient.state_dir} tmpfs rw,nosuid 0 0")
    found = root(patient)
    assert found.verdict == "warn"
    assert "memory" in found.detail
    mounted(patient, "overlayroot / overlay rw 0 0")
    assert root(patient).verdict == "warn"


def test_a_read_only_root_needs_another_place_for_the_state(patient: Patient) -> None:
    mounted(patient, "/dev/sda1 / ext4 ro,noatime 0 0")
    assert root(patient).verdict == "fail"
    mounted(patient, "/dev/sda1 / ext4 ro 0 0", f"/dev/sda2 {patient.state_dir} ext4 rw 0 0")
    found = root(patient)
    assert found.verdict == "ok"
    assert "the root is read-only" in found.detail


def test_the_mount_that_hides_another_counts(tmp_path: Path, patient: Patient) -> None:
    place = str(tmp_path).replace(" ", r"\040")
    mounted(patient, "/dev/a / ext4 rw 0 0", f"/dev/b {place} ext4 rw 0 0", f"c {place} xfs ro 0 0")
    assert "read-only" in root(patient).detail


def test_a_state_folder_that_is_a_file_is_told(patient: Patient) -> None:
    assert state(patient).verdict == "ok"
    patient.state_dir.rmdir()
    assert "first start" in state(patient).detail
    patient.state_dir.write_text("")
    with pytest.raises(StateError):
        state(patient)


def test_who_may_not_write_is_told_whose_folder_it_is_and_where_else_it_could_be(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the daemon's own user, with a state folder in a place of root's, is told to be itself"""
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may do everything
    owner = patient.state_dir.owner()
    assert f"sudo -u {owner} edgeface doctor" in state(patient).cure
    patient.state_dir.rmdir()
    found = state(patient)
    assert f"make nothing in {patient.state_dir.parent}" in found.detail
    assert found.cure.startswith("set state_dir to a folder")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is warned")
def test_root_is_told_that_it_is_not_the_daemon(patient: Patient) -> None:
    os.chown(patient.state_dir, 54321, -1)
    found = state(patient)
    assert (found.verdict, found.cure) == ("warn", "sudo -u #54321 edgeface doctor")
