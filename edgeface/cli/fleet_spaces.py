"""Which embedding models the people are enrolled for. Templates of two models cannot be compared.

Devices switch to a new model only when everybody has templates for it; until then records carry
both.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from edgeface.base.counting import counted, people
from edgeface.base.errors import GalleryError
from edgeface.cli.fleet_site import open_master
from edgeface.fleet.admin.coverage import coverage
from edgeface.inference.package import load_package

_SHOWN = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface fleet spaces`."""
    parser.add_argument("--json", action="store_true")
    parser.add_argument(
        "--forget",
        metavar="SPACE",
        help="delete everybody's templates of this space (its whole id)",
    )


def run(args: argparse.Namespace) -> int:
    """Return 0; GalleryError for a space that nobody has templates in."""
    with open_master(args) as master:
        if args.forget is not None:
            count = master.forget_space(args.forget)
            if not count:
                raise GalleryError(f"{args.forget}: nobody has templates in this space")
            print(f"{people(count)} without templates in this space now; not published yet")
            return 0
        package = load_package(master.folder.settings.models.embedder)
        rows = coverage(master.store, package.space_id)
        total = master.store.count()
    if args.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return 0
    for row in rows:
        name = f" ({package.name}, in site.yaml)" if row is rows[0] else ""
        templates = counted(row.templates, "template")
        print(f"{row.space}{name}: {row.people} of {people(total)}, {templates}")
        for person_id in row.missing[:_SHOWN] if row is rows[0] else ():
            print(f"  {person_id} has to be enrolled again for it")
        if row is rows[0] and len(row.missing) > _SHOWN:
            print(f"  and {len(row.missing) - _SHOWN} more; --json names all")
    return 0
