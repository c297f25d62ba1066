"""The gallery's key: 32 bytes from a file or a systemd credential, made on first use.

The file holds 64 hexadecimal digits and a newline, or exactly 32 raw bytes.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from edgeface.base.errors import GalleryError, StateError
from edgeface.base.files import make_once, read_small
from edgeface.settings.base import CREDENTIALS_FALLBACK

KEY_BYTES: Final = 32
KEY_NAME: Final = "gallery.key"
"""Name of the file in the state folder."""
CREDENTIAL: Final = "edgeface.gallery-key"
"""Name of the systemd credential, as the unit loads it."""


def key_path(
    configured: Path | None, state_dir: Path, environment: Mapping[str, str] = os.environ
) -> Path:
    """Where the key is: the configured file, else the systemd credential, else the state folder."""
    if configured is not None:
        return configured
    # The command line, run beside the service, looks where systemd put the service's credentials.
    credential = Path(environment.get("CREDENTIALS_DIRECTORY", CREDENTIALS_FALLBACK), CREDENTIAL)
    return credential if credential.is_file() else state_dir / KEY_NAME


def load_key(path: Path, *, create: bool) -> bytes:
    """Read the 32-byte key at `path`.

    Where it is absent and `create` is true a random one is made there, readable by its owner only.
    Pass `create=False` when a gallery exists already: a new key could not open it. Raises
    StateError when the file cannot be read or made or others may read it, GalleryError when it is
    absent or holds no key.
    """
    try:
        if not path.exists():
            if not create:
                raise GalleryError(
                    f"{path}: the gallery's key is missing, and the gallery cannot be read without "
                    "it; put the key back, or move the gallery away and enroll again"
                )
            make_once(path, secrets.token_bytes(KEY_BYTES).hex().encode() + b"\n")
    except StateError:
        raise
    except OSError as error:
        raise StateError(f"{path}: cannot make the gallery's key: {error.strerror}") from error
    return _parse(path, read_small(path, "gallery's key", private=True))


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
