"""`edgeface bench sync`: one gallery for a fleet, measured on a private mosquitto."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeface.cli.common import add_json, add_kind, at_least

DESCRIPTION = """\
One mosquitto with its default limits, one administrator and many devices, each a process with a
gallery of its own, all on this machine. The status is 1 when the digest of a device differs from
the administrator's at the end, whatever the times are."""


def add_sync(kinds: Any) -> None:
    """Add the arguments to the subparsers of `bench`."""
    parser = add_kind(
        kinds,
        "sync",
        "how fast enrolments and erasures reach a fleet of devices, and what it costs them",
        measure,
        _print,
    )
    parser.description = DESCRIPTION
    parser.add_argument("--devices", type=at_least(1), default=50, metavar="N", help="default 50")
    parser.add_argument(
        "--people", type=at_least(1), default=2000, metavar="N", help="default 2000"
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
        type=int,
        default=40,
        metavar="N",
        help="people who change while the devices are off (default 40)",
    )
    parser.add_argument(
        "--while-recognising",
        action="store_true",
        help="instead: frame times of one device before, during and after a full sync of --people",
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="of frames before the sync")
    parser.add_argument("--fps", type=float, default=10.0, help="of the frames (default 10)")
    parser.add_argument("--folder", metavar="DIR", help="where files are made; default: temporary")
    add_json(parser)


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Run it; the mapping has `status`, the exit code."""
    with tempfile.TemporaryDirectory(prefix="edgeface-", dir=args.folder) as name:
        return _recognising(args, Path(name)) if args.while_recognising else _fleet(args, name)


def _say(text: str) -> None:
    print(f"... {text}", file=sys.stderr, flush=True)


def _fleet(args: argparse.Namespace, folder: str) -> dict[str, Any]:
    from edgeface.bench.sync_bench import bench_sync

    result = bench_sync(
        Path(folder),
        devices=args.devices,
        people=args.people,
        templates=args.templates,
        changes=min(args.changes, args.people),
        say=_say,
    )
    return asdict(result) | {"status": 1 if result.wrong else 0}


def _recognising(args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from edgeface.bench.sync_recognising import bench_recognising

    result = bench_recognising(
        folder,
        people=args.people,
        templates=args.templates,
        before_s=args.seconds,
        fps=args.fps,
        say=_say,
    )
    return result | {"status": 1 if result["wrong"] else 0}


def _print(found: dict[str, Any]) -> None:
    for name, value in found.items():
        if isinstance(value, dict):
            value = "  ".join(f"{key} {item:.3f}" for key, item in value.items())
        elif isinstance(value, float):
            value = f"{value:.3f}"
        elif isinstance(value, list):
            value = ", ".join(map(str, value)) or "none"
        print(f"{name:<24}{value}")
