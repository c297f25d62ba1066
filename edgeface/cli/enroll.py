"""Enroll a person from photographs, or add photographs to somebody known.

Each photo is examined: one face, large, sharp, well lit, turned to the camera. What passes becomes
a template; the photographs themselves are not kept. A photo that does not look like the others of
the person is left out, and nobody is enrolled who looks like somebody known, unless --force.

With --camera (the configured one) or --camera N (/dev/videoN) a person who stands before it is told
what is missing until there are enough good and different pictures; --video FILE takes them from a
film. Nobody is enrolled when somebody else steps in between.

With --from-event ID, which may be given again, the pictures are those that the device has kept of
events (`snapshots.events`), opened with the administrator's key (--open-with); `edgeface events
unknown --cluster` says which are of one face.

With --folder DIR every folder in DIR is one person, its name the display name; who is enrolled
already is skipped, so that an interrupted run can be repeated. --since and --until choose among
pictures that are dated by their names, as Instaloader names them.

examples:
  edgeface enroll anna-1.jpg anna-2.jpg --name Anna
  edgeface enroll --camera 0 --count 10 --name Anna --keep-pictures anna/
  edgeface enroll --folder team --since 2024-01-01 --min-face-px 120
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeface.base.counting import counted, none_usable, people
from edgeface.base.errors import PictureError, SettingsError
from edgeface.base.ids import time_of_event
from edgeface.cli.broker_options import keys_given
from edgeface.cli.common import add_config, between
from edgeface.cli.dates import end, start
from edgeface.cli.event_pictures import OTHERS, EventPictures, examine_events, kept_in
from edgeface.cli.photo_booth import add_booth_options, keep_pictures, pictures_of
from edgeface.cli.plain import warn
from edgeface.gallery.enrollment import Enrollment, Wish, check_wish, enroll
from edgeface.gallery.gate import Gate, Portrait, Refused, on_cpu, open_gate
from edgeface.gallery.likeness import bar_for
from edgeface.gallery.opening import open_gallery, refuse_in_fleet_mode
from edgeface.gallery.photo_enrollment import (
    Examined,
    OwnRoster,
    Period,
    Roster,
    Terms,
    enroll_tree,
    examine_photo,
    people_in,
    unused_in,
)
from edgeface.gallery.store import GalleryStore
from edgeface.inference.package import ModelPackage
from edgeface.recognition.quality import CLEAR_PX
from edgeface.security.sealing import AdministratorSecret
from edgeface.service.snapshot_folder import SnapshotFolder
from edgeface.settings.loading import load_settings
from edgeface.settings.tree import Settings

_BAR_WIDTH = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface enroll`."""
    parser.add_argument("photos", nargs="*", type=Path, metavar="PHOTO", help="JPEG or PNG file")
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
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="enroll a tree of one folder for each person"
    )
    parser.add_argument(
        "--since",
        metavar="DATE",
        type=start,
        default=-math.inf,
        help="only pictures dated 2024-05-01_12-00-00_UTC.jpg and the like, from then on",
    )
    parser.add_argument(
        "--until",
        metavar="DATE",
        type=end,
        default=math.inf,
        help="the same, up to then; a date includes the whole day",
    )
    parser.add_argument(
        "--min-face-px",
        metavar="PX",
        type=between(CLEAR_PX, 2000),
        help=f"narrower faces are refused; at least {CLEAR_PX:g}, which holds in any case",
    )
    add_booth_options(parser)
    parser.add_argument(
        "--from-event", action="append", metavar="ID", help="the picture kept of this event"
    )
    parser.add_argument(
        "--open-with", type=Path, metavar="KEY", help="the administrator's key, for --from-event"
    )
    add_config(parser)
    parser.add_argument(
        "--json",
        action="store_true",
        help="one JSON object on standard output; what is said goes to standard error",
    )


def wish_of(args: argparse.Namespace) -> Wish:
    """What the options ask for, here and in `fleet enroll`."""
    return Wish(
        person_id=args.id,
        display_name=args.name,
        valid_from_s=args.valid_from,
        valid_to_s=args.valid_to,
        card=args.card,
        replace_templates=args.replace,
        new=args.new,
        force=args.force,
    )


