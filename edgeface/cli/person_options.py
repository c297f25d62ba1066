"""What verbs have in common that change what is known of people beside their templates."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from typing import Any

from edgeface.base.errors import SettingsError
from edgeface.cli.dates import end, show, start
from edgeface.gallery.person import Person


def add_person_options(parser: argparse.ArgumentParser) -> None:
    """`--name`, `--card`, `--valid-from`, `--valid-to`, and how each is taken away again."""
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
    parser.add_argument(
        "--force", action="store_true", help="give a card to somebody though another one has it"
    )


def changes_of(args: argparse.Namespace) -> dict[str, Any]:
    """Fields of `Person` with their new values; SettingsError when there are none."""
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
    return changes


def described(person: Person) -> str:
    """Somebody in one line."""
    window = [
        show(bound) if math.isfinite(bound) else text
        for bound, text in ((person.valid_from_s, "always"), (person.valid_to_s, "never"))
    ]
    return (
        f"{person.person_id}  {person.display_name or '-'}  card {person.card or '-'}  valid from "
        f"{window[0]}, ends {window[1]}"
    )


def _or(word: str, value: float, otherwise: Callable[[str], float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        return value if text == word else otherwise(text)

    return read
