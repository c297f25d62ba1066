"""Where the state lies: on which kind of disk, how much room and life it has left."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeface.base.errors import StateError
from edgeface.base.files import folder_trouble
from edgeface.service.doctor.finding import (
    Finding,
    NotTriedError,
    Patient,
    failed,
    number_of,
    text_of,
    together,
)
from edgeface.settings.mqtt import OutboxSettings

MIN_FREE_BYTES: Final = 64 << 20
"""With less a gallery that grows, or SQLite's log, fills the disk."""
_IN_MEMORY: Final = ("tmpfs", "ramfs")
_ESCAPES: Final = ((r"\040", " "), (r"\011", "\t"), (r"\012", "\n"), (r"\134", "\\"))


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of `/proc/mounts` (proc(5))."""

    folder: Path
    kind: str
    read_only: bool


def state(patient: Patient) -> Finding:
    """Whether this user may write to the state folder, and not everybody."""
    folder, nearest = patient.state_dir, patient.state_place
    if patient.settings is None and nearest != folder:
        raise NotTriedError("there is no configuration that names a state folder")
    if not nearest.is_dir():
        raise StateError(f"{nearest}: is no folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        return _not_ours(folder, nearest)
    if not folder.exists():
        return Finding("ok", f"{folder} (made at the first start)")
    if (trouble := folder_trouble(folder)) is not None:
        return failed(trouble)
    if os.geteuid() == 0 and folder.stat().st_uid != 0:
        text = f"{folder} belongs to {_owner(folder)}: what root may do says nothing of that user"
        return Finding("warn", text, f"sudo -u {_owner(folder)} edgeface doctor")
    return Finding("ok", str(folder))


def _not_ours(folder: Path, nearest: Path) -> Finding:
    """Who is meant to use it, or where it should be, as the daemon's user may be asking."""
    owner = _owner(nearest)
    if nearest == folder:
        text = f"{folder}: cannot be written to by this user; it belongs to {owner}"
        cure = f"run as the daemon's user: sudo -u {owner} edgeface doctor; or give it the folder"
        return Finding("fail", text, cure)
    text = f"{folder}: is not there, and this user may make nothing in {nearest}"
    cure = (
        "set state_dir to a folder that the daemon may write to (the unit's is /var/lib/edgeface), "
        "or run as its user: sudo -u edgeface edgeface doctor"
    )
    return Finding("fail", text, cure)


def _owner(folder: Path) -> str:
    try:
        return folder.owner()
    except KeyError:
        return f"#{folder.stat().st_uid}"


def root(patient: Patient) -> Finding:
    """Whether what is written stays: a read-only or an overlaid root needs another place for it."""
    mounts = list(_mounts(patient.root / "proc/mounts"))
    system, own = _mount_of(Path("/"), mounts), _mount_of(patient.state_place, mounts)
    if system is None or own is None:
        raise NotTriedError("the kernel tells no mounts")
    if own.read_only:
        cure = (
            "mount a writable file system there (/etc/fstab), or set state_dir to a folder of one"
        )
        return Finding("fail", f"{own.folder}: mounted read-only, with the state folder", cure)
    if own.kind in (*_IN_MEMORY, "overlay"):
        what = "an overlay" if own.kind == "overlay" else "memory"
        text = (
            f"{patient.state_dir} lies in {what} ({own.folder}): after a power cut the key, the "
            "gallery and what waits in the outbox may be gone"
        )
        return Finding("warn", text, "give the state folder a partition of its own (/etc/fstab)")
    kind = {"overlay": "overlaid"}.get(system.kind, "read-only" if system.read_only else "writable")
    return Finding("ok", f"the root is {kind}, the state lies on {own.kind} at {own.folder}")


def disk(patient: Patient) -> Finding:
    """Room, kind and wear of the disk under the state folder."""
    folder = patient.state_place
    outbox = OutboxSettings() if patient.settings is None else patient.settings.outbox
    parts = [_room(folder, outbox.max_bytes)]
    number = folder.stat().st_dev
    node = patient.root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}"
    if node.exists():
        partition = node.resolve()
        whole = partition.parent if (partition / "partition").exists() else partition
        parts.append(_kind(whole))
        errors = number_of(patient.root / "sys/fs/ext4" / partition.name / "errors_count")
        if errors:
            cure = "copy the state folder, then fsck; exchange the disk if they come back"
            text = f"the file system of {partition.name} has noted errors ({errors})"
            parts.append(Finding("fail", text, cure))
    return together(parts)


def _room(folder: Path, wanted: int) -> Finding:
    usage, files = shutil.disk_usage(folder), os.statvfs(folder)
    text = f"{usage.free >> 20:,} MiB free of {usage.total >> 20:,} at {folder}"
    cure = "make room: journalctl --vacuum-size=100M, apt-get clean, for instance"
    if files.f_files and not files.f_favail:
        return Finding("fail", f"{text}, but no file can be made: all inodes are taken", cure)
    if usage.free < MIN_FREE_BYTES:
        return Finding("fail", text, cure)
    if usage.free < MIN_FREE_BYTES + wanted:
        text = f"{text}; while the broker is away the outbox may take {wanted >> 20:,} MiB"
        return Finding("warn", text, f"{cure}; or set outbox.max_bytes lower")
    return Finding("ok", text)


def _kind(device: Path) -> Finding:
    """Of a whole block device, by its folder in `/sys/block`."""
    name, kind = device.name, text_of(device / "device/type")
    if kind == "SD":
        return Finding("ok", f"{name} is an SD card, which does not tell its wear: keep a spare")
    if kind == "MMC":
        return _emmc(device)
    return Finding("ok", f"{name} is no SD card")


def _emmc(device: Path) -> Finding:
    """`life_time` is the part of its life that has gone, in tenths, for both kinds of cells, and
    `pre_eol_info` is 1 while there are spare blocks (JEDEC JESD84-B51, EXT_CSD 267 to 269)."""
    text = f"{device.name} is an eMMC"
    try:
        tenths = [int(part, 0) for part in (text_of(device / "device/life_time") or "").split()]
    except ValueError:
        tenths = []
    spare = number_of(device / "device/pre_eol_info")
    if not tenths and spare is None:
        return Finding("ok", f"{text}, which does not tell its wear")
    if tenths:
        text += f" of which up to {min(100, max(tenths) * 10)} % of its life has gone"
    if (spare or 0) > 1 or max(tenths, default=0) > 9:
        return Finding("warn", text, "copy the state folder and exchange it before it fails")
    return Finding("ok", text)


def _mounts(table: Path) -> Iterator[Mount]:
    """Raises NotTriedError."""
    try:
        lines = table.read_text(errors="replace").splitlines()
    except OSError as error:
        raise NotTriedError(f"{table}: {error.strerror}") from error
    for line in lines:
        fields = line.split(" ")
        if len(fields) >= 4:
            place = fields[1]
            for escape, character in _ESCAPES:
                place = place.replace(escape, character)
            yield Mount(Path(place), fields[2], "ro" in fields[3].split(","))


def _mount_of(path: Path, mounts: list[Mount]) -> Mount | None:
    """The one that a path lies on: the deepest, and of those on one folder the last."""
    path = path.resolve()
    over = [mount for mount in mounts if path.is_relative_to(mount.folder)]
    return max(
        enumerate(over), key=lambda item: (len(item[1].folder.parts), item[0]), default=(0, None)
    )[1]
