"""List everyone in the master gallery, and whether the devices are to know them as they are."""

from __future__ import annotations

import argparse
import json
import sys

from edgeface.base.counting import counted, people
from edgeface.cli.dates import show_window
from edgeface.cli.fleet_site import open_master
from edgeface.gallery.person import person_to_mapping


def run(args: argparse.Namespace) -> int:
    """Return 0."""
    with open_master(args) as master:
        changes = {change.person_id: change.kind for change in master.draft().changes}
        published = set(master.ledger.published())
        rows = []
        for person_id in master.store.ids():
            person = master.store.person(person_id)
            assert person is not None
            spaces = master.store.spaces(person_id)
            state = changes.get(person_id, "published" if person_id in published else "unpublished")
            rows.append(
                {"person_id": person_id, "state": state, "templates": spaces}
                | person_to_mapping(person)
            )
        version = master.ledger.state().floor.version
    if args.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return 0
    for row in rows:
        templates = counted(sum(row["templates"].values()), "template")
        print(
            f"{row['person_id']}  {row['state']:<11}  {templates:<12}"
            f"  {row['display_name'] or '-'}  {show_window(row['valid_from_s'], row['valid_to_s'])}"
        )
    print(f"{people(len(rows))}; the devices have been given revision {version}", file=sys.stderr)
    return 0
