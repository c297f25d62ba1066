"""Look after the people this device knows.

list    everyone: id, name, templates, validity
show    people in detail, or who has a card
set     change name, card and validity
merge   make one of people who are the same
remove  erase people with all their templates
export  everyone into one file, encrypted with the gallery's key unless --key-file or --plain
import  take over an export, all of it or nothing
audit   what is weak: people taken for one another, thin enrollments, the threshold for this size
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeface.base.counting import counted, people
from edgeface.base.errors import GalleryError, GalleryLookupError, NamedFileError, SettingsError
from edgeface.cli.common import add_config, output_file
from edgeface.cli.dates import show, show_window
from edgeface.cli.person_options import add_person_options, changes_of, described
from edgeface.cli.plain import warn
from edgeface.gallery.audit import Audit, Confusable, audit
from edgeface.gallery.curation import doubts_about, listed, merge, set_people
from edgeface.gallery.key_file import load_key
from edgeface.gallery.likeness import Bar, bar_for
from edgeface.gallery.opening import (
    NO_GALLERY,
    existing_gallery,
    gallery_key,
    open_gallery,
    refuse_in_fleet_mode,
)
from edgeface.gallery.people import cards_in, find_people, readable
from edgeface.gallery.person import person_to_mapping, plain_text
from edgeface.gallery.portable import export_gallery, import_gallery
from edgeface.gallery.store import GalleryStore
from edgeface.inference.package import ModelPackage, load_package
from edgeface.service.snapshot_folder import SnapshotFolder
from edgeface.settings.loading import load_settings
from edgeface.settings.recognition import DecisionSettings
from edgeface.settings.tree import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface gallery`."""
    common = argparse.ArgumentParser(add_help=False)
    add_config(common)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    def action(
        name: str, text: str, act: Callable[[Settings, GalleryStore, argparse.Namespace], None]
    ) -> argparse.ArgumentParser:
        found = actions.add_parser(name, help=text, description=text, parents=[common])
        found.set_defaults(act=act)
        return found

    action("list", "list everyone", _list).add_argument("--json", action="store_true")
    details = action("show", "show people in detail", _show)
    details.add_argument("people", nargs="*", metavar="PERSON", help="id, or the whole name")
    details.add_argument("--card", help="show who has this card")
    details.add_argument("--json", action="store_true")
    change = action("set", "change what is known of people", _set)
    change.add_argument("people", nargs="+", metavar="PERSON", help="id, or the whole name")
    add_person_options(change)
    merge = action("merge", "make one of people who are the same", _merge)
    merge.add_argument("keep", metavar="KEEP", help="who stays: id, or the whole name")
    merge.add_argument("people", nargs="+", metavar="PERSON", help="whose templates KEEP gets")
    merge.add_argument("--force", action="store_true", help="though they do not look like one")
    remove = action("remove", "erase people and all their templates", _remove)
    remove.add_argument("people", nargs="+", metavar="PERSON", help="id, or the whole name")
    export = action("export", "write everyone into one file", _export)
    export.add_argument("file", type=output_file)
    way = export.add_mutually_exclusive_group()
    way.add_argument(
        "--key-file", type=Path, help="key of the export, made where absent; default: the gallery's"
    )
    way.add_argument("--plain", action="store_true", help="do not encrypt: templates are readable")
    take = action("import", "take over an export, all of it or nothing", _import)
    take.add_argument("file", type=Path)
    take.add_argument("--key-file", type=Path, help="key of the export; default: the gallery's")
    take.add_argument(
        "--replace", action="store_true", help="overwrite people who are here already"
    )
    take.add_argument("--name", help="display name of the only person in the file")
    take.add_argument("--force", action="store_true", help="take what looks odd")
    action("audit", "look for what is weak", _audit).add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Return 0; faults are raised."""
    settings = load_settings(args.config)
    if args.action in ("set", "merge", "remove", "import"):
        refuse_in_fleet_mode(settings)
    opened = existing_gallery
    if args.action == "import":
        opened = open_gallery
    elif not settings.gallery_file.exists():
        if args.action == "export":
            raise GalleryLookupError(f"{settings.gallery_file}: {NO_GALLERY}")
        warn(f"{settings.gallery_file}: {NO_GALLERY}")
    with opened(settings) as store:
        args.act(settings, store, args)
    return 0


def _list(_: Settings, store: GalleryStore, args: argparse.Namespace) -> None:
    rows = [_described(store, person_id) for person_id in store.ids()]
    if args.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    width = max((len(row["display_name"] or "-") for row in rows), default=0)
    for row in rows:
        templates = sum(row["templates"].values())
        print(
            f"{row['person_id']}  {row['display_name'] or '-':<{width}}  "
            f"{templates:>2} template{' ' if templates == 1 else 's'}  {row['validity']}"
        )
    print(f"{people(len(rows))}, revision {store.position().revision}", file=sys.stderr)


def _show(_: Settings, store: GalleryStore, args: argparse.Namespace) -> None:
    if not args.people and args.card is None:
        raise SettingsError("whom? An id, a whole name, or --card")
    ids = find_people(store, args.people, damaged=True)
    if args.card is not None:
        holders = [person.person_id for person in cards_in(store).get(plain_text(args.card), ())]
        if not holders:
            raise GalleryLookupError(f"card {args.card}: nobody in the gallery has it")
        ids += [person_id for person_id in holders if person_id not in ids]
    rows = [_described(store, person_id) for person_id in ids]
    if args.json:
        print(json.dumps(rows, indent=2, ensure_ascii=False))
        return
    for row in rows:
        print(row["person_id"])
        print(f"  name      {row['display_name'] or '-'}")
        print(f"  valid     {row['validity']}")
        print(f"  card      {row.get('card') or '-'}")
        print(f"  created   {show(row.get('created_s') or 0.0)}")
        for space, count in row["templates"].items():
            print(f"  templates {count} in space {space}")


def _set(_: Settings, store: GalleryStore, args: argparse.Namespace) -> None:
    changes = changes_of(args)
    ids = find_people(store, args.people)
    changed, warnings = set_people(store, ids, changes, force=args.force)
    for warning in warnings:
        warn(warning)
    for person in changed:
        print(described(person))


def _merge(settings: Settings, store: GalleryStore, args: argparse.Namespace) -> None:
    keep, *others = find_people(store, [args.keep, *args.people])
    if not others:
        raise GalleryError(f"{keep} is one person already: name another one as well")
    package = load_package(settings.models.embedder)
    bar = _bar(settings, package)
    merged = merge(store, keep, others, package.space_id, bar, force=args.force)
    print(
        f"{described(merged.person)}; {counted(merged.templates, 'template')}, {merged.left_out} "
        "left out"
    )
    for other in others:
        print(f"removed {other}")
    _forget(settings, others)


def _bar(settings: Settings, package: ModelPackage) -> Bar:
    rules = settings.decision
    return bar_for(package.calibration, rules.target_fpir, rules.max_looks)


def _forget(settings: Settings, removed: Sequence[str]) -> None:
    """Erase the device's pictures of them; a daemon that runs would do it as well."""
    folder = SnapshotFolder(settings.snapshots_folder)
    folder.forget(frozenset(removed).__contains__)
    if folder.trouble is not None:
        warn(f"{settings.snapshots_folder}: {folder.trouble}")


