"""Erase people from the master gallery; the next publish erases them on every device."""

from __future__ import annotations

import argparse

from edgeface.cli.fleet_site import open_master
from edgeface.gallery.people import find_people


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface fleet remove`."""
    parser.add_argument("people", nargs="+", metavar="PERSON", help="id, or the whole name")


def run(args: argparse.Namespace) -> int:
    """Return 0; GalleryError for somebody unknown, and nobody is erased then."""
    with open_master(args) as master:
        lost = master.lost()
        there = [person for person in args.people if person not in lost]
        people = [*find_people(master.store, there, where="the master gallery")]
        people += sorted(lost.intersection(args.people))
        master.remove(people)
    for person_id in people:
        print(f"removed {person_id}; not published yet")
    return 0
