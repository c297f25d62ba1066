"""Check or show a configuration, or print the JSON Schema of one.

check   every fault of the file and its drop-ins, one per line; exit code 2 when there is one
show    the whole configuration as YAML, defaults filled in and paths absolute
schema  the JSON Schema of a file, for an editor's completion
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from edgeface.settings.loading import DEFAULT_FILE, dump_settings, load_settings
from edgeface.settings.schema import settings_schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface config`."""
    parser.add_argument("action", choices=("check", "show", "schema"))
    parser.add_argument("file", nargs="?", type=Path, help=f"the file; default: {DEFAULT_FILE}")
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="the same as FILE")


def run(args: argparse.Namespace) -> int:
    """Return 0; faults are raised as `SettingsError`."""
    if args.action == "schema":
        print(json.dumps(settings_schema(), indent=2))
        return 0
    file: Path = args.file or args.config or DEFAULT_FILE
    settings = load_settings(file)
    if args.action == "show":
        print(dump_settings(settings), end="")
    else:
        print(f"{file}: good, for device {settings.device} of site {settings.site}")
    return 0
