"""What a device was set up with for its fleet: the keys that it trusts, and the floor."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeface.base.files import PRIVATE, write_file
from edgeface.fleet.protocol.floor import FLOOR_FILE, Floor
from edgeface.fleet.protocol.keyring import KeyRing


class FloorFile:
    """The floor in a file of its own, so that it outlives the gallery: `path` holds the newest
    manifest known; `provisioned` is the file that the device was set up with, which counts while
    it is above."""

    def __init__(self, path: Path, provisioned: Path) -> None:
        self.path = path
        self._provisioned = provisioned

    def load(self) -> Floor:
        """The higher of both; the lowest one where there is no file. Raises StateError for a file
        that cannot be read: to go on without it would take any older gallery."""
        floor = Floor.load(self.path) if self.path.exists() else Floor()
        if not self._provisioned.exists():
            return floor
        given = Floor.load(self._provisioned)
        return given if given.version > floor.version else floor

    def save(self, floor: Floor) -> None:
        """Raises StateError."""
        write_file(self.path, floor.to_json(), PRIVATE, replace=True)


@dataclass(frozen=True, slots=True, eq=False)
class Provision:
    """As the files are at one moment."""

    ring: KeyRing
    floor: Floor
    """The higher one of the folder's and the device's own."""
    floor_file: FloorFile


def load_provision(folder: Path, own_floor: Path) -> Provision:
    """What `edgeface fleet device add` put into `folder`, and the floor that the device keeps.

    Raises StateError or GalleryError, as `KeyRing.load` and `FloorFile.load` do.
    """
    floor_file = FloorFile(own_floor, folder / FLOOR_FILE)
    return Provision(KeyRing.load(folder), floor_file.load(), floor_file)
