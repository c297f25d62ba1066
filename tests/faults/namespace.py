"""A mount namespace of one's own, in which a small file system can be mounted and filled."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

_WAYS = (
    ["unshare", "--mount", "--propagation", "private"],
    ["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"],
)
"""For root, and for others where the kernel lets them."""


def own_mounts() -> list[str] | None:
    """What to put before a command so that its mounts go when it ends; None: not permitted."""
    return next(filter(_permitted, _WAYS), None)


def mount_small(folder: Path, size_bytes: int) -> None:
    """A tmpfs at `folder`; only within such a namespace."""
    options = f"size={size_bytes},mode=0700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "small", str(folder)], check=True)


def _permitted(way: list[str]) -> bool:
    with tempfile.TemporaryDirectory() as place:
        command = [*way, "mount", "-t", "tmpfs", "none", place]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False
