"""What a device was set up with for its fleet: the keys that it trusts, and the floor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeface.fleet.device.floor_file import FloorFile
from edgeface.fleet.protocol.floor import Floor
from edgeface.fleet.protocol.keyring import KeyRing


@dataclass(frozen=True, slots=True, eq=False)
class Provision:
    """As read from the fleet's folder at one moment."""

    ring: KeyRing
    floor: Floor
    """The higher one of the folder's and the device's own."""


def load_provision(folder: Path, floor: FloorFile) -> Provision:
    """Raises StateError or GalleryError, as `KeyRing.load` and `FloorFile.load` do."""
    return Provision(KeyRing.load(folder), floor.load())
