"""Look after one gallery for all devices of a site; run on the administrator's machine.

Everything works on the folder of a site: --site-dir, by default the current one. Nothing reaches
the devices before `publish`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

ACTIONS: Final = {
    "init": "make a site: keys, settings, an empty gallery",
    "device": "register, list or remove devices, and write what goes on each",
    "enroll": "take people in from photographs, or at a door",
    "remove": "erase people",
    "set": "change names, cards and validity",
    "list": "list everyone",
    "diff": "show what is not published yet",
    "publish": "bring the site's devices up to date",
    "refresh": "confirm that the published gallery is current; from a timer",
    "status": "what every device has made of it",
    "rekey": "replace the keys",
    "audit": "what is weak: people taken for one another, thin enrollments",
    "spaces": "which models the people are enrolled for",
}
"""Each is the module `fleet_NAME`, with `add_arguments(parser)` and `run(args) -> int`."""

SHOWN: Final = ("list", "diff", "status")
"""Those that take `--json` and nothing else: they have no `add_arguments`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions of `edgeface fleet`."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "-s",
        "--site-dir",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the site's folder; default: the current one",
    )
    shown = argparse.ArgumentParser(add_help=False)
    shown.add_argument("--json", action="store_true")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in ACTIONS.items():
        parents = [common, shown] if name in SHOWN else [common]
        actions.add_parser(name, help=text, module=f"fleet_{name}", parents=parents)