def run(args: argparse.Namespace) -> int:
    """Return 0 when somebody was enrolled; an EdgefaceError otherwise. With --folder 1
    when somebody could not be enrolled."""
    _check(args)
    settings = load_settings(args.config)
    if args.min_face_px is not None:
        quality = settings.quality.model_copy(update={"min_face_px": args.min_face_px})
        settings = settings.model_copy(update={"quality": quality})
    refuse_in_fleet_mode(settings)
    with redirect_stdout(sys.stderr) if args.json else nullcontext():
        done = _enroll_tree(settings, args) if args.folder else [_enroll_one(settings, args)]
    if args.json:
        unused = unused_in(args.folder) if args.folder else []
        mapping = {"people": [_mapping(one) for one in done], "unused": _refusals(unused)}
        print(json.dumps(mapping))
    return status_of(done)


def status_of(done: Sequence[Examined]) -> int:
    """1 when somebody could not be enrolled."""
    return 1 if any(one.failed is not None for one in done) else 0


def _mapping(one: Examined) -> dict[str, Any]:
    stored = one.enrollment
    return {
        "display_name": one.name,
        "person_id": stored.person.person_id if stored else None,
        "new": stored.is_new if stored else False,
        "added": stored.added if stored else 0,
        "templates": stored.templates if stored else None,
        "warnings": list(stored.warnings) if stored else [],
        "refused": _refusals(one.refused),
        "skipped": one.skipped,
        "failed": one.failed,
    }


def _refusals(refused: Sequence[Refused]) -> list[dict[str, str]]:
    return [asdict(one) for one in refused]


def _check(args: argparse.Namespace) -> None:
    """Raise SettingsError for options that do not go together."""
    given = (args.photos or None, args.folder, args.camera, args.video, args.from_event)
    if sum(one is not None for one in given) != 1:
        raise SettingsError(
            "one of photos of one person, --camera, --video FILE, --from-event ID and --folder DIR"
        )
    if (args.from_event is None) != (args.open_with is None):
        raise SettingsError(
            "--from-event ID and --open-with KEY go together: the picture is sealed to the "
            "administrator, and the private half of commands.administrator_key_file opens it"
        )
    for event_id in args.from_event or ():
        time_of_event(event_id)
    booth = args.camera is not None or args.video is not None
    if args.keep_pictures is not None and not booth:
        raise SettingsError("--keep-pictures goes with --camera and --video")
    if not (args.photos or args.folder) and (args.since, args.until) != (-math.inf, math.inf):
        raise SettingsError("--since and --until choose among photos that are dated by their names")
    if args.folder is not None and any(
        (args.name, args.id, args.card, args.valid_from, args.valid_to, args.replace, args.new)
    ):
        raise SettingsError(
            "--folder takes names from its folders: --name, --id, --new, --card, --valid-from, "
            "--valid-to and --replace are of one person"
        )
    if args.since >= args.until:
        raise SettingsError("--since is later than --until: no picture is between them")


def _terms(settings: Settings, package: ModelPackage, args: argparse.Namespace) -> Terms:
    rules = settings.decision
    bar = bar_for(package.calibration, rules.target_fpir, rules.max_looks)
    period = Period(args.since, args.until)
    return Terms(package.space_id, bar, time.time(), args.force, period)


def _enroll_one(settings: Settings, args: argparse.Namespace) -> Examined:
    """One person, and what became of each photo."""
    wish, refused = wish_of(args), list[Refused]()
    with open_gallery(settings) as store:
        for warning in check_wish(store, wish):
            warn(warning)
        enrollment = _enroll(settings, store, wish, args, refused)
    for warning in enrollment.warnings:
        warn(warning)
    person, what = enrollment.person, "enrolled as" if enrollment.is_new else "is"
    print(
        f"{person.display_name or 'nameless'} {what} {person.person_id}, "
        f"{enrollment.added} new of {counted(enrollment.templates, 'template')}"
    )
    return Examined(person.display_name or "", (), tuple(refused), enrollment)


