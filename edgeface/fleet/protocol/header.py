"""The types of header fields."""

from __future__ import annotations

from typing import Annotated, Final, TypeAlias

from pydantic import Field

from edgeface.base.ids import ID
from edgeface.contract.codec import MAX_INT, matching

MAX_TIME_S: Final = 253_402_300_800
"""Start of the year 10000, beyond which Python's calendar does not go."""

Site: TypeAlias = Annotated[str, matching(ID.pattern, 64)]
Counted: TypeAlias = Annotated[int, Field(ge=1, le=MAX_INT)]
"""An epoch or a revision; the first one is 1."""
KeyId: TypeAlias = Annotated[str, matching("[0-9a-f]{16}", 16)]
Moment: TypeAlias = Annotated[int, Field(ge=0, le=MAX_TIME_S)]
"""UTC epoch seconds."""
