"""What the actions of `edgeface fleet` share: the site's folder, the administrator's passphrase."""

from __future__ import annotations

import argparse
import getpass
import os
import stat
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from edgeface.base.clock import Clock
from edgeface.base.errors import NamedFileError, SettingsError
from edgeface.base.files import KEY_FILE_BYTES
from edgeface.cli.plain import warn
from edgeface.fleet.admin.master import Master
from edgeface.fleet.admin.site import MIN_PASSPHRASE, SiteFolder

_NEEDED: Final = (
    "the passphrase of the administrator's key is needed, and there is no terminal to ask for it "
    "at: name a file (mode 0600) that holds it with --passphrase-file FILE"
)


def open_master(args: argparse.Namespace) -> Master:
    """The master gallery of the site that the command line names; close it. Raises as `Master`,
    and SettingsError where there is no site."""
    return Master(SiteFolder.open(args.site_dir))


def warn_of_clock() -> None:
    """What is published carries this machine's time, which devices cannot correct."""
    if (trouble := Clock().sync_trouble()) is not None:
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
        warn(f"{trouble}; what is published says {now}: make sure that it is right")


def add_passphrase(parser: argparse.ArgumentParser) -> None:
    """Add `--passphrase-file`."""
    parser.add_argument(
        "--passphrase-file",
        type=Path,
        metavar="FILE",
        help="its first line opens the administrator's key, and has at least "
        f"{MIN_PASSPHRASE} characters; default: it is asked for",
    )


def passphrase(path: Path | None, *, new: bool = False) -> Callable[[], bytes]:
    """What gives the passphrase when it is needed; a `new` one is asked for twice.

    Without a file and a terminal to ask at it raises SettingsError: a wrong command line.
    """

    def ask() -> bytes:
        if path is not None:
            return _read(path)
        if sys.stdin is None or not sys.stdin.isatty():
            raise SettingsError(_NEEDED)
        try:
            rule = f" (at least {MIN_PASSPHRASE} characters)" if new else ""
            text = getpass.getpass(f"Passphrase of the administrator's key{rule}: ")
            again = getpass.getpass("Once more: ") if new else text
        except EOFError:
            raise SettingsError(_NEEDED) from None
        if again != text:
            raise NamedFileError("the two passphrases differ")
        return text.encode()

    return ask


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            if stat.S_ISREG(mode) and mode & 0o077:
                raise NamedFileError(
                    f"{path}: other users may read the passphrase; chmod 600 {path}"
                )
            return file.read(KEY_FILE_BYTES).split(b"\n", 1)[0].rstrip(b"\r")
    except NamedFileError:
        raise
    except OSError as error:
        raise NamedFileError(f"{path}: cannot read the passphrase: {error.strerror}") from error
