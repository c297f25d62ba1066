"""The devices of a site: their pinned keys, and the folder of files that goes on each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeface.base.errors import GalleryLookupError, StateError
from edgeface.base.files import PRIVATE, PUBLIC, write_file
from edgeface.base.ids import check_id
from edgeface.fleet.admin.ledger import LedgerState
from edgeface.fleet.admin.site import (
    KeySet,
    SiteFolder,
    ensure_sealing_key,
    key_file,
    load_encryption_key,
    public_file,
)
from edgeface.fleet.protocol.floor import FLOOR_FILE
from edgeface.security.keys import SigningKey, VerifyingKey

FLEET_FOLDER: Final = "fleet"
"""Below the device's state folder: pinned keys, encryption keys and floor."""
SEALING_FILE: Final = "sealing.pub"
"""In that folder: to whom the device seals what it takes at the door."""
DROP_IN: Final = "30-device.yaml"


@dataclass(frozen=True, slots=True)
class Extras:
    """What a device may need besides."""

    public_key: Path | None = None
    """The device made its key itself, and this is its public half (PEM)."""
    certificate: Path | None = None
    """For the broker, with `certificate_key`."""
    certificate_key: Path | None = None
    state_dir: Path = Path("/var/lib/edgeface")
    """Of the device."""


def registered(folder: SiteFolder) -> dict[str, VerifyingKey]:
    """Device id -> pinned key. Raises StateError."""
    return {
        path.stem: VerifyingKey.of_device(path) for path in sorted(folder.devices.glob("*.pub"))
    }


def add_device(folder: SiteFolder, state: LedgerState, device: str, extras: Extras) -> Path:
    """Pin a device's key and write its bundle; returns the bundle's folder.

    Raises ContractError for an impossible id, StateError when there is such a device already or a
    file cannot be used.
    """
    check_id("device", device)
    pinned = folder.devices / f"{device}.pub"
    bundle = folder.bundles / device
    for place in (pinned, bundle):
        if place.exists():
            raise StateError(
                f"{place}: there already; `edgeface fleet device remove {device}` first"
            )
    key = None if extras.public_key is not None else SigningKey.generate()
    public = VerifyingKey.of_device(extras.public_key) if extras.public_key is not None else None
    own = [
        (name, f"mqtt-{name.removesuffix('_file')}.pem", _read(source), mode)
        for name, source, mode in (
            ("cert_file", extras.certificate, PUBLIC),
            ("key_file", extras.certificate_key, PRIVATE),
        )
        if source is not None
    ]
    if key is not None:
        public = key.public
        write_file(bundle / "state" / "device.key", key.pem(), PRIVATE)
        write_file(bundle / "state" / "device.key.pub", key.public.pem(), PUBLIC)
    assert public is not None
    # Quoted: an id may be made of digits, and a path of anything.
    lines = [
        f"site: {_quoted(folder.site)}",
        f"device: {_quoted(device)}",
        "gallery:",
        "  source: fleet",
        "commands:",
        f"  administrator_key_file: {_quoted(extras.state_dir / FLEET_FOLDER / SEALING_FILE)}",
        *(["mqtt:"] if own else []),
    ]
    for name, target, content, mode in own:
        write_file(bundle / "state" / target, content, mode)
        lines.append(f"  {name}: {_quoted(extras.state_dir / target)}")
    write_file(bundle / "conf.d" / DROP_IN, "\n".join([*lines, ""]).encode(), PUBLIC)
    write_fleet_folder(folder, state, device, state.all_keys)
    write_file(bundle / "README.txt", _readme(device, extras.state_dir).encode(), PUBLIC)
    # Last: a device counts as registered only when its bundle is whole.
    write_file(pinned, public.pem(), PUBLIC)
    return bundle


def remove_device(folder: SiteFolder, device: str) -> None:
    """Unpin a device and delete its bundle, also one that `add_device` did not get to finish.
    Nobody waits for its receipts any more.

    Raises ContractError for an impossible id, GalleryLookupError when there is no such
    device, StateError when the bundle, which has keys in it, cannot be deleted.
    """
    check_id("device", device)
    pinned = folder.devices / f"{device}.pub"
    bundle = folder.bundles / device
    if not pinned.is_file() and not bundle.exists():
        raise GalleryLookupError(f"{device}: no such device is registered")
    try:
        if bundle.exists():
            shutil.rmtree(bundle)
        pinned.unlink(missing_ok=True)
    except OSError as error:
        raise StateError(f"{error.filename}: cannot be deleted: {error.strerror}") from error


def write_fleet_folder(
    folder: SiteFolder, state: LedgerState, device: str, keys: Iterable[KeySet]
) -> None:
    """The part of a bundle that changes when keys are rotated: keys and floor.

    An existing one is replaced: `keys` are all that the device is to accept.
    """
    target = folder.bundles / device / "state" / FLEET_FOLDER
    wanted: dict[str, tuple[bytes, int]] = {
        FLOOR_FILE: (state.floor.to_json(), PUBLIC),
        SEALING_FILE: (ensure_sealing_key(folder.sealing_key), PUBLIC),
    }
    for item in keys:
        public = VerifyingKey.load(public_file(folder.keys, item.signing))
        wanted[public_file(target, item.signing).name] = (public.pem(), PUBLIC)
        cipher = load_encryption_key(folder.keys, item.encryption).hex().encode() + b"\n"
        wanted[key_file(target, "encryption", item.encryption).name] = (cipher, PRIVATE)
    for name, (content, mode) in wanted.items():
        write_file(target / name, content, mode, replace=True)
    for path in target.iterdir():
        if path.name not in wanted:
            path.unlink()


def _quoted(text: object) -> str:
    """As a text of YAML, which JSON's are."""
    return json.dumps(str(text), ensure_ascii=False)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StateError(f"{path}: cannot read: {error.strerror}") from error


def _readme(device: str, state_dir: Path) -> str:
    return (
        f"What goes on the device {device}, over a channel that nobody else can read:\n\n"
        f"  conf.d/{DROP_IN:<17} to /etc/edgeface/conf.d/\n"
        f"  state/*                  to {state_dir}/, readable by the service alone\n\n"
        "The folder state/fleet replaces the one on the device whole; when keys are rotated it is\n"
        "written anew and copied again, and `systemctl reload edgeface` takes it. Delete this\n"
        "folder once the device has it.\n"
    )
