"""`bench fleet` and `bench sync`: what one broker bears of a site of a thousand doors, and how fast
a gallery reaches its devices."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeface.cli.bench_tables import show_sync
from edgeface.cli.common import add_json, add_kind, at_least, between, output_folder

_TEXT = """\
One mosquitto, one administrator and many devices, each with a gallery file, a replica and a
connection of its own, many a process, all on this machine: connecting at once, an enrollment and an
erasure, a restart of the broker, and a rush of events to two collectors in a shared subscription.
All devices but one begin with the files of one that has followed. The status is 1 when an event is
lost or a device's digest is not the administrator's."""
_SYNC = """\
One mosquitto with its default limits, one administrator and many devices, each a process with a
gallery of its own, all on this machine. The status is 1 when the digest of a device differs from
the administrator's at the end, whatever the times are."""


def add_fleet(kinds: Any) -> None:
    """Add the arguments to the subparsers of `bench`."""
    parser = add_kind(
        kinds, "fleet", "a thousand devices on one broker: restarts, changes, events", _fleet, _show
    )
    parser.description = _TEXT
    parser.add_argument(
        "--devices",
        type=at_least(1),
        default=1000,
        metavar="N",
        help="on the broker (default 1000)",
    )
    parser.add_argument(
        "--people",
        type=at_least(1),
        default=1000,
        metavar="N",
        help="in the gallery (default 1000)",
    )
    parser.add_argument(
        "--fps", type=between(0.01, 100), default=2.0, help="events a second of each (default 2)"
    )
    parser.add_argument("--seconds", type=between(0.1), default=30.0, help="of events (default 30)")
    parser.add_argument(
        "--folder",
        type=output_folder,
        metavar="DIR",
        help="where everything lies meanwhile (default: the system's temporary folder)",
    )
    add_json(parser)


def add_sync(kinds: Any) -> None:
    """Add the arguments to the subparsers of `bench`."""
    parser = add_kind(
        kinds,
        "sync",
        "how fast enrollments and erasures reach a fleet of devices, and what it costs them",
        _sync,
        show_sync,
    )
    parser.description = _SYNC
    parser.add_argument(
        "--devices", type=at_least(1), default=50, metavar="N", help="that follow (default 50)"
    )
    parser.add_argument(
        "--people",
        type=at_least(1),
        default=2000,
        metavar="N",
        help="in the gallery (default 2000)",
    )
    parser.add_argument(
        "--templates",
        type=at_least(1),
        default=2,
        metavar="N",
        help="of each person (default 2)",
    )
    parser.add_argument(
        "--changes",
        type=at_least(0),
        default=40,
        metavar="N",
        help="people who change while the devices are off (default 40)",
    )
    parser.add_argument(
        "--while-recognizing",
        action="store_true",
        help="instead: frame times of one device before, during and after a full sync of --people",
    )
    parser.add_argument(
        "--seconds",
        type=between(0.1),
        default=15.0,
        help="of frames before the sync (default 15)",
    )
    parser.add_argument(
        "--fps", type=between(1, 240), default=10.0, help="of the frames (default 10)"
    )
    parser.add_argument(
        "--folder",
        type=output_folder,
        metavar="DIR",
        help="where files are made; default: temporary",
    )
    add_json(parser)


def _say(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)


def _fleet(args: argparse.Namespace) -> dict[str, Any]:
    from edgeface.bench.fleet_bench import bench_fleet
    from edgeface.bench.fleet_host import Rush

    with tempfile.TemporaryDirectory(prefix="edgeface-", dir=args.folder) as name:
        result = bench_fleet(
            Path(name),
            devices=args.devices,
            people=args.people,
            rush=Rush(args.fps, args.seconds),
            say=_say,
        )
    return asdict(result) | {"status": int(bool(result.wrong or result.lost))}


def _show(measured: dict[str, Any]) -> None:
    print(
        f"{measured['devices']} devices, {measured['people']} people, {measured['cores']} cores"
        f" for all (load {measured['load_before']:.1f} before)"
    )
    print(f"{'seconds':<42}{'p50':>9}{'p99':>9}{'most':>9}")
    for key, name in (
        ("connected_s", "all connecting at once"),
        ("enrollment_s", "an enrollment, until it serves"),
        ("erasure_s", "an erasure, until it serves"),
        ("receipt_s", "an erasure, until it is off the files"),
        ("again_s", "connected again after the broker's restart"),
        ("event_s", "an event, until a collector has it"),
    ):
        row = measured[key]
        print(f"{name:<42}{row['p50']:>9.3f}{row['p99']:>9.3f}{row['most']:>9.3f}")
    print(
        f"{measured['events']} events, {measured['events_per_s']:.0f} a second;"
        f" {measured['lost']} lost, {measured['twice']} twice; the broker took"
        f" {measured['broker_cpu']:.0%} of a core and {measured['broker_mib']:.0f} MiB"
    )
    print(
        f"a device: {measured['device_mib']:.1f} MiB resident, many a process, and"
        f" {measured['device_disk_mib']:.1f} MiB on disk"
    )
    if measured["wrong"]:
        print(f"{len(measured['wrong'])} with another digest: {', '.join(measured['wrong'][:5])}")


def _sync(args: argparse.Namespace) -> dict[str, Any]:
    """Run it; the mapping has `status`, the exit code."""
    measure = _recognizing if args.while_recognizing else _following
    with tempfile.TemporaryDirectory(prefix="edgeface-", dir=args.folder) as name:
        return measure(args, Path(name))


def _following(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from edgeface.bench.sync_bench import bench_sync

    result = bench_sync(
        folder,
        devices=args.devices,
        people=args.people,
        templates=args.templates,
        changes=min(args.changes, args.people),
        say=_say,
    )
    return asdict(result) | {"status": 1 if result.wrong else 0}


def _recognizing(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from edgeface.bench.sync_recognizing import bench_recognizing

    result = bench_recognizing(
        folder,
        people=args.people,
        templates=args.templates,
        before_s=args.seconds,
        fps=args.fps,
        say=_say,
    )
    return result | {"status": 1 if result["wrong"] else 0}
