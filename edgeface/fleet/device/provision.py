"""What a device was set up with for its fleet: the keys that it trusts, and the floor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeface.fleet.protocol.floor import FLOOR_FILE, Floor
from edgeface.fleet.protocol.keyring import KeyRing


@dataclass(frozen=True, slots=True, eq=False)
class Provision:
    """As the files are at one moment."""

    ring: KeyRing
    floor: Floor
    """The higher one of the folder's and the device's own; the lowest where there is no file."""
    own_floor: Path
    """Where the device keeps the newest manifest known: it outlives the gallery."""


def load_provision(folder: Path, own_floor: Path) -> Provision:
    """What `edgeface fleet device add` put into `folder`, and the floor that the device keeps.

    Raises StateError or GalleryError, as `KeyRing.load` does, and StateError for a floor that
    cannot be read: to go on without it would take any older gallery.
    """
    ring, floors = KeyRing.load(folder), [Floor()]
    floors += [Floor.load(path) for path in (own_floor, folder / FLOOR_FILE) if path.exists()]
    return Provision(ring, max(floors, key=lambda floor: floor.version), own_floor)
