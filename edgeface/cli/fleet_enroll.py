"""Take people into the master gallery: from photographs, or at a door. Nothing is published.

The same quality gate as on a device looks at each photo. With --folder DIR every folder in DIR is
one person, its name the display name; who is enrolled already is skipped, so that an interrupted
run can be repeated. The photographs themselves are not kept. A photo that does not look like the
others of the person is left out, and nobody is taken in who looks like somebody known, unless
--force.

With --from-device ID the person stands before that device, which says what the next frame should
be, takes the templates and sends them sealed to this site; it keeps none of them. With --from-event
EVENT besides, which may be given again, nobody has to stand there: the pictures are those that the
device has kept of these events (`snapshots.events`). Exit code 4: the device is not there, or did
not answer in time.
"""

from __future__ import annotations

import argparse
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from edgeface.base.counting import counted, none_usable
from edgeface.base.errors import GalleryError, PictureError, SettingsError
from edgeface.base.ids import new_person_id, time_of_event
from edgeface.cli.broker_options import own_name
from edgeface.cli.dates import end, start
from edgeface.cli.enroll import enroll_folder, report_refused, status_of, wish_of
from edgeface.cli.event_pictures import OTHERS, EventPictures, asked_of, examine_events
from edgeface.cli.fleet_site import open_master
from edgeface.cli.plain import plain, warn
from edgeface.contract.answers import EnrollProgress
from edgeface.contract.topics import Topics
from edgeface.fleet.admin.door_enrollment import (
    DoorRequest,
    pinned_key,
    sealing_secret,
    take_templates,
)
from edgeface.fleet.admin.master import Master
from edgeface.fleet.admin.site import SiteFolder
from edgeface.gallery.enrollment import Enrollment, Wish, check_wish
from edgeface.gallery.gate import Gate, Portrait, Refused, open_gate
from edgeface.gallery.likeness import bar_for
from edgeface.gallery.photo_enrollment import Terms, enroll_photos, enroll_samples, people_in
from edgeface.inference.package import ModelPackage, load_package
from edgeface.mqtt.caller import Caller

_FRAMES = 5
_TIMEOUT_S = 60.0
_MOST_FRAMES = 16
_LONGEST_S = 600.0
"""Bounds of the command `enroll`."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface fleet enroll`."""
    parser.add_argument("photos", nargs="*", type=Path, metavar="PHOTO", help="of one person")
    parser.add_argument("--name", help="display name; needed for a new person")
    parser.add_argument("--id", metavar="P_ID", help="of somebody known: the photos are added")
    parser.add_argument(
        "--new", action="store_true", help="--id is that of a new person, given by hand"
    )
    parser.add_argument("--card", help="number of the card that goes with the face")
    parser.add_argument("--valid-from", metavar="DATE", type=start, help="2026-11-21, or with time")
    parser.add_argument("--valid-to", metavar="DATE", type=end, help="includes the whole day")
    parser.add_argument("--replace", action="store_true", help="forget the templates made so far")
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="enroll a tree of one folder for each person"
    )
    parser.add_argument("--dry-run", action="store_true", help="do everything but store it")
    parser.add_argument("--force", action="store_true", help="take what looks odd")
    door = parser.add_argument_group("at a door")
    door.add_argument(
        "--from-device", metavar="ID", help="enroll who stands before this device of the site"
    )
    door.add_argument(
        "--frames", type=int, metavar="N", help=f"good and different ones; default: {_FRAMES}"
    )
    door.add_argument(
        "--timeout", type=float, metavar="S", help=f"for the person; default: {_TIMEOUT_S:g}"
    )
    door.add_argument(
        "--from-event",
        action="append",
        metavar="EVENT",
        help="from the picture that this device has kept of an event",
    )
    door.add_argument(
        "--open-with",
        type=Path,
        metavar="KEY",
        help="opens the device's answer; default: keys/sealing.key of the site",
    )


def run(args: argparse.Namespace) -> int:
    """Return 0 when somebody was enrolled, or nobody had to be."""
    _check(args)
    if args.from_device is not None:
        way = _enroll_from_events if args.from_event else _enroll_at_door
        return way(SiteFolder.open(args.site_dir), args)
    with open_master(args) as master, _rehearsed(master, args):
        return _enroll_tree(master, args) if args.folder else _enroll_one(master, args)


def _rehearsed(master: Master, args: argparse.Namespace) -> AbstractContextManager[None]:
    """With --dry-run what is stored within is taken back at its end."""
    return master.rehearsal() if args.dry_run else nullcontext()


def _check(args: argparse.Namespace) -> None:
    """Raise SettingsError for options that do not go together."""
    if sum((bool(args.photos), args.folder is not None, args.from_device is not None)) != 1:
        raise SettingsError("either photos of one person, or --folder DIR, or --from-device ID")
    if args.folder is not None and any(
        (args.name, args.id, args.card, args.valid_from, args.valid_to, args.replace, args.new)
    ):
        raise SettingsError(
            "--folder takes names from its folders, and no other option but --force and --dry-run"
        )
    if args.from_device is None and any(
        (args.frames, args.timeout, args.open_with, args.from_event)
    ):
        raise SettingsError(
            "--frames, --timeout, --from-event and --open-with belong to --from-device"
        )
    if args.from_event and (args.frames or args.timeout):
        raise SettingsError("--frames and --timeout are for who stands there, not for --from-event")
    for event_id in args.from_event or ():
        time_of_event(event_id)
    if args.frames is not None and not 1 <= args.frames <= _MOST_FRAMES:
        raise SettingsError(f"--frames: 1 to {_MOST_FRAMES}, not {args.frames}")
    if args.timeout is not None and not 1 <= args.timeout <= _LONGEST_S:
        raise SettingsError(f"--timeout: 1 to {_LONGEST_S:g} seconds, not {args.timeout:g}")


