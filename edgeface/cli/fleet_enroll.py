"""Take people into the master gallery from photographs. Nothing is published.

The same quality gate as on a device looks at each photo. With --folder DIR every folder in DIR is
one person, its name the display name; who is enrolled already is skipped, so that an interrupted
run can be repeated. The photographs themselves are not kept.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edgeface.cli.dates import end, start
from edgeface.errors import GalleryError

if TYPE_CHECKING:
    from edgeface.fleet.enrolling import Examined
    from edgeface.fleet.master import Master
    from edgeface.fleet.site import SiteFolder
    from edgeface.gallery.enrolment import Bar
    from edgeface.gallery.gate import Gate

_BAR_WIDTH = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface fleet enroll`."""
    parser.add_argument("photos", nargs="*", type=Path, metavar="PHOTO", help="of one person")
    parser.add_argument("--name", help="display name; needed for a new person")
    parser.add_argument("--id", metavar="P_ID", help="of somebody known: the photos are added")
    parser.add_argument("--card", help="number of the card that goes with the face")
    parser.add_argument("--valid-from", metavar="DATE", type=start, help="2026-11-21, or with time")
    parser.add_argument("--valid-to", metavar="DATE", type=end, help="includes the whole day")
    parser.add_argument("--replace", action="store_true", help="forget the templates made so far")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="enrol a tree of one folder for each person"
    )


def run(args: argparse.Namespace) -> int:
    """Return 0 when somebody was enrolled, or nobody had to be."""
    from edgeface.fleet.master import Master
    from edgeface.fleet.site import SiteFolder

    if bool(args.photos) == (args.folder is not None):
        raise GalleryError("either photos of one person, or --folder DIR")
    if args.folder is not None and any(
        (args.name, args.id, args.card, args.valid_from, args.valid_to, args.replace)
    ):
        raise GalleryError("--folder takes names from its folders, and no other option")
    folder = SiteFolder.open(args.site_dir)
    with Master(folder) as master:
        return _enrol_tree(master, args) if args.folder else _enrol_one(master, args)


def _enrol_one(master: Master, args: argparse.Namespace) -> int:
    from edgeface.fleet.enrolling import enrol_photos
    from edgeface.gallery.enrolment import Wish, check_wish

    wish = Wish(args.id, args.name, args.valid_from, args.valid_to, args.card, args.replace)
    for warning in check_wish(master.store, wish):
        _warn(warning)
    gate, space, bar = _open(master.folder, master)
    done = enrol_photos(master, gate, args.photos, wish, space, bar, time.time())
    _report(done)
    if done.enrolment is None:
        raise GalleryError(f"none of {len(args.photos)} photos can be used: nobody was enrolled")
    for warning in done.enrolment.warnings:
        _warn(warning)
    person = done.enrolment.person
    print(
        f"{person.display_name or 'nameless'} is {person.person_id}, {done.enrolment.added} new of "
        f"{done.enrolment.templates} templates; not published yet"
    )
    return 0


def _enrol_tree(master: Master, args: argparse.Namespace) -> int:
    from edgeface.fleet.enrolling import enrol_tree, people_in

    total = len(people_in(args.folder))
    gate, space, bar = _open(master.folder, master)
    counts = {"enrolled": 0, "skipped": 0, "failed": 0, "refused": 0}
    results = enrol_tree(master, gate, args.folder, space, lambda: bar, time.time())
    for number, done in enumerate(results, 1):
        _erase_bar()
        _report(done)
        counts["refused"] += len(done.refused)
        if done.skipped is not None:
            counts["skipped"] += 1
            print(f"skipped  {done.name}: {done.skipped}")
        elif done.enrolment is None:
            counts["failed"] += 1
            print(f"FAILED   {done.name}: no usable photo")
        else:
            counts["enrolled"] += 1
            for warning in done.enrolment.warnings:
                _warn(f"{done.name}: {warning}")
        _show_bar(number, total)
    _erase_bar()
    print(
        f"{counts['enrolled']} enrolled, {counts['skipped']} skipped, {counts['failed']} without a "
        f"usable photo; {counts['refused']} photos refused; not published yet"
    )
    return 1 if counts["failed"] else 0


def _open(folder: SiteFolder, master: Master) -> tuple[Gate, str, Bar]:
    from edgeface.gallery.enrolment import bar_for
    from edgeface.gallery.gate import Gate
    from edgeface.inference.models import open_models
    from edgeface.recognition.quality import QualityLimits

    settings = folder.settings
    detector, embedder, _ = open_models(
        settings.models.detector,
        settings.models.embedder,
        "cpu",
        threads=settings.models.threads,
        score_threshold=settings.detection.score_threshold,
        max_faces=settings.detection.max_faces,
    )
    gate = Gate(detector, embedder, QualityLimits(**settings.quality.model_dump()))
    space = embedder.space_id
    bar = bar_for(
        embedder.package.calibration,
        settings.decision.target_fpir,
        settings.decision.max_looks,
        master.store.spaces().get(space, 0),
    )
    return gate, space, bar


def _report(done: Examined) -> None:
    for refused in done.refused:
        print(f"refused  {refused.source}: {refused.message}")


def _show_bar(number: int, total: int) -> None:
    if sys.stderr.isatty():
        full = _BAR_WIDTH * number // total
        bar = "#" * full + "." * (_BAR_WIDTH - full)
        print(f"\r[{bar}] {number} of {total} people", end="", file=sys.stderr, flush=True)


def _erase_bar() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def _warn(text: str) -> None:
    print(f"edgeface: warning: {text}", file=sys.stderr)
