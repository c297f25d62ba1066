"""The protocol's own terms: the number of a manifest, the types of header fields, a refusal."""

from __future__ import annotations

from typing import Annotated, Final, NamedTuple, TypeAlias, get_args

from pydantic import Field

from edgeface.base.errors import ContractError
from edgeface.base.ids import ID
from edgeface.contract.codec import MAX_INT, matching
from edgeface.contract.gallery_report import Reason

MAX_TIME_S: Final = 253_402_300_800
"""Start of the year 10000, beyond which Python's calendar does not go."""

Site: TypeAlias = Annotated[str, matching(ID.pattern, 64)]
Counted: TypeAlias = Annotated[int, Field(ge=1, le=MAX_INT)]
"""An epoch or a revision; the first one is 1."""
KeyId: TypeAlias = Annotated[str, matching("[0-9a-f]{16}", 16)]
Moment: TypeAlias = Annotated[int, Field(ge=0, le=MAX_TIME_S)]
"""UTC epoch seconds."""


class Version(NamedTuple):
    """Compared first by epoch, then by revision."""

    epoch: int
    revision: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.revision}"


NOTHING: Final = Version(0, 0)
"""Before the first manifest."""


class RefusedError(ContractError):
    """Raised when bytes from the broker are refused; `reason` is one of `Reason`."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(reason, message)
        assert reason in get_args(Reason)
