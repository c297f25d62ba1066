"""Files that are there whole or not at all, and those that others may not read."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from edgeface.base.errors import NamedFileError, StateError

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644

KEY_FILE_BYTES: Final = 64 * 1024
"""No key and no password is larger."""
TEXT_FILE_BYTES: Final = 64 << 20
"""No list of pictures, no certificate and no report that a person names is larger."""
LEAST_FREE_BYTES: Final = 1 << 20
"""A disk with less is as good as full."""
_BESIDE: Final = ("-wal", "-shm", "")
"""What SQLite keeps beside a database, and the database."""


@contextmanager
def drafted(
    path: Path, mode: int = PRIVATE, *, replace: bool = False, durable: bool = True
) -> Iterator[BinaryIO]:
    """A new file under another name, which takes its place when the block ends well.

    With `replace` it takes the place of a file that is there; without, the first of two processes
    wins and FileExistsError is raised. `durable=False` leaves it to the kernel when it is on disk.
    Raises OSError.
    """
    draft, handle = _draft(path, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(handle, mode)
            yield file
            file.flush()
            if durable:
                os.fsync(handle)
        adopt(draft)
        if replace:
            draft.replace(path)
        else:
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    if durable:
        sync_folder(path.parent)


def try_file(path: Path) -> None:
    """Make sure, before there is anything to write, that a file can be put into place there; leaves
    nothing behind, and a file that is there as it is. Raises OSError."""
    draft, handle = _draft(path, PRIVATE)
    os.close(handle)
    draft.unlink()


def _draft(path: Path, mode: int) -> tuple[Path, int]:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    return draft, os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)


def write_file(path: Path, content: bytes, mode: int, *, replace: bool = False) -> None:
    """Put a whole file into place; folders are made as needed.

    Raises StateError, also when there is a file already and `replace` is false.
    """
    try:
        if replace and path.exists() and not path.is_file():
            path.write_bytes(content)  # a device or a pipe, which must stay one
            return
        make_folder(path.parent)
        with drafted(path, mode, replace=replace) as file:
            file.write(content)
    except FileExistsError:
        raise StateError(f"{path}: is there already, and nothing is overwritten") from None
    except OSError as error:
        raise StateError(f"{path}: cannot write: {error.strerror or error}") from error


def make_once(path: Path, content: bytes) -> None:
    """Make a private file, and its folder, unless there is one: that of the first of two processes
    stays. Raises OSError."""
    if not path.exists():
        make_folder(path.parent)
        with contextlib.suppress(FileExistsError), drafted(path) as file:
            file.write(content)


def touch_private(path: Path) -> None:
    """Make an empty file (mode 0600), and its folder, where there is none. Raises OSError."""
    make_folder(path.parent)
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, PRIVATE))
        adopt(path)
        sync_folder(path.parent)


def read_small(path: Path, what: str = "key", *, private: bool = False) -> bytes:
    """The content of a file with a key or password, `what` in words.

    Raises StateError when it cannot be read, when it is larger than `KEY_FILE_BYTES`, and when a
    `private` one may be read or changed by users beyond its owner and group.
    """
    try:
        with opened(path) as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(KEY_FILE_BYTES + 1)
    except OSError as error:
        raise StateError(f"{path}: cannot read the {what}: {error.strerror or error}") from error
    if len(content) > KEY_FILE_BYTES:
        raise StateError(f"{path}: too large for the {what}")
    if private and mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise StateError(
            f"{path}: other users may read or change the {what} (mode {mode:04o}); "
            f"make it private: chmod 600 {path}"
        )
    return content


@contextmanager
def opened(path: Path, max_bytes: int | None = None) -> Iterator[BinaryIO]:
    """A file that a user named, open for reading; pipes and devices are not waited for.

    Raises OSError, whose `strerror` is for people, also for what is not a regular file and for one
    that is larger than `max_bytes`.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if max_bytes is not None and found.st_size > max_bytes:
            raise _too_large(path, max_bytes)
        yield file


def read_file(path: Path, max_bytes: int) -> bytes:
    """The whole content of a file that a user named. Raises OSError as `opened` does."""
    with opened(path, max_bytes) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:  # it has grown, or the system did not know
        raise _too_large(path, max_bytes)
    return content


def _without_waiting(path: str, flags: int) -> int:
    """Else the opening of a pipe would wait for somebody who writes."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


def _too_large(path: Path, max_bytes: int) -> OSError:
    bound = f"{max_bytes >> 20} MiB" if max_bytes >= 1 << 20 else f"{max_bytes >> 10} KiB"
    return OSError(errno.EFBIG, f"larger than {bound}", str(path))


def make_folder(folder: Path) -> None:
    """Make it, and what is missing above it, for the owner alone. Raises OSError."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(mode=0o700, exist_ok=True)
        adopt(place)


def own_folder(folder: Path, what: str = "folder") -> None:
    """Make it where there is none. Raises NamedFileError, with `what` it is in words and a way out,
    when that cannot be done or nothing may be written there."""
    way_out = "name another place, or make this one writable for this user"
    try:
        make_folder(folder)
    except OSError as error:
        raise NamedFileError(
            f"{folder}: cannot make the {what}: {error.strerror or error}; {way_out}"
        ) from error
    if not folder.is_dir():
        raise NamedFileError(f"{folder}: is to be the {what}, but is no folder; name another place")
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise NamedFileError(f"{folder}: the {what} is on a read-only file system; {way_out}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NamedFileError(f"{folder}: the {what} cannot be written to by this user; {way_out}")


def folder_trouble(folder: Path) -> str | None:
    """What is wrong with a folder of our own, in words: whoever may write to it can exchange every
    file in it, whatever the files' modes are."""
    mode = stat.S_IMODE(folder.stat().st_mode)
    if not mode & stat.S_IWOTH:
        return None
    return f"{folder}: every user may change it (mode {mode:04o}); chmod 700 {folder}"


def disk_trouble(folder: Path) -> str | None:
    """Why little or nothing more can be written to a folder: its disk is full, with the way out;
    None while there is room, and where the kernel does not tell."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return None
    free = found.f_frsize * found.f_bavail
    if found.f_files and not found.f_favail:
        return f"full, no file can be made any more below {folder}; delete some on this disk"
    if free >= LEAST_FREE_BYTES:
        return None
    return f"full, less than 1 MiB is left below {folder}; delete something on this disk"


def set_aside(path: Path, ending: str) -> Path:
    """Rename a damaged database and what belongs to it to `<name>.<ending>`, with a number behind
    where that is taken; nothing is deleted. Returns the new path. Raises OSError."""
    stem = path.with_name(f"{path.name}.{ending}")
    aside, number = stem, 1
    while any(Path(f"{aside}{side}").exists() for side in _BESIDE):
        number += 1
        aside = stem.with_name(f"{stem.name}-{number}")
    for side in _BESIDE:
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{side}").rename(f"{aside}{side}")
    sync_folder(path.parent)
    return aside


def adopt(path: Path) -> None:
    """Give a file that root has just made to the owner of its folder, so that the service, which
    runs as a user of its own, can use what `sudo edgeface enroll` made."""
    if os.geteuid() == 0:
        owner = path.parent.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


def sync_folder(folder: Path) -> None:
    """Make a new or renamed entry of `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file; raises StateError when another process does."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError as error:
        raise StateError(f"{path}: cannot lock: {error.strerror}") from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateError(
                f"{path.parent}: another `edgeface fleet` is working on this site; wait for it"
            ) from None
        yield
    finally:
        os.close(handle)
