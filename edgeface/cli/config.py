"""Check or show a configuration, or print the JSON Schema of one.

check   every fault of the file and its drop-ins, one per line, and a model in the place of another;
        exit code 2 when there is one
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
from edgeface.base.errors import ModelError, SettingsError
from edgeface.cli.plain import warn
from edgeface.settings.faults import settings_error
from edgeface.settings.fleet import load_fleet
from edgeface.settings.loading import DEFAULT_FILE, dump_settings, load_settings
from edgeface.settings.places import shipped_models
from edgeface.settings.tree import Settings, settings_schema


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
    if args.action == "check":
        _require({f"{file}: {fault}" for fault in _misplaced(settings)})
    if args.action == "show":
        print(dump_settings(settings), end="")
    else:
        print(f"{file}: good, for device {settings.device} of site {settings.site}")
    return 0


def _all(folder: Path) -> int:
    fleet = load_fleet(folder)
    misplaced: set[str] = set()
    for device in fleet.devices:
        settings, count = device.settings, len(device.faults)
        wrong = set() if settings is None else _misplaced(settings)
        misplaced |= {f"{device.path}: {fault}" for fault in wrong}
        if settings is None or wrong:
            print(f"{device.path}: {counted(count + len(wrong), 'fault')}")
        else:
            print(f"{device.path}: good, for device {settings.device} of site {settings.site}")
    sys.stdout.flush()
    for warning in fleet.warnings:
        warn(str(warning))
    if fleet.faults:
        raise settings_error(fleet.faults)
    _require(misplaced)
    return 0


def _misplaced(settings: Settings) -> set[str]:
    """The models that cannot do what they are named for, of those that are on this machine."""
    from edgeface.inference.package import load_package

    models, wrong = settings.models, set[str]()
    for key, folder, task in (
        ("models.detector", models.detector, "face-detection"),
        ("models.embedder", models.embedder, "face-embedding"),
        ("models.next_embedder", models.next_embedder, "face-embedding"),
        ("pad.model", settings.pad.model, "attack-detection"),
    ):
        known = folder is not None and (folder.is_dir() or folder.parent == shipped_models())
        if folder is None or not known:
            continue
        try:
            found: str = load_package(folder).description.task
        except ModelError as error:
            wrong.add(f"{key}: {error}")
        else:
            if found != task:
                way_out = f"name one for {task}, see `edgeface models list`"
                wrong.add(f"{key}: {folder.name} is for {found}; {way_out}")
    return wrong


def _require(wrong: set[str]) -> None:
    if wrong:
        raise SettingsError("\n".join(sorted(wrong)))


def _show_device(folder: Path, device: str) -> int:
    found = load_fleet(folder).device(device)
    if found.settings is None:
        raise settings_error(found.faults)
    print(dump_settings(found.settings), end="")
    return 0
