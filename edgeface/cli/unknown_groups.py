"""Groups strangers of whom there are pictures by likeness: `edgeface events unknown --cluster`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeface.base.counting import counted
from edgeface.base.errors import EvaluationError, SettingsError
from edgeface.base.ids import time_of_event
from edgeface.cli.broker_options import keys_given, place_of
from edgeface.cli.common import run_measurement, write_private
from edgeface.cli.embed import name_troubles
from edgeface.cli.event_pictures import EventPictures, asked_of, kept_in
from edgeface.cli.group_sheet import MOST_DRAWN, FaceGroup, draw_groups, spanned
from edgeface.cli.plain import plain
from edgeface.contract.codec import format_time
from edgeface.contract.event import Event
from edgeface.contract.topics import Topics
from edgeface.evaluation.similarity import grouped
from edgeface.evaluation.stills import StillFace, each_picture
from edgeface.fleet.admin.site import SiteFolder
from edgeface.gallery.gate import on_cpu
from edgeface.gallery.key_file import load_key
from edgeface.gallery.likeness import Lookalike, bar_for, find_lookalikes
from edgeface.gallery.opening import build_index, existing_gallery
from edgeface.gallery.store import GalleryStore
from edgeface.inference.package import ModelPackage
from edgeface.mqtt.caller import Caller
from edgeface.recognition.thresholds import COMPARISON_FMR
from edgeface.security.keys import VerifyingKey
from edgeface.security.sealing import AdministratorSecret
from edgeface.service.snapshot_folder import SnapshotFolder
from edgeface.settings.loading import load_settings
from edgeface.settings.tree import Settings

WORD: Final = "unknown"
"""What stands before the files, or in their place."""
_Known: TypeAlias = Callable[[NDArray[np.float32]], tuple[Lookalike, ...]]
"""Who is enrolled and looks like one of embeddings `(k, d)`, nearest first."""


@dataclass(frozen=True, slots=True)
class _Found:
    """What there is to be looked at."""

    pictures: EventPictures
    event_ids: Sequence[str]


def show_groups(args: argparse.Namespace, events: Callable[[Sequence[str]], list[Event]]) -> int:
    """Group, and print by `--json` or in words. `events` reads files of recorded events."""
    _check(args)
    args.measure, args.show = lambda given: _measure(given, events), _show
    return run_measurement(args)


def _check(args: argparse.Namespace) -> None:
    if args.files[:1] != [WORD]:
        raise SettingsError(
            "--cluster groups strangers by their pictures: edgeface events unknown --cluster"
        )
    if args.follow or args.csv or args.person or args.outcome:
        raise SettingsError("--follow, --csv, --person and --outcome do not go with --cluster")
    if args.open_with is None:
        raise SettingsError(
            "--open-with KEY: pictures are sealed to the administrator, and the private half of "
            "the device's commands.administrator_key_file opens them"
        )
    if args.config is None:
        raise SettingsError("-c FILE: the device's configuration, with its models and its folder")
    if args.files[1:] and (args.device is None or args.key is None):
        raise SettingsError(
            "the pictures of recorded events are asked of their device: which one (--device ID), "
            "and with which public key does it sign (--key FILE)?"
        )


def _measure(
    args: argparse.Namespace, events: Callable[[Sequence[str]], list[Event]]
) -> dict[str, Any]:
    settings = load_settings(args.config)
    with keys_given():
        secret = AdministratorSecret.load(args.open_with)
    detector, embedder = on_cpu(settings.models, settings.detection)
    way = _recorded(args, secret, events) if args.files[1:] else _kept(args, settings, secret)
    with way as found:
        pictures = list(each_picture(found.pictures, found.event_ids, detector, embedder))
    faces = {one.name: one.face for one in pictures if one.face is not None}
    troubles = [one.trouble for one in pictures if one.trouble is not None]
    if pictures and not faces:
        count = counted(len(pictures), "picture")
        raise EvaluationError("\n".join([f"no face in {count}", *troubles[:3]]))
    threshold = embedder.package.calibration.threshold_for(COMPARISON_FMR)
    groups, known = _groups(faces, threshold.value, _known(args, settings, embedder.package))
    if args.out is not None:
        write_private(args.out, draw_groups([group for _, group in groups]))
    return {
        "pictures": len(pictures),
        "threshold": threshold.value,
        "fmr": COMPARISON_FMR,
        "groups": [mapping for mapping, _ in groups],
        "enrolled": known,
        "troubles": troubles,
        "left_out_of_sheet": max(0, len(groups) - MOST_DRAWN) if args.out else None,
    }


def _known(args: argparse.Namespace, settings: Settings, package: ModelPackage) -> _Known:
    """The gallery of the site's folder, or of the configuration where it is on this machine."""
    rules, folder = settings.decision, None
    if args.site_dir is not None:
        folder = SiteFolder.open(args.site_dir)
        rules = folder.settings.decision
    opened = (
        existing_gallery(settings)
        if folder is None
        else GalleryStore(folder.gallery_file, load_key(folder.gallery_key, create=False))
    )
    with opened as store:
        index = build_index(store, package.space_id)
    bar = bar_for(package.calibration, rules.target_fpir, rules.max_looks)
    least = bar.lookalike(max(1, len(index.compared)))
    return lambda embeddings: find_lookalikes(embeddings, index, least)


