"""What several verbs have in common: options, and the way of those that measure."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeface.settings.loading import DEFAULT_FILE


def add_config(parser: argparse.ArgumentParser) -> None:
    """`-c FILE`, the daemon's configuration."""
    parser.add_argument(
        "-c", "--config", type=Path, default=DEFAULT_FILE, metavar="FILE", help=f"{DEFAULT_FILE}"
    )


def add_models(parser: argparse.ArgumentParser) -> None:
    """`--detector` and `--embedder`, for what is measured on pictures."""
    parser.add_argument(
        "--detector",
        default="face_detector",
        metavar="PKG",
        help="model package, or yunet:FILE.onnx as a reference (default: the one that ships)",
    )
    parser.add_argument(
        "--embedder", default="facenet", metavar="PKG", help="model package (default: shipped)"
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """`--json`."""
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")


def add_kind(
    kinds: Any,
    name: str,
    text: str,
    measure: Callable[[argparse.Namespace], dict[str, Any]],
    show: Callable[[dict[str, Any]], None],
) -> argparse.ArgumentParser:
    """A kind of measurement: `measure` makes what `--json` prints, `show` says it in words."""
    kind: argparse.ArgumentParser = kinds.add_parser(name, help=text, description=text)
    kind.set_defaults(run=_run_kind, measure=measure, show=show)
    return kind


def _run_kind(args: argparse.Namespace) -> int:
    """Measure and print; the measurement's `status`, or 0."""
    measured: dict[str, Any] = args.measure(args)
    if args.json:
        print(json.dumps(measured))
    else:
        args.show(measured)
    status: int = measured.get("status", 0)
    return status


def at_least(least: int) -> Callable[[str], int]:
    """The type of an argument that is a number of things."""

    def count(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"at least {least}")
        return value

    return count
