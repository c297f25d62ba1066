"""Change what is known of people beside their templates; the next publish tells the devices."""

from __future__ import annotations

import argparse

from edgeface.cli.fleet_site import open_master
from edgeface.cli.person_options import add_person_options, changes_of, described
from edgeface.cli.plain import warn
from edgeface.gallery.people import find_people


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface fleet set`."""
    parser.add_argument("people", nargs="+", metavar="PERSON", help="id, or the whole name")
    add_person_options(parser)


def run(args: argparse.Namespace) -> int:
    """Return 0; GalleryError for somebody unknown or an impossible value."""
    changes = changes_of(args)
    with open_master(args) as master:
        ids = find_people(master.store, args.people, where="the master gallery")
        changed, warnings = master.update(ids, changes, force=args.force)
    for warning in warnings:
        warn(warning)
    for person in changed:
        print(f"{described(person)}; not published yet")
    return 0
