"""Change what is known of people beside their templates; the next publish tells the devices."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

from edgeface.base.errors import SettingsError
from edgeface.cli.dates import end, show, start
from edgeface.cli.fleet_site import open_master
from edgeface.gallery.people import find_people


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface fleet set`."""
    parser.add_argument("people", nargs="+", metavar="PERSON", help="id, or the whole name")
    name = parser.add_mutually_exclusive_group()
    name.add_argument("--name", help="display name")
    name.add_argument("--no-name", action="store_true", help="without a display name")
    card = parser.add_mutually_exclusive_group()
    card.add_argument("--card", help="number of the card that goes with the face")
    card.add_argument("--no-card", action="store_true", help="without a card")
    parser.add_argument(
        "--valid-from",
        metavar="DATE",
        type=_or("always", -math.inf, start),
        help="2026-11-21, 2026-11-21T08:00, or always",
    )
    parser.add_argument(
        "--valid-to",
        metavar="DATE",
        type=_or("never", math.inf, end),
        help="a date includes the whole day; never: without end",
    )


def run(args: argparse.Namespace) -> int:
    """Return 0; GalleryError for somebody unknown or an impossible value."""
    changes: dict[str, Any] = {}
    if args.name is not None or args.no_name:
        changes["display_name"] = args.name
    if args.card is not None or args.no_card:
        changes["card"] = args.card
    if args.valid_from is not None:
        changes["valid_from_s"] = args.valid_from
    if args.valid_to is not None:
        changes["valid_to_s"] = args.valid_to
    if not changes:
        raise SettingsError("nothing to change: --name, --card, --valid-from or --valid-to")
    with open_master(args) as master:
        for person_id in find_people(master.store, args.people, where="the master gallery"):
            person = master.update(person_id, **changes)
            window = [
                show(bound) if math.isfinite(bound) else text
                for bound, text in ((person.valid_from_s, "always"), (person.valid_to_s, "never"))
            ]
            print(
                f"{person_id}  {person.display_name or '-'}  card {person.card or '-'}  valid from "
                f"{window[0]}, ends {window[1]}; not published yet"
            )
    return 0


def _or(word: str, value: float, otherwise: Callable[[str], float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        return value if text == word else otherwise(text)

    return read
