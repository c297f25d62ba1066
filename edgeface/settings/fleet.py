"""The configurations of all devices of a site: one file that they share, and one for each.

    FOLDER/site.yaml            what all devices have in common
    FOLDER/devices/<id>.yaml    what is the device's own, its id at the least

On a device both are drop-ins (`conf.d/20-site.yaml`, `conf.d/30-device.yaml`). They are checked
here as they will hold there, each device by itself and all of them against each other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from edgeface.base.errors import SettingsError
from edgeface.settings.faults import Fault, Keys, Mark, dotted
from edgeface.settings.loading import DEFAULT_FILE, DROP_INS, merge
from edgeface.settings.tree import Settings
from edgeface.settings.yaml_file import YamlFile, read_yaml

SITE_FILE: Final = "site.yaml"
DEVICES_FOLDER: Final = "devices"
DROP_IN_FOLDER: Final = DEFAULT_FILE.parent / DROP_INS
"""Where the files lie on a device: relative paths in them start there."""

_ALIKE: Final[tuple[tuple[Keys, Callable[[Settings], str], str], ...]] = (
    (
        ("models", "embedder"),
        lambda settings: settings.models.embedder.name,
        "it recognizes only people who are enrolled for that model",
    ),
    (
        ("gallery", "source"),
        lambda settings: settings.gallery.source,
        "what is enrolled or erased for the fleet reaches only devices that follow it",
    ),
    (("mqtt", "host"), lambda settings: settings.mqtt.host, "is it the same broker?"),
)
"""What devices of a site normally have in common, and what it means when one differs."""


@dataclass(frozen=True)
class DeviceFile:
    """One device's file, merged over the site's."""

    path: Path
    settings: Settings | None
    """None when it has faults."""
    faults: tuple[Fault, ...]
    marks: dict[Keys, Mark] = field(repr=False)
    """The place of each key path that holds, in either file."""


@dataclass(frozen=True)
class FleetFiles:
    """A site's devices, in the order of their files' names."""

    folder: Path
    devices: tuple[DeviceFile, ...]
    faults: tuple[Fault, ...]
    """Of the site and all devices; one of the site's file counts once."""
    warnings: tuple[Fault, ...]
    """What may be meant so; only devices without faults are compared."""

    def device(self, device: str) -> DeviceFile:
        """The file of `device`. Raises SettingsError."""
        for found in self.devices:
            if found.path.stem == device:
                return found
        known = ", ".join(found.path.stem for found in self.devices)
        raise SettingsError(f"{self.folder}: has no device {device}, only {known}")


def load_fleet(folder: Path) -> FleetFiles:
    """Read and check everything in `folder`.

    Faults are whatever `load_settings` would refuse on the device, a `device` that is missing, is
    not the file's name or stands in two files, and another `site` than that of `site.yaml`.
    Warnings are another embedder, gallery source or broker than most devices have, and a user name
    at the broker that two devices share. Raises SettingsError when there is no `site.yaml` or no
    device.
    """
    site_path = folder / SITE_FILE
    if not site_path.is_file():
        raise SettingsError(f"{site_path}: is missing; it says what all devices of the site share")
    site = read_yaml(site_path, 0, DROP_IN_FOLDER)
    found = sorted(path for path in (folder / DEVICES_FOLDER).glob("*") if path.name[0] != ".")
    paths = [path for path in found if path.suffix == ".yaml"]
    if not paths:
        raise SettingsError(f"{folder / DEVICES_FOLDER}: has no file of a device, ID.yaml")
    files = [read_yaml(path, order, DROP_IN_FOLDER) for order, path in enumerate(paths, 1)]
    devices = [_device(file, files[:number], site) for number, file in enumerate(files)]
    faults = [fault for device in devices for fault in device.faults] + _site_faults(site)
    for path in found:
        if path not in paths:
            mark = Mark(len(found), 1, 1, path)
            faults.append(Fault(mark, "", "is not read; a device's file is named ID.yaml"))
    good = [(device, device.settings) for device in devices if device.settings is not None]
    warnings = {*_differences(good), *_shared_users(good)}
    return FleetFiles(folder, tuple(devices), tuple(sorted(set(faults))), tuple(sorted(warnings)))


def _device(file: YamlFile, before: Sequence[YamlFile], site: YamlFile) -> DeviceFile:
    settings, found, marks = merge([site, file])
    # What is missing from both files is told of the device's, where it is sure to be missing.
    faults = {
        replace(fault, mark=file.marks[()]) if fault.message.startswith("is missing") else fault
        for fault in (*found, *_own_faults(file, site))
    }
    for other in before:
        if "device" in file.values and file.values["device"] == other.values.get("device"):
            first = other.marks["device",]
            text = f"{file.values['device']} is given twice, first in {first.file}:{first.line}"
            faults.add(Fault(file.marks["device",], "device", text))
            break
    return DeviceFile(file.path, None if faults else settings, tuple(sorted(faults)), marks)


def _own_faults(file: YamlFile, site: YamlFile) -> Iterator[Fault]:
    if file.broken:
        return
    device = file.values.get("device")
    if device is None:
        yield Fault(file.marks[()], "device", "is missing")
    elif device != file.path.stem:
        text = f"is {device}, but the file is named {file.path.name}"
        yield Fault(file.marks["device",], "device", text)
    known = site.values.get("site")
    if known is not None and file.values.get("site", known) != known:
        text = f"is {file.values['site']}, but {site.path} says {known}"
        yield Fault(file.marks["site",], "site", text)


def _site_faults(site: YamlFile) -> list[Fault]:
    faults = list(site.faults)
    if not site.broken and "site" not in site.values:
        faults.append(Fault(site.marks[()], "site", "is missing"))
    if "device" in site.values:
        text = f"belongs in {DEVICES_FOLDER}/ID.yaml: every device has its own"
        faults.append(Fault(site.marks["device",], "device", text))
    return faults


def _differences(devices: Sequence[tuple[DeviceFile, Settings]]) -> Iterator[Fault]:
    for keys, value_of, meaning in _ALIKE:
        values = [value_of(settings) for _, settings in devices]
        # Of two that are as frequent, the one that the site's file or the default says.
        own = [keys in file.marks and file.marks[keys].file == file.path for file, _ in devices]
        counts = Counter(values)
        usual = max(
            zip(values, own, strict=True),
            key=lambda value: (counts[value[0]], not value[1]),
            default=("", False),
        )[0]
        for (file, _), value in zip(devices, values, strict=True):
            if value != usual:
                mark = file.marks.get(keys) or Mark(
                    file.marks["device",].file_order, 1, 1, file.path
                )
                yield Fault(mark, dotted(keys), f"{value}, where others have {usual}: {meaning}")


def _shared_users(devices: Sequence[tuple[DeviceFile, Settings]]) -> Iterator[Fault]:
    first: dict[str, str] = {}
    keys: Keys = ("mqtt", "username")
    for file, settings in devices:
        name = settings.mqtt.username
        if name is None:
            continue
        if name in first:
            text = f"{name} is shared by {first[name]} and {settings.device}"
            meaning = "the broker's access list lets a user write for one device"
            yield Fault(file.marks[keys], dotted(keys), f"{text}; {meaning}")
        first.setdefault(name, settings.device)
