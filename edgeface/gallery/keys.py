"""The gallery's key: 32 bytes from a file or a systemd credential, made on first use.

The file holds 64 hexadecimal digits and a newline, or exactly 32 raw bytes.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edgeface.base.errors import GalleryError, StateError
from edgeface.base.files import adopt, sync_folder
from edgeface.settings.base import CREDENTIALS_FALLBACK

KEY_BYTES: Final = 32
KEY_NAME: Final = "gallery.key"
"""Name of the credential (`LoadCredential=gallery.key:...`) and of the file in the state folder."""


def key_path(
    configured: Path | None, state_dir: Path, environment: Mapping[str, str] = os.environ
) -> Path:
    """Where the key is: the configured file, else the systemd credential, else the state folder."""
    if configured is not None:
        return configured
    # The command line, run beside the service, looks where systemd put the service's credentials.
    credential = Path(environment.get("CREDENTIALS_DIRECTORY", CREDENTIALS_FALLBACK), KEY_NAME)
    return credential if credential.is_file() else state_dir / KEY_NAME


def load_key(path: Path, *, create: bool) -> bytes:
    """Read the 32-byte key at `path`.

    Where it is absent and `create` is true a random one is made there, readable by its owner only.
    Pass `create=False` when a gallery exists already: a new key could not open it. Raises
    StateError when the file cannot be read or made or others may read it, GalleryError when it is
    absent or holds no key.
    """
    try:
        content = _read(path)
    except FileNotFoundError:
        if not create:
            raise GalleryError(
                f"{path}: the gallery's key is missing, and the gallery cannot be read without it; "
                "put the key back, or move the gallery away and enrol again"
            ) from None
        try:
            _make(path)
            content = _read(path)
        except OSError as error:
            raise StateError(f"{path}: cannot make the gallery's key: {error.strerror}") from error
    except StateError:
        raise
    except OSError as error:
        raise StateError(f"{path}: cannot read the gallery's key: {error.strerror}") from error
    return _parse(path, content)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise StateError(
                f"{path}: other users may read or change the key (mode {mode:04o}); "
                f"make it private: chmod 600 {path}"
            )
        return file.read(4096)


def _parse(path: Path, content: bytes) -> bytes:
    if len(content) == KEY_BYTES:
        return content
    try:
        key = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise GalleryError(
            f"{path}: no key of {KEY_BYTES} bytes ({2 * KEY_BYTES} hexadecimal digits) in this file"
        )
    return key


def _make(path: Path) -> None:
    """Link a finished file into place: of two processes doing this at once one wins, and a reader
    never sees half a key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES).hex().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        adopt(draft)
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
    sync_folder(path.parent)
