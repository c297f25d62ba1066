"""`~/gallery/reported`: what a device has made of the central gallery. Retained.

The message is signed by the device's key as events are (user properties `sig` and `kid`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from edgeface.contract.codec import MAX_INT, matching
from edgeface.contract.event import PersonId, Session

SPACE_PATTERN: Final = "[0-9a-f]{64}"

Amount: TypeAlias = Annotated[int, Field(ge=0, le=MAX_INT)]
Space: TypeAlias = Annotated[str, matching(SPACE_PATTERN, 64)]
Sha256: TypeAlias = Annotated[str, matching("[0-9a-f]{64}", 64)]

KeyId: TypeAlias = Annotated[str, matching("[0-9a-f]{16}", 16)]

Reason: TypeAlias = Literal[
    "bad_signature",
    "unknown_key",
    "rollback",
    "equivocation",
    "expired",
    "ahead",
    "foreign_site",
    "foreign_space",
    "wrong_topic",
    "oversized",
    "undecryptable",
    "malformed",
    "wrong_digest",
]
"""`unknown_key`: no pinned key of that id, or one that may not sign this. `rollback`: older than
what is known. `equivocation`: the same number with other content. `wrong_topic`: of another person
or bucket than the topic says. `ahead`: issued more than a day beyond the device's synchronized
clock. `wrong_digest`: not what the manifest lists."""

MAX_RECEIPTS: Final = 100
"""The newest are kept in the message; `erased_epoch` and `erased_revision` cover the others."""
MAX_REFUSALS: Final = 32

Standing: TypeAlias = Literal["waiting", "catching_up", "current", "stale", "expired"]
"""`waiting`: no manifest yet. `catching_up`: records of the manifest are missing. `current`: all of
it is applied and fresh. `stale`: freshness has expired, the grace time runs. `expired`: the grace
time is over too, nobody is recognised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Messages that were refused, counted by topic and reason."""

    topic: Annotated[str, Field(max_length=256)]
    reason: Reason
    detail: Annotated[str, Field(max_length=500)]
    count: Amount
    last_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The device has erased this person's templates from its files."""

    person_id: PersonId
    epoch: Amount
    revision: Amount
    """Of the manifest (or tombstone) that demanded it."""
    erased_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """What is applied, what was refused, what was erased."""

    contract_version: Literal[1] = 1
    session: Session
    reported_at: datetime
    standing: Standing
    epoch: Amount
    revision: Amount
    """Of the manifest that is wholly applied; 0 and 0 before the first."""
    digest: Sha256 | None
    """SHA-256 of that manifest's wire bytes."""
    people: Amount
    templates: Amount
    """In the space in use."""
    missing: Amount
    """Records of the newest manifest that have not arrived."""
    space: Space | None
    """The space in use."""
    fresh_until: datetime | None
    """When the newest freshness expires; the grace time follows."""
    good_until: datetime | None
    """The end of the grace time: afterwards nobody is recognised."""
    refusals: tuple[Refusal, ...]
    receipts: tuple[Receipt, ...]
    erased_epoch: Amount
    erased_revision: Amount
    """Everybody who is absent from the manifest of this number is gone from database, write-ahead
    log and every backup that the device made; also those it never had."""
    keys: tuple[KeyId, ...] | None = None
    """Ids of the administrators' and encryption keys that the device has; left out by versions that
    do not tell."""