def _enroll_one(master: Master, args: argparse.Namespace) -> int:
    wish = _wish(master, args)
    gate, package = _open_gate(master)
    done = enroll_photos(master, gate, args.photos, wish, _terms(master, package, args))
    report_refused(done.refused)
    if done.enrollment is None:
        none = none_usable(len(args.photos), "photo")
        raise PictureError(f"{none}, so nobody was enrolled")
    _tell(done.enrollment, dry_run=args.dry_run)
    return 0


def _enroll_at_door(folder: SiteFolder, args: argparse.Namespace) -> int:
    """The site is not locked while the person stands at the door: the timer's refresh goes on."""
    device, settings = args.from_device, folder.settings
    key, secret = pinned_key(folder, device), sealing_secret(folder, args.open_with)
    package = load_package(settings.models.embedder)
    with Master(folder) as master:
        wish = _wish(master, args)
        person_id = wish.person_id or new_person_id(lambda taken: taken in master.store)
    wish = replace(wish, person_id=person_id, new=args.new or wish.person_id is None)
    request = DoorRequest(
        person_id,
        package.space_id,
        _FRAMES if args.frames is None else args.frames,
        _TIMEOUT_S if args.timeout is None else args.timeout,
    )

    def show(progress: EnrollProgress) -> None:
        done = f"{progress.kept} of {progress.wanted} frames"
        print(f"{device}: {done}; {plain(progress.message)}", file=sys.stderr, flush=True)

    with _caller(folder, device) as caller:
        samples, known_as = take_templates(caller, key, secret, request, show)
    if known_as not in (None, person_id):
        text = f"{device} would take this person for {known_as}: the same person twice?"
        if not args.force:
            raise GalleryError(
                f"{text} Nobody was enrolled; add to somebody known with --id, or --force"
            )
        warn(text)
    with Master(folder) as master, _rehearsed(master, args):
        check_wish(master.store, wish)  # what it warned of was said before
        enrollment = enroll_samples(master, samples, wish, _terms(master, package, args))
    _tell(enrollment, dry_run=args.dry_run)
    return 0


def _enroll_from_events(folder: SiteFolder, args: argparse.Namespace) -> int:
    """From pictures that the device has kept and sealed to this site."""
    device = args.from_device
    key, secret = pinned_key(folder, device), sealing_secret(folder, args.open_with)
    with Master(folder) as master:
        wish = _wish(master, args)
        gate, package = _open_gate(master)
    with _caller(folder, device) as caller:
        pictures = EventPictures(folder.site, device, secret, asked_of(caller, key))
        found = examine_events(gate, pictures, args.from_event)
    refused = [one for one in found if isinstance(one, Refused)]
    report_refused(refused)
    portraits = [one for one in found if isinstance(one, Portrait)]
    if not portraits:
        none = none_usable(len(refused), "picture")
        raise PictureError(f"{none}, so nobody was enrolled; {OTHERS}")
    with Master(folder) as master, _rehearsed(master, args):
        enrollment = enroll_samples(master, portraits, wish, _terms(master, package, args))
    _tell(enrollment, dry_run=args.dry_run)
    return 0


def _caller(folder: SiteFolder, device: str) -> Caller:
    mqtt = folder.settings.mqtt
    client = own_name(mqtt.username, mqtt.cert_file)
    return Caller(folder.connection(), Topics(folder.site, device), client)


def _wish(master: Master, args: argparse.Namespace) -> Wish:
    """What the options ask for, after it was warned of."""
    wish = wish_of(args)
    for warning in check_wish(master.store, wish):
        warn(warning)
    return wish


def _open_gate(master: Master) -> tuple[Gate, ModelPackage]:
    settings = master.folder.settings
    return open_gate(settings.models, settings.detection, settings.quality)


def _terms(master: Master, package: ModelPackage, args: argparse.Namespace) -> Terms:
    rules = master.folder.settings.decision
    bar = bar_for(package.calibration, rules.target_fpir, rules.max_looks)
    return Terms(package.space_id, bar, time.time(), args.force)


def _tell(enrollment: Enrollment, *, dry_run: bool) -> None:
    """What was stored, or would have been, and what comes next."""
    for warning in enrollment.warnings:
        warn(warning)
    person = enrollment.person
    name = person.display_name or "nameless"
    count = f"{enrollment.added} new of {counted(enrollment.templates, 'template')}"
    if dry_run:
        print(f"{name} would be enrolled, {count}; nothing was stored")
        return
    print(f"{name} is {person.person_id}, {count}; not published yet")
    print("next: edgeface fleet publish", file=sys.stderr)


def _enroll_tree(master: Master, args: argparse.Namespace) -> int:
    people_in(args.folder)  # before the models are loaded
    gate, package = _open_gate(master)
    ending = "; nothing was stored" if args.dry_run else "; not published yet"
    terms = _terms(master, package, args)
    return status_of(enroll_folder(master, gate, args.folder, terms, ending))