def _groups(
    faces: dict[str, StillFace], least: float, known: _Known
) -> tuple[list[tuple[dict[str, Any], FaceGroup]], list[dict[str, Any]]]:
    """Each group for `--json` and for the sheet, the largest first; and those of people who are
    enrolled by now."""
    if not faces:
        return [], []
    names = sorted(faces)
    rows = np.stack([faces[name].embedding for name in names])
    cosines = np.clip(rows @ rows.T, -1, 1).astype(np.float32)
    groups, enrolled = [], []
    for places in grouped(cosines, least):
        ids = sorted(names[place] for place in places)
        if alike := known(rows[places]):
            who = {name: getattr(alike[0], name) for name in ("person_id", "display_name", "score")}
            enrolled.append(who | {"events": ids})
            continue
        best = max(ids, key=lambda event_id: faces[event_id].quality.weight)
        first, last = _when(ids[0]), _when(ids[-1])
        mapping = {
            "count": len(ids),
            "first": format_time(first),
            "last": format_time(last),
            "best": best,
            "events": ids,
        }
        crops = tuple(faces[event_id].crop for event_id in ids)
        groups.append((mapping, FaceGroup(crops, first, last)))
    return groups, enrolled


def _when(event_id: str) -> datetime:
    return datetime.fromtimestamp(time_of_event(event_id), UTC)


@contextmanager
def _kept(
    args: argparse.Namespace, settings: Settings, secret: AdministratorSecret
) -> Iterator[_Found]:
    """In the folder of this device."""
    folder = SnapshotFolder(settings.snapshots_folder)
    pictures = EventPictures(settings.site, settings.device, secret, kept_in(settings, folder))
    yield _Found(pictures, _of_the_time(args, folder.of(WORD)))


@contextmanager
def _recorded(
    args: argparse.Namespace,
    secret: AdministratorSecret,
    events: Callable[[Sequence[str]], list[Event]],
) -> Iterator[_Found]:
    """Asked of the device that has sent the recorded events."""
    place = place_of(args)
    site = args.site or place.site
    topics = Topics(str(site), args.device)
    with keys_given():
        key = VerifyingKey.of_device(args.key)
    wanted = [
        event.event_id
        for event in events(args.files[1:])
        if event.event_type == WORD and (event.site, event.device) == (site, args.device)
    ]
    with Caller(place.options, topics, place.client) as caller:
        pictures = EventPictures(topics.site, topics.device, secret, asked_of(caller, key))
        yield _Found(pictures, _of_the_time(args, wanted))


def _of_the_time(args: argparse.Namespace, event_ids: Sequence[str]) -> list[str]:
    return [
        event_id
        for event_id in dict.fromkeys(event_ids)
        if (args.since is None or time_of_event(event_id) >= args.since)
        and (args.until is None or time_of_event(event_id) < args.until)
    ]


def _show(found: dict[str, Any]) -> None:
    known = sum(len(one["events"]) for one in found["enrolled"])
    print(
        f"{counted(found['pictures'] - known, 'picture')} of strangers in "
        f"{counted(len(found['groups']), 'group')}: one face from a mean cosine of "
        f"{found['threshold']:.3f}"
    )
    for number, group in enumerate(found["groups"], 1):
        times = spanned(group["first"], group["last"])
        print(f"{number:3d}  {counted(group['count'], 'time')}, {times}")
        for event_id in group["events"]:
            print(f"     {event_id}{'  best picture' if event_id == group['best'] else ''}")
    for one in found["enrolled"]:
        who = f"{plain(one['display_name'] or 'nameless')} ({one['person_id']})"
        count = counted(len(one["events"]), "picture")
        print(f"left out: {count} of {who}, who is enrolled by now")
    name_troubles(found["troubles"])
    if found["left_out_of_sheet"]:
        print(f"{counted(found['left_out_of_sheet'], 'smaller group')} left out of the sheet")
