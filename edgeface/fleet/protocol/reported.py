"""`~/gallery/reported`: what a device has made of the central gallery. Retained.

The message is signed by the device's key as events are (user properties `sig` and `kid`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

from edgeface.base.errors import ContractError
from edgeface.base.messages import Message
from edgeface.contract import codec
from edgeface.contract.codec import Text
from edgeface.contract.event import Session
from edgeface.contract.signatures import KEY_ID, SIGNATURE
from edgeface.fleet.protocol.header import Amount, PersonId, Sha256, Space
from edgeface.fleet.protocol.position import Version
from edgeface.fleet.protocol.refusal import Reason
from edgeface.security.keys import PublicKey

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

    topic: Annotated[str, Text(max_length=256)]
    reason: Reason
    detail: Annotated[str, Text(max_length=500)]
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

    @property
    def version(self) -> Version:
        """What is applied."""
        return Version(self.epoch, self.revision)

    def confirms(self, person_id: str, demanded: Version) -> bool:
        """Whether the device says that the person, absent since `demanded`, is erased."""
        if Version(self.erased_epoch, self.erased_revision) >= demanded:
            return True
        return any(
            receipt.person_id == person_id and Version(receipt.epoch, receipt.revision) >= demanded
            for receipt in self.receipts
        )


def encode_reported(reported: Reported) -> bytes:
    """The payload; sign it with `DeviceKey.properties(topic, payload)`."""
    return codec.to_json(reported)


def read_reported(message: Message, key: PublicKey) -> Reported:
    """The report in a message, checked against the device's pinned key.

    Raises ContractError: `unsigned`, `unknown_key`, `bad_signature`, or as `contract.from_json`.
    """
    signature, kid = message.user_property(SIGNATURE), message.user_property(KEY_ID)
    if signature is None or kid is None:
        raise ContractError("unsigned", f"{message.topic}: not signed")
    if kid != key.kid:
        raise ContractError("unknown_key", f"{message.topic}: signed by {kid}, not {key.kid}")
    if not key.verify(message.topic, message.payload, signature):
        raise ContractError("bad_signature", f"{message.topic}: the signature does not fit")
    return codec.from_json(Reported, message.payload)
