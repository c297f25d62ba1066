"""Look for what is weak in the master gallery: people taken for one another, thin enrollments, and
what a gallery of this size risks.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from edgeface.cli.common import between
from edgeface.cli.fleet_site import open_master
from edgeface.cli.gallery import audit_lines, audit_of
from edgeface.fleet.admin.coverage import false_accepts_a_year, poor_people
from edgeface.inference.package import load_package

MIN_QUALITY = 0.3
"""Below it a template is called poor."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface fleet audit`."""
    parser.add_argument(
        "--strangers-a-day",
        type=between(0),
        default=100.0,
        metavar="N",
        help="people a day, at all doors together, who are not in the gallery; default: 100",
    )
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Return 0."""
    with open_master(args) as master:
        settings = master.folder.settings
        package = load_package(settings.models.embedder)
        rules = settings.decision
        report = audit_of(master.store, package, rules)
        poor = poor_people(master.store, package.space_id, MIN_QUALITY)
    expected = None
    if report.threshold is not None:
        expected = false_accepts_a_year(
            package.calibration,
            report.threshold.value,
            templates=report.compared,
            max_looks=rules.max_looks,
            strangers_a_day=args.strangers_a_day,
        )
    if args.json:
        more = {"poor": poor, "false_accepts_a_year": expected}
        print(json.dumps(asdict(report) | more, indent=2))
        return 0
    for line in audit_lines(report):
        print(line)
    for person_id in poor:
        print(
            f"{person_id}: poor photos only (quality below {MIN_QUALITY}), better ones would help"
        )
    if expected is not None:
        print(
            f"{args.strangers_a_day:g} strangers a day: up to {expected:.2g} a year are expected "
            "to come out as somebody"
        )
    return 0
