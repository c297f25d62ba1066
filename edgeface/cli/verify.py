"""Say whether a photograph would open the door for a person, as one frame of the daemon would.

The person is named by id or by the whole display name, as a card would. Exit code 0: open, 1: shut,
2: a photograph that cannot be used, or no such person.

  edgeface verify visitor.jpg "Ada Lovelace" -c /etc/edgeface/edgeface.yaml
  edgeface verify visitor.jpg Ada --gallery people/
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from edgeface.base.errors import PictureError
from edgeface.cli.common import add_json, add_people
from edgeface.cli.identify import open_people
from edgeface.cli.plain import plain, warn

if TYPE_CHECKING:
    from edgeface.toolbox.answered import VerifiedClaim

OPEN, SHUT = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """A photograph, and who it is said to be."""
    parser.add_argument("photo", metavar="PHOTO", help="JPEG or PNG file of one person")
    parser.add_argument("person", metavar="PERSON", help="id or whole display name")
    add_people(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """0 for an open door, 1 for a shut one; PictureError for a photograph of no use."""
    from edgeface.toolbox.engine import open_engine

    with open_engine(config=None if args.gallery else args.config) as engine:
        gallery = open_people(args, engine)
        person_id = gallery.find(args.person)
        face = engine.face(args.photo)
        if face.gate is not None:
            raise PictureError(f"{args.photo}: {engine.explain(face)}")
        found = engine.verify(face, gallery, person_id)
    if args.json:
        measured = {
            "open": found.opens,
            "outcome": found.outcome,
            "person_id": found.person_id,
            "display_name": found.display_name,
            "score": found.score,
            "threshold": found.threshold,
            "threshold_extrapolated": found.extrapolated,
        }
        print(json.dumps(measured))
    else:
        print(f"door {'open' if found.opens else 'shut'}: {_why(found)}")
    for problem in gallery.problems:
        warn(plain(problem))
    return OPEN if found.opens else SHUT


def _why(found: VerifiedClaim) -> str:
    name = plain(found.display_name or found.person_id)
    if found.outcome == "not_enrolled":
        return f"{name} may not be recognized now"
    beyond = " (extrapolated)" if found.extrapolated else ""
    measured = f"score {found.score:z.3f}, needed {found.threshold:.3f}{beyond}"
    if found.opens:
        return f"{name}, {measured}"
    unclear = found.outcome == "inconclusive"
    doubt = " for sure; the face is too small, blurred or covered" if unclear else ""
    return f"not {name}{doubt}, {measured}"
