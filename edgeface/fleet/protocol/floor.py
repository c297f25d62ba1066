"""The floor: the trusted version, below which no manifest is taken."""

from __future__ import annotations

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
        return json.dumps(codec.to_mapping(self), indent=1).encode() + b"\n"

    @classmethod
    def load(cls, path: Path) -> Floor:
        """Read a file that holds `to_json`. Raises StateError."""
        try:
            return codec.from_json(cls, read_file(path, TEXT_FILE_BYTES))
        except OSError as error:
            raise StateError(f"{path}: cannot read the floor: {error.strerror}") from error
        except ContractError as error:
            raise StateError(f"{path}: {error}") from error
