"""The number of a manifest: epoch and revision, which never go back."""

from __future__ import annotations

from typing import Final, NamedTuple


class Version(NamedTuple):
    """Compared first by epoch, then by revision."""

    epoch: int
    revision: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.revision}"


NOTHING: Final = Version(0, 0)
"""Before the first manifest."""
