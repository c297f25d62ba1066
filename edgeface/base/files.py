"""Files that are there whole or not at all."""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from edgeface.base.errors import StateError

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644


def write_file(path: Path, content: bytes, mode: int, *, replace: bool = False) -> None:
    """Write, sync and rename into place; folders are made as needed.

    Raises StateError, also when there is a file already and `replace` is false.
    """
    try:
        make_folder(path.parent)
        if path.exists() and not replace:
            raise StateError(f"{path}: there already; it was not overwritten")
        draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            with os.fdopen(handle, "wb") as file:
                os.fchmod(file.fileno(), mode)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            adopt(draft)
            draft.rename(path)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except StateError:
        raise
    except OSError as error:
        raise StateError(f"{path}: cannot write: {error.strerror or error}") from error


def make_folder(folder: Path) -> None:
    """Make it, and what is missing above it, for the owner alone."""
    missing = [folder, *folder.parents]
    for place in reversed([place for place in missing if not place.exists()]):
        place.mkdir(mode=0o700, exist_ok=True)
        adopt(place)


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
