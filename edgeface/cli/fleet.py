"""Look after one gallery for all devices of a site; run on the administrator's machine.

    init      make a site: keys, settings, an empty gallery
    device    register, list or remove devices, and write what goes on each
    enroll    take people in from photographs, or at a door
    remove, set, list
              erase people, change names, cards and validity, list everyone
    diff      show what is not published yet
    publish   bring the site's devices up to date
    refresh   confirm that the published gallery is current; from a timer
    status    what every device has made of it
    rekey     replace the keys
    audit     what is weak: people taken for one another, thin enrolments
    spaces    which models the people are enrolled for

Everything works on the folder of a site: --site-dir, by default the current one. Nothing reaches
the devices before `publish`.
"""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Final, NamedTuple


class _Action(NamedTuple):
    module: str
    help: str


ACTIONS: Final = {
    "init": _Action("fleet_init", "make a site: keys, settings, an empty gallery"),
    "device": _Action("fleet_device", "register, list or remove devices"),
    "enroll": _Action("fleet_enroll", "take people in from photographs, or at a door"),
    "remove": _Action("fleet_remove", "erase people"),
    "set": _Action("fleet_set", "change names, cards and validity"),
    "list": _Action("fleet_list", "list everyone"),
    "diff": _Action("fleet_diff", "show what is not published yet"),
    "publish": _Action("fleet_publish", "bring the devices up to date"),
    "refresh": _Action("fleet_refresh", "confirm that the published gallery is current"),
    "status": _Action("fleet_status", "what every device has made of it"),
    "rekey": _Action("fleet_rekey", "replace the keys"),
    "audit": _Action("fleet_audit", "what is weak"),
    "spaces": _Action("fleet_spaces", "which models the people are enrolled for"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface fleet`, of every action."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "-s",
        "--site-dir",
        type=Path,
        default=Path(),
        metavar="DIR",
        help="the site's folder; default: the current one",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, entry in ACTIONS.items():
        module = importlib.import_module(f"edgeface.cli.{entry.module}")
        chosen = actions.add_parser(
            name,
            help=entry.help,
            description=module.__doc__,
            parents=[common],
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        chosen.set_defaults(run_action=module.run)
        module.add_arguments(chosen)


def run(args: argparse.Namespace) -> int:
    """Run the action."""
    code: int = args.run_action(args)
    return code