def _enroll(
    settings: Settings,
    store: GalleryStore,
    wish: Wish,
    args: argparse.Namespace,
    refused: list[Refused],
) -> Enrollment:
    if args.camera is not None or args.video is not None:
        detector, embedder = on_cpu(settings.models, settings.detection)
        terms = _terms(settings, embedder.package, args)
        pictures = pictures_of(settings, args, (detector, embedder), terms.bar)
        portraits = [picture.portrait for picture in pictures]
        enrolled = enroll(store, terms.space, portraits, wish, terms.bar, terms.now_s)
        keep_pictures(args.keep_pictures, pictures)
        return enrolled
    gate, package = open_gate(settings.models, settings.detection, settings.quality)
    terms = _terms(settings, package, args)
    portraits = []
    for examined in _examined(settings, gate, args, terms):
        if isinstance(examined, Refused):
            print(f"refused  {examined.source}: {examined.message}", file=sys.stderr)
            refused.append(examined)
            continue
        quality = examined.quality
        print(
            f"good     {examined.source}: face {quality.face_px:.0f} px, sharpness "
            f"{quality.sharpness:.2f}, yaw {quality.yaw_deg:z.0f} degrees"
        )
        portraits.append(examined)
    if not portraits:
        none = none_usable(len(refused), "photo" if args.photos else "picture")
        advice = "" if args.photos else f"; {OTHERS}"
        raise PictureError(f"{none}, so nobody was enrolled{advice}")
    return enroll(store, terms.space, portraits, wish, terms.bar, terms.now_s)


def _examined(
    settings: Settings, gate: Gate, args: argparse.Namespace, terms: Terms
) -> Iterator[Portrait | Refused]:
    """The photographs, or the pictures of events, one after the other."""
    if args.photos:
        yield from (examine_photo(gate, photo, terms.period) for photo in args.photos)
        return
    folder = SnapshotFolder(settings.snapshots_folder)
    with keys_given():
        secret = AdministratorSecret.load(args.open_with)
    pictures = EventPictures(settings.site, settings.device, secret, kept_in(settings, folder))
    yield from examine_events(gate, pictures, args.from_event)


def _enroll_tree(settings: Settings, args: argparse.Namespace) -> list[Examined]:
    people_in(args.folder)  # before the models are loaded
    with open_gallery(settings) as store:
        gate, package = open_gate(settings.models, settings.detection, settings.quality)
        terms = _terms(settings, package, args)
        return enroll_folder(OwnRoster(store), gate, args.folder, terms)


def enroll_folder(
    roster: Roster, gate: Gate, tree: Path, terms: Terms, ending: str = ""
) -> list[Examined]:
    """Enroll one person for each folder in `tree` and tell of everything in it. `ending`: what else
    is to be said at the end."""
    total = len(people_in(tree))
    counts = {"enrolled": 0, "skipped": 0, "failed": 0, "refused": 0}
    results = []
    for number, done in enumerate(enroll_tree(roster, gate, tree, terms), 1):
        results.append(done)
        _erase_bar()
        report_refused(done.refused)
        counts["refused"] += len(done.refused)
        if done.skipped is not None:
            counts["skipped"] += 1
            print(f"skipped  {done.name}: {done.skipped}")
        elif done.enrollment is None:
            counts["failed"] += 1
            print(f"FAILED   {done.name}: {done.failed}")
        else:
            counts["enrolled"] += 1
            for warning in done.enrollment.warnings:
                warn(f"{done.name}: {warning}")
        _show_bar(number, total)
    _erase_bar()
    unused = unused_in(tree)
    for path in unused:
        print(f"unused   {path.source}: {path.message}")
    print(
        f"{counts['enrolled']} enrolled, {counts['skipped']} skipped, {counts['failed']} failed; "
        f"{counted(counts['refused'], 'photo')} refused, {len(unused)} unused" + ending
    )
    return results


def report_refused(refused: Sequence[Refused]) -> None:
    """One line for each picture that cannot be used."""
    for one in refused:
        print(f"refused  {one.source}: {one.message}")


def _show_bar(number: int, total: int) -> None:
    if sys.stderr.isatty():
        full = _BAR_WIDTH * number // total
        bar = "#" * full + "." * (_BAR_WIDTH - full)
        print(f"\r[{bar}] {number} of {people(total)}", end="", file=sys.stderr, flush=True)


def _erase_bar() -> None:
    if sys.stderr.isatty():
        print("\r\033[K", end="", file=sys.stderr, flush=True)
