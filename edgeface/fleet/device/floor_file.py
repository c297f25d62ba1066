"""The roll-back floor on a device, in a file of its own, so that it outlives the gallery."""

from __future__ import annotations

from pathlib import Path

from edgeface.base.files import PRIVATE, write_file
from edgeface.fleet.protocol.floor import Floor


class FloorFile:
    """`path` holds the newest manifest known; `provisioned` is the file that the device was set up
    with, which counts while it is above."""

    def __init__(self, path: Path, provisioned: Path | None = None) -> None:
        self.path = path
        self._provisioned = provisioned

    def load(self) -> Floor:
        """The higher of both; the lowest one where there is no file. Raises StateError for a file
        that cannot be read: to go on without it would take any older gallery."""
        floor = Floor.load(self.path) if self.path.exists() else Floor()
        if self._provisioned is None or not self._provisioned.exists():
            return floor
        given = Floor.load(self._provisioned)
        return given if given.version > floor.version else floor

    def save(self, floor: Floor) -> None:
        """Raises StateError."""
        write_file(self.path, floor.to_json(), PRIVATE, replace=True)