def _remove(settings: Settings, store: GalleryStore, args: argparse.Namespace) -> None:
    ids = find_people(store, args.people, damaged=True)
    with store.change() as change:
        for person_id in ids:
            change.remove(person_id)
    for person_id in ids:
        print(f"removed {person_id}")
    _forget(settings, ids)
    if store.erasure_pending:
        warn(
            "another process is reading the gallery, so the erased rows are still in its WAL "
            "file; the next change or start clears it"
        )


def _export(settings: Settings, store: GalleryStore, args: argparse.Namespace) -> None:
    key = None if args.plain else _transport_key(settings, args.key_file, create=True)
    space = load_package(settings.models.embedder).space_id
    report = export_gallery(store, space, args.file, key)
    for person_id in report.left_out:
        warn(f"{person_id} has no templates for the model in use; left out")
    kind = "NOT encrypted: keep it as you would keep a key" if args.plain else "encrypted"
    print(f"{args.file}: {people(report.people)}, {counted(report.templates, 'template')}, {kind}")


def _import(settings: Settings, store: GalleryStore, args: argparse.Namespace) -> None:
    key = _transport_key(settings, args.key_file, create=False)
    package = load_package(settings.models.embedder)
    space = package.space_id

    def check(arrived: set[str]) -> None:
        doubts = doubts_about(store, space, arrived, _bar(settings, package))
        if doubts and not args.force:
            raise GalleryError(
                f"{args.file}: {listed(doubts)}; nothing was imported, --force takes them all"
            )
        for doubt in doubts:
            warn(doubt)

    report = import_gallery(
        store, space, args.file, key, replace=args.replace, name=args.name, check=check
    )
    print(
        f"{args.file}: {people(report.added)} added, {report.replaced} replaced, "
        f"{counted(report.templates, 'template')}"
    )


