"""The floor: the trusted version, below which no manifest is taken."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edgeface.base.errors import ContractError, StateError
from edgeface.base.files import TEXT_FILE_BYTES, read_file
from edgeface.contract import codec
from edgeface.contract.gallery_report import Amount, KeyId, Sha256
from edgeface.fleet.protocol.manifest import Manifest
from edgeface.fleet.protocol.terms import RefusedError, Version

FLOOR_FILE: Final = "floor.json"
_CHECK: Final = "check"


class DamagedFloorError(StateError):
    """Raised when a floor's file is not as it was written."""


@dataclass(frozen=True, slots=True)
class Floor:
    """The newest manifest known, which nothing older may replace; kept across restarts."""

    epoch: Amount = 0
    revision: Amount = 0
    digest: Sha256 | None = None
    """SHA-256 of that manifest's wire bytes; None when it is not known."""
    signing_key: KeyId | None = None
    """Who signs this epoch; None before the first manifest."""
    retired: tuple[KeyId, ...] = ()
    """Keys that signed earlier epochs: they sign no other one."""

    @property
    def version(self) -> Version:
        """Epoch and revision."""
        return Version(self.epoch, self.revision)

    def admit(self, manifest: Manifest) -> bool:
        """Whether `manifest` (verified) is newer; False when it is the known one.

        Raises RefusedError: `rollback` (older), `equivocation` (the same number, other bytes),
        `unknown_key` (the epoch is raised by a key that signed before, or changed within it).
        """
        if manifest.version < self.version:
            raise RefusedError(
                "rollback", f"manifest {manifest.version}, but {self.version} is known"
            )
        if manifest.version == self.version and self.digest is not None:
            if manifest.digest.hex() != self.digest:
                raise RefusedError(
                    "equivocation", f"another manifest {manifest.version} than the one known"
                )
            return False
        if manifest.signing_key in self.retired:
            raise RefusedError("unknown_key", f"key {manifest.signing_key} was replaced by another")
        if self.signing_key is not None:
            same_epoch = manifest.version.epoch == self.epoch
            if same_epoch != (manifest.signing_key == self.signing_key):
                raise RefusedError(
                    "unknown_key",
                    f"epoch {self.epoch} is signed by {self.signing_key}, and only a newly pinned "
                    f"key begins another; this is {manifest.version} by {manifest.signing_key}",
                )
        return True

    def after(self, manifest: Manifest) -> Floor:
        """The floor once `manifest` is known."""
        retired = set(self.retired)
        if self.signing_key not in (None, manifest.signing_key):
            retired.add(str(self.signing_key))
        return Floor(
            epoch=manifest.version.epoch,
            revision=manifest.version.revision,
            digest=manifest.digest.hex(),
            signing_key=manifest.signing_key,
            retired=tuple(sorted(retired)),
        )

    def to_json(self) -> bytes:
        """As kept in a file."""
        fields = codec.to_mapping(self)
        return json.dumps(fields | {_CHECK: _digest(fields)}, indent=1).encode() + b"\n"

    @classmethod
    def load(cls, path: Path) -> Floor:
        """Read a file that holds `to_json`; one from before has no check. Raises StateError, namely
        DamagedFloorError for what was never written so."""
        try:
            fields = codec.load(read_file(path, TEXT_FILE_BYTES))
            check = fields.pop(_CHECK, None)
            floor = codec.from_mapping(cls, fields)
        except OSError as error:
            raise StateError(f"{path}: cannot read the floor: {error.strerror}") from error
        except ContractError as error:
            raise DamagedFloorError(f"{path}: damaged: {error}") from error
        if check not in (None, _digest(fields)):
            raise DamagedFloorError(f"{path}: damaged: its check does not fit")
        return floor


def _digest(fields: codec.JsonObject) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
