"""Enroll a person from photographs, or add photographs to somebody known.

Each photo is examined: one face, large, sharp, well lit, turned to the camera. What passes becomes
a template; the photographs themselves are not kept. A photo that does not look like the others of
the person is left out, and nobody is enrolled who looks like somebody known, unless --force.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from edgeface.base.counting import counted
from edgeface.base.errors import GalleryError
from edgeface.cli.common import add_config
from edgeface.cli.dates import end, start
from edgeface.cli.plain import warn
from edgeface.gallery.enrollment import Enrollment, Wish, check_wish, enroll
from edgeface.gallery.gate import Portrait, Refused, open_gate
from edgeface.gallery.likeness import bar_for
from edgeface.gallery.opening import open_gallery, refuse_in_fleet_mode
from edgeface.gallery.store import GalleryStore
from edgeface.settings.loading import load_settings
from edgeface.settings.tree import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface enroll`."""
    parser.add_argument("photos", nargs="+", type=Path, metavar="PHOTO", help="JPEG or PNG file")
    parser.add_argument("--name", help="display name; needed for a new person")
    parser.add_argument(
        "--id", metavar="P_ID", help="of somebody known; new people get a random one by themselves"
    )
    parser.add_argument(
        "--new", action="store_true", help="--id is that of a new person, given by hand"
    )
    parser.add_argument("--card", help="number of the card that goes with the face")
    parser.add_argument(
        "--valid-from",
        metavar="DATE",
        type=start,
        help="2026-11-21 or 2026-11-21T08:00 (local time, or with an offset such as +01:00)",
    )
    parser.add_argument(
        "--valid-to", metavar="DATE", type=end, help="a date includes the whole day"
    )
    parser.add_argument(
        "--replace", action="store_true", help="forget the person's templates made so far"
    )
    parser.add_argument("--force", action="store_true", help="take what looks odd")
    add_config(parser)


def run(args: argparse.Namespace) -> int:
    """Return 0 when somebody was enrolled; GalleryError otherwise."""
    settings = load_settings(args.config)
    refuse_in_fleet_mode(settings)
    wish = Wish(
        person_id=args.id,
        display_name=args.name,
        valid_from_s=args.valid_from,
        valid_to_s=args.valid_to,
        card=args.card,
        replace_templates=args.replace,
        new=args.new,
        force=args.force,
    )
    with open_gallery(settings) as store:
        for warning in check_wish(store, wish):
            warn(warning)
        enrollment = _enroll(settings, store, wish, args.photos)
    for warning in enrollment.warnings:
        warn(warning)
    what = "enrolled as" if enrollment.is_new else "is"
    print(
        f"{enrollment.person.display_name or 'nameless'} {what} {enrollment.person.person_id}, "
        f"{enrollment.added} new of {counted(enrollment.templates, 'template')}"
    )
    return 0


def _enroll(settings: Settings, store: GalleryStore, wish: Wish, photos: list[Path]) -> Enrollment:
    gate, package = open_gate(settings.models, settings.detection, settings.quality)
    portraits: list[Portrait] = []
    for photo in photos:
        examined = gate.examine_file(photo)
        if isinstance(examined, Refused):
            print(f"refused  {examined.source}: {examined.message}", file=sys.stderr)
            continue
        quality = examined.quality
        print(
            f"good     {examined.source}: face {quality.face_px:.0f} px, sharpness "
            f"{quality.sharpness:.2f}, yaw {quality.yaw_deg:.0f} degrees"
        )
        portraits.append(examined)
    if not portraits:
        count = counted(len(photos), "photo")
        raise GalleryError(f"none of {count} can be used, so nobody was enrolled")
    rules = settings.decision
    bar = bar_for(package.calibration, rules.target_fpir, rules.max_looks)
    return enroll(store, package.space_id, portraits, wish, bar, time.time())