def _transport_key(settings: Settings, key_file: Path | None, *, create: bool) -> bytes | None:
    if key_file is not None:
        if not create and not key_file.exists():
            raise NamedFileError(f"{key_file}: no such file; it is to hold the key of the export")
        return load_key(key_file, create=create)
    key = gallery_key(settings)
    if key is None and create:
        raise GalleryError("the gallery has no key (gallery.encrypt: false): --key-file or --plain")
    return key


def _audit(settings: Settings, store: GalleryStore, args: argparse.Namespace) -> None:
    report = audit_of(store, load_package(settings.models.embedder), settings.decision)
    if args.json:
        print(json.dumps(asdict(report), indent=2))
        return
    for line in audit_lines(report):
        print(line)


def audit_of(store: GalleryStore, package: ModelPackage, rules: DecisionSettings) -> Audit:
    """The audit of a gallery as it is now, for the model and the rules in use."""
    return audit(
        store,
        package.space_id,
        package.calibration,
        package.identification,
        target_fpir=rules.target_fpir,
        max_looks=rules.max_looks,
        now_s=time.time(),
    )


def audit_lines(report: Audit) -> Iterable[str]:
    """An audit in words."""
    yield f"{people(report.people)}, {counted(report.templates, 'template')} for the model in use"
    if report.threshold is not None:
        yield (
            f"an identification needs a score of {report.threshold.value:.3f}"
            + (" (extrapolated)" if report.threshold.extrapolated else "")
            + f"; the calibration supports up to {report.supported_templates} to compare with"
        )
    if report.expected is not None:
        yield (
            f"expected to be named at it: {_share(report.expected.still)} of the people by one"
            f" photograph, {_share(report.expected.track)} by a track at best"
            + (" (extrapolated)" if report.expected.extrapolated else "")
        )
    if report.closest is not None:
        yield f"the most alike: {_pair(report.closest)}"
    for pair in report.confusable:
        yield f"confusable, a door calls them ambiguous: {_pair(pair)}"
    for ids, text in (
        (report.disagreeing, "templates that do not look like one person's: two under one id?"),
        (report.without_templates, "not enrolled for the model in use, never recognized"),
        (report.damaged, "stored data damaged, not recognized: enroll or import again"),
        (report.expired, "validity has ended"),
        (report.one_template, "one template only, a second photo would help"),
    ):
        for person_id in ids:
            yield f"{person_id}: {text}"


def _share(share: float) -> str:
    return "over 99%" if share > 0.99 else f"{share:.0%}"


def _pair(pair: Confusable) -> str:
    return f"{pair.first} and {pair.second}, score {pair.score:z.3f}"


def _described(store: GalleryStore, person_id: str) -> dict[str, Any]:
    person = readable(store, person_id)
    row: dict[str, Any] = {"person_id": person_id, "display_name": None, "damaged": person is None}
    if person is not None:
        row |= person_to_mapping(person)
    row["validity"] = (
        "stored data DAMAGED"
        if person is None
        else show_window(person.valid_from_s, person.valid_to_s)
    )
    row["templates"] = store.spaces(person_id)
    return row
