"""Keys that others may read, devices that this user may not use: with real files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from edgeface.service.doctor.access import devices, keys
from edgeface.service.doctor.checkup import CHECKS, examine
from edgeface.service.doctor.finding import NotTriedError, Patient
from edgeface.settings.loading import load_settings
from tests.service.doctor.test_host import put

V4L2 = "{source: v4l2, device: 0}"
IMAGES = "{source: images, folder: .}"


def patient(folder: Path, camera: str = IMAGES, more: str = "") -> Patient:
    config = folder / "edgeface.yaml"
    config.write_text(
        f"{{site: home, device: door-1, state_dir: state, camera: {camera}, {more}}}\n"
    )
    return Patient(load_settings(config), config, folder / "root")


def test_keys_that_the_daemon_makes_may_be_missing(tmp_path: Path) -> None:
    found = keys(patient(tmp_path))
    assert found.verdict == "ok"
    assert found.detail.count("made at the first start") == 2


def test_a_key_that_others_may_read_is_told(tmp_path: Path) -> None:
    put(tmp_path, "state/device.key", "x")
    (tmp_path / "state/device.key").chmod(0o604)
    found = keys(patient(tmp_path))
    assert found.verdict == "fail"
    assert found.cure == f"chmod 600 {tmp_path}/state/device.key"


def test_the_fleets_key_is_looked_at_as_well(tmp_path: Path) -> None:
    one = patient(tmp_path, more="gallery: {source: fleet}")
    put(tmp_path, "state/fleet/encryption-0123456789abcdef.key", "x")
    key = tmp_path / "state/fleet/encryption-0123456789abcdef.key"
    key.chmod(0o600)
    assert f"fleet's key: {key}, of mode 0600" in keys(one).detail
    key.chmod(0o644)
    assert keys(one).cure == f"chmod 600 {key}"


def test_a_password_that_is_not_there_is_told(tmp_path: Path) -> None:
    found = keys(patient(tmp_path, more="mqtt: {username: a, password_file: secret}"))
    assert found.verdict == "fail"
    assert f"{tmp_path}/secret is not there" in found.detail


def test_the_gallerys_key_may_not_be_missing_once_there_is_a_gallery(tmp_path: Path) -> None:
    put(tmp_path, "state/gallery.sqlite", "")
    found = keys(patient(tmp_path))
    assert found.verdict == "fail"
    assert "gallery.key is not there" in found.detail


def test_a_configuration_that_everybody_may_change_is_told(tmp_path: Path) -> None:
    put(tmp_path, "conf.d/own.yaml", "{}")
    one = patient(tmp_path)
    assert keys(one).verdict == "ok"
    (tmp_path / "conf.d/own.yaml").chmod(0o666)
    assert keys(one).cure == f"chmod o-w {tmp_path}/conf.d/own.yaml"


def test_a_camera_that_is_not_there_is_told_with_those_that_are(tmp_path: Path) -> None:
    put(tmp_path, "root/dev/video2", "")
    found = devices(patient(tmp_path, V4L2))
    assert found.verdict == "fail"
    there = tmp_path / "root" / "dev" / "video2"
    assert f"there are: {there}" in found.detail
    put(tmp_path, "root/dev/video0", "")
    assert devices(patient(tmp_path, V4L2)).verdict == "ok"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use everything")
def test_a_device_of_another_group_is_told(tmp_path: Path) -> None:
    put(tmp_path, "root/dev/video0", "")
    (tmp_path / "root/dev/video0").chmod(0)
    found = devices(patient(tmp_path, V4L2))
    assert found.verdict == "fail"
    assert "usermod -aG" in found.cure


@pytest.mark.skipif(os.geteuid() == 0, reason="root may use everything")
def test_one_heap_is_enough_and_what_nobody_needs_is_a_warning(tmp_path: Path) -> None:
    put(tmp_path, "root/dev/media0", "")
    for heap in ("linux,cma", "system"):
        put(tmp_path, f"root/dev/dma_heap/{heap}", "")
    (tmp_path / "root/dev/dma_heap/system").chmod(0)
    one = patient(tmp_path, "{source: picamera2}")
    assert devices(one).verdict == "ok"
    (tmp_path / "root/dev/media0").chmod(0)
    assert devices(one).verdict == "fail"
    assert devices(Patient(None, root=tmp_path / "root")).verdict == "warn"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_another_user_is_told_to_be_the_daemons(tmp_path: Path) -> None:
    one = patient(tmp_path, more="gallery: {encrypt: false}")
    put(tmp_path, "state/device.key", "x")
    (tmp_path / "state").chmod(0)
    try:
        found = dict(examine(replace(one, left_out=frozenset(CHECKS) - {"keys", "gallery"})))
    finally:
        (tmp_path / "state").chmod(0o700)
    for name in ("keys", "gallery"):
        assert found[name].verdict == "fail"
        assert "sudo -u edgeface" in found[name].cure


def test_an_accelerator_that_is_not_to_be_used_needs_no_node(tmp_path: Path) -> None:
    put(tmp_path, "root/dev/apex_0", "")
    one = patient(tmp_path, more="models: {accelerator: cpu}")
    assert "apex_0" not in devices(one).detail
    assert "apex_0" in devices(patient(tmp_path)).detail


def test_an_accelerator_is_found_by_usb_and_pcie(tmp_path: Path) -> None:
    one = patient(tmp_path)
    assert "no accelerator seen" in devices(one).detail
    usb = "root/sys/bus/usb/devices/2-1"
    for name, text in {
        "idVendor": "18d1",
        "idProduct": "9302",
        "busnum": "2",
        "devnum": "7",
    }.items():
        put(tmp_path, f"{usb}/{name}", text)
    assert devices(one).verdict == "fail"  # its node is not there
    put(tmp_path, "root/dev/bus/usb/002/007", "")
    put(tmp_path, "root/dev/apex_0", "")
    found = devices(one)
    assert found.verdict == "ok"
    assert "dev/apex_0" in found.detail
    assert "dev/bus/usb/002/007" in found.detail


def test_a_machine_without_configuration_or_devices(tmp_path: Path) -> None:
    for look in (keys, devices):
        with pytest.raises(NotTriedError):
            look(Patient(None, root=tmp_path))
