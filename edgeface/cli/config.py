"""Check or show a configuration, or print the JSON Schema of one.

check   every fault of the file and its drop-ins, one per line; exit code 2 when there is one
show    the whole configuration as YAML, defaults filled in and paths absolute
schema  the JSON Schema of a file, for an editor's completion

With --all FOLDER it is about all devices of a site: FOLDER/site.yaml is what they share,
FOLDER/devices/ID.yaml what is each one's own, and on a device both are drop-ins. `check` also
compares the devices with each other; `show` needs --device ID and shows what will hold there.

examples:
  edgeface config check
  edgeface config check --all config/fleet
  edgeface config show --all config/fleet --device entrance
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from edgeface.base.counting import counted
from edgeface.base.errors import SettingsError
from edgeface.cli.plain import warn
from edgeface.settings.faults import settings_error
from edgeface.settings.fleet import load_fleet
from edgeface.settings.loading import DEFAULT_FILE, dump_settings, load_settings
from edgeface.settings.tree import settings_schema


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `edgeface config`."""
    parser.add_argument("action", choices=("check", "show", "schema"))
    parser.add_argument("file", nargs="?", type=Path, help=f"the file; default: {DEFAULT_FILE}")
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="the same as FILE")
    parser.add_argument("--all", type=Path, metavar="FOLDER", help="all devices of a site instead")
    parser.add_argument("--device", metavar="ID", help="with show --all: which one")


def run(args: argparse.Namespace) -> int:
    """Return 0; faults are raised as `SettingsError`."""
    if args.action == "schema":
        print(json.dumps(settings_schema(), indent=2))
        return 0
    if (args.device is not None) != (args.all is not None and args.action == "show"):
        raise SettingsError("--device ID and show --all FOLDER belong together")
    if args.all is not None:
        if args.file or args.config:
            raise SettingsError("--all checks the files of a folder, not a FILE")
        return _all(args.all) if args.device is None else _show_device(args.all, args.device)
    file: Path = args.file or args.config or DEFAULT_FILE
    settings = load_settings(file)
    if args.action == "show":
        print(dump_settings(settings), end="")
    else:
        print(f"{file}: good, for device {settings.device} of site {settings.site}")
    return 0


def _all(folder: Path) -> int:
    fleet = load_fleet(folder)
    for device in fleet.devices:
        settings, count = device.settings, len(device.faults)
        if settings is None:
            print(f"{device.path}: {counted(count, 'fault')}")
        else:
            print(f"{device.path}: good, for device {settings.device} of site {settings.site}")
    sys.stdout.flush()
    for warning in fleet.warnings:
        warn(str(warning))
    if fleet.faults:
        raise settings_error(fleet.faults)
    return 0


def _show_device(folder: Path, device: str) -> int:
    found = load_fleet(folder).device(device)
    if found.settings is None:
        raise settings_error(found.faults)
    print(dump_settings(found.settings), end="")
    return 0
