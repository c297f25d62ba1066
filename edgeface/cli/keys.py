"""Make the key pair that enrollments at the door and snapshots are sealed to.

The private half (mode 0600) stays with the administrator and opens them with `edgeface call
--open-with`. Its public half, FILE.pub, goes onto the devices, as commands.administrator_key_file.
"""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface keys`."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    administrator = kinds.add_parser(
        "administrator", help="an X25519 pair for sealed answers", description=__doc__
    )
    administrator.add_argument("file", type=Path, metavar="FILE", help="the private half")


def run(args: argparse.Namespace) -> int:
    """Make it; 0. Raises StateError when a file is there already or cannot be written."""
    from edgeface.security.sealing import AdministratorSecret

    secret = AdministratorSecret.generate()
    public = secret.save(args.file)
    print(f"{args.file}: private, keep it off the devices\n{public}: for the devices")
    print(f"key id {secret.public.kid}")
    return 0
