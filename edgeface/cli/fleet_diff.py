"""Show what differs between the master gallery and what is published. Asks nobody."""

from __future__ import annotations

import argparse
import json

from edgeface.cli.fleet_site import open_master
from edgeface.fleet.admin.master import Draft


def run(args: argparse.Namespace) -> int:
    """Return 0, whether anything differs or not."""
    with open_master(args) as master:
        draft = master.draft()
        waiting = len(master.ledger.outgoing())
    if args.json:
        changes = [
            {"change": item.kind, "person_id": item.person_id, "display_name": item.display_name}
            for item in draft.changes
        ]
        print(json.dumps({"changes": changes, "unsent": waiting}, indent=2, ensure_ascii=False))
        return 0
    show_draft(draft)
    if waiting:
        print(f"an interrupted publish has {waiting} messages left; the next publish sends them")
    return 0


def show_draft(draft: Draft) -> None:
    """What the next publish does, one line for each person."""
    for change in draft.changes:
        print(f"{change.kind:<8} {change.person_id}  {change.display_name or '-'}")
    for person_id in draft.without_templates:
        print(f"left out {person_id}: has no templates")
    if not draft.changes:
        print("nothing to publish")
