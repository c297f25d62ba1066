"""What the daemon's user may read and use, and what nobody else may: keys, secrets, devices."""

from __future__ import annotations

import getpass
import grp
import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edgeface.base.errors import StateError
from edgeface.base.files import read_small
from edgeface.fleet.protocol.keyring import ENCRYPTION_FILES
from edgeface.gallery.key_file import key_path
from edgeface.service.doctor.finding import Finding, NotTriedError, Patient, text_of, together
from edgeface.settings.base import CREDENTIALS_FALLBACK
from edgeface.settings.camera import Picamera2Camera, StreamCamera, V4l2Camera
from edgeface.settings.loading import DROP_INS
from edgeface.settings.tree import Settings

_CORALS = {("1a6e", "089a"), ("18d1", "9302")}
"""A USB Coral before and after its firmware was loaded."""


def keys(patient: Patient) -> Finding:
    """Each key and password is there and for the daemon alone; nobody else may change the
    configuration, which says where they are."""
    settings = patient.configured
    found = [_secret(path, what, made=made) for what, path, made in _secrets(settings)]
    if patient.config is not None:
        drop_ins = sorted((patient.config.parent / DROP_INS).glob("*.yaml"))
        found += [item for path in (patient.config, *drop_ins) if (item := _unsafe(path))]
    return together(found)


def _secrets(settings: Settings) -> Iterator[tuple[str, Path, bool]]:
    """In words, where it is, whether the daemon makes it."""
    yield "device's key", settings.device_key_file, True
    if settings.gallery.encrypt:
        path = key_path(settings.gallery.key_file, settings.state_dir)
        yield "gallery's key", path, not settings.gallery_file.exists()
    if settings.gallery.source == "fleet":
        for path in sorted(settings.fleet_folder.glob(ENCRYPTION_FILES)):
            yield "fleet's key", path, False
    if settings.mqtt.password_file is not None:
        yield "broker's password", settings.mqtt.password_file, False
    if settings.mqtt.key_file is not None:
        yield "key for the broker", settings.mqtt.key_file, False
    camera = settings.camera
    if isinstance(camera, StreamCamera) and camera.password_file is not None:
        yield "camera's password", camera.password_file, False


def _secret(path: Path, what: str, *, made: bool) -> Finding:
    if not os.access(path.parent, os.X_OK) and path.is_relative_to(
        Path(CREDENTIALS_FALLBACK).parent
    ):
        return Finding("not_tried", f"{what}: a credential, which the unit alone can read")
    try:
        path.lstat()
    except FileNotFoundError:
        if made:
            return Finding("ok", f"{what}: {path} (made at the first start)")
        return Finding("fail", f"{what}: {path} is not there", f"put the {what} into {path}")
    try:
        read_small(path, what, private=True)
    except StateError as error:
        said, _, cure = str(error).partition("; make it private: ")
        cure = cure or f"give the file to the daemon's user: chown edgeface {path}"
        return Finding("fail", said, cure)
    return Finding("ok", f"{what}: {path}, of mode {stat.S_IMODE(path.stat().st_mode):04o}")


def _unsafe(path: Path) -> Finding | None:
    for place in (path, path.parent):
        mode = stat.S_IMODE(place.stat().st_mode)
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return Finding("fail", f"{place}: every user may change it", f"chmod o-w {place}")
    return None


def devices(patient: Patient) -> Finding:
    """The nodes of camera and accelerator are there, and this user may use them."""
    camera = None if patient.settings is None else patient.settings.camera
    dev, found = patient.root / "dev", []
    if isinstance(camera, V4l2Camera):
        number = camera.device
        node = dev / f"video{number}" if isinstance(number, int) else Path(number)
        if not node.exists():
            others = ", ".join(str(path) for path in sorted(dev.glob("video*")))
            text = f"{node} is not there (there are: {others or 'no video devices'})"
            cure = "connect the camera, and set camera.device to its node (v4l2-ctl --list-devices)"
            return Finding("fail", text, cure)
        found.append(node)
    elif isinstance(camera, Picamera2Camera) or camera is None:
        found += [*dev.glob("media*"), *dev.glob("video*"), *_heaps(dev)]
        if camera is not None and not found:
            text = f"no {dev}/media*, video* or dma_heap/*: the kernel knows no camera"
            cure = (
                "check the cable, then: rpicam-hello --list-cameras\n"
                "a camera of another kind is another camera.source (config/examples)"
            )
            return Finding("fail", text, cure)
    if set(patient.models.accelerators) != {"cpu"}:
        found += [*dev.glob("apex_*"), *_usb_corals(patient.root)]
    if not found:
        if camera is None:
            raise NotTriedError("there is no device of a camera or an accelerator")
        return Finding("ok", f"none needed for camera.source: {camera.source}, no accelerator seen")
    told = [_usable(node) for node in sorted(found)]
    wrong = [item for item in told if item.verdict != "ok"]
    if camera is None:  # nobody has said that they are needed
        wrong = [replace(item, verdict="warn") for item in wrong]
    return together(wrong or [Finding("ok", ", ".join(item.detail for item in told))])


def _heaps(dev: Path) -> list[Path]:
    """Where libcamera gets its buffers: one of them is enough."""
    heaps = sorted(dev.glob("dma_heap/*"))
    return [heap for heap in heaps if os.access(heap, os.R_OK | os.W_OK)] or heaps


def _usb_corals(root: Path) -> Iterator[Path]:
    for folder in sorted((root / "sys/bus/usb/devices").glob("*")):
        if (text_of(folder / "idVendor"), text_of(folder / "idProduct")) in _CORALS:
            bus, number = text_of(folder / "busnum"), text_of(folder / "devnum")
            yield root / f"dev/bus/usb/{int(bus or 0):03d}/{int(number or 0):03d}"


def _usable(node: Path) -> Finding:
    if os.access(node, os.R_OK | os.W_OK):
        return Finding("ok", str(node))
    try:
        group = grp.getgrgid(node.stat().st_gid).gr_name
    except (OSError, KeyError):
        return Finding("fail", f"{node}: cannot be used", "docs/coral.md has the udev rules")
    user = _user()
    text = f"{node}: {user} may not use it; it belongs to the group {group}"
    if group == "root":
        return Finding("fail", text, "give it to a group by a udev rule (docs/coral.md has one)")
    cure = f"sudo usermod -aG {group} {user}, then start the daemon, or log in, again"
    return Finding("fail", text, cure)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.geteuid()}"
