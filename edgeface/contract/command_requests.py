"""Requests: what a device is asked on `~/cmd/<verb>`.

Every request names the session of the device that it is meant for, a transaction that was never
used before, and when it ends, at most `MAX_AHEAD_S` ahead. The answer goes to the one legal
response topic, `~/rsp/<verb>/<client>`.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Field

from edgeface.contract.codec import matching
from edgeface.contract.event import Count, EventId, PersonId, Session

MAX_COMMAND_BYTES: Final = 4096
"""A larger request is refused unread."""
MAX_CORRELATION_BYTES: Final = 128
MAX_AHEAD_S: Final = 60.0
"""A request may end so long after the device has received it."""
MAX_IDS: Final = 1000
"""Person ids in one answer to `gallery`."""

Verb: TypeAlias = Literal[
    "ping", "verify", "identify", "enroll", "snapshot", "reload", "gallery", "why"
]
TRANSACTION: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
TransactionId: TypeAlias = Annotated[str, matching(TRANSACTION.pattern, 64)]
Timeout: TypeAlias = Annotated[float, Field(ge=1, le=600)] | None
"""Seconds from receipt to the answer; left out: the device's setting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What every request has."""

    transaction: TransactionId
    """Chosen by the caller at random; a second request with it is refused."""
    session: Session
    """The device's, from `~/status`."""
    expires_at: datetime
    """At most 60 s ahead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping(Command):
    """Is the device there, and what may be asked of it?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify(Command):
    """1:1: a card for this person was presented; is it them? Answered within `timeout_s`."""

    person_id: PersonId
    timeout_s: Timeout = None
    challenge: bool | None = None
    """True: the person has to do besides what the device asks for; it takes 6 to 15 s. Else that is
    for the device's policy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identify(Command):
    """1:N: who is at the door now? Answered within `timeout_s`."""

    timeout_s: Timeout = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Enroll(Command):
    """Templates of the person at the door, from good and different frames, sealed to the
    administrator. Nobody is added to the gallery by it."""

    frames: Annotated[int, Field(ge=1, le=16)] = 5
    person_id: PersonId | None = None
    """Whom the templates are for; left out: a new, random id."""
    timeout_s: Timeout = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Command):
    """What the camera sees now, or the picture that was kept of a decision, sealed to the
    administrator."""

    event_id: EventId | None = None
    """Of the decision; left out: what the camera sees now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reload(Command):
    """Read the configuration again, as on SIGHUP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GalleryQuery(Command):
    """Who is in the gallery: ids, counts, digest; a page of ids in their order."""

    after: PersonId | None = None
    """Ids after this one; left out: from the first."""
    limit: Annotated[int, Field(ge=0, le=MAX_IDS)] = MAX_IDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Why(Command):
    """The trace of a recent decision."""

    track: Count | None = None
    """The track's id, as in its event; left out: the newest decision."""


def new_transaction() -> str:
    """A fresh one: 128 random bits."""
    return secrets.token_urlsafe(16)
