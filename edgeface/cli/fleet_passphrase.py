"""The administrator's passphrase: from a file, or asked for."""

from __future__ import annotations

import argparse
import getpass
import sys
from collections.abc import Callable
from pathlib import Path

from edgeface.errors import GalleryError, StateError


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    """Add `--passphrase-file`."""
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help="its first line opens the administrator's key; default: it is asked for",
    )


def passphrase(path: Path | None, *, new: bool = False) -> Callable[[], bytes]:
    """What gives the passphrase when it is needed; a `new` one is asked for twice."""

    def ask() -> bytes:
        if path is not None:
            return _read(path)
        if not sys.stdin.isatty():
            raise GalleryError("the passphrase is needed: --passphrase-file FILE")
        text = getpass.getpass("Passphrase of the administrator's key: ")
        if new and getpass.getpass("Once more: ") != text:
            raise GalleryError("the two passphrases differ")
        return text.encode()

    return ask


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077 and path.is_file():
            raise StateError(f"{path}: other users may read the passphrase; chmod 600 {path}")
        return path.read_bytes().split(b"\n", 1)[0].rstrip(b"\r")
    except StateError:
        raise
    except OSError as error:
        raise StateError(f"{path}: cannot read the passphrase: {error.strerror}") from error
