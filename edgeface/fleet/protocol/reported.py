"""A device's report of the central gallery (`contract.gallery_report`): signed, read, compared."""

from __future__ import annotations

from edgeface.base.errors import ContractError
from edgeface.base.messages import Message
from edgeface.contract import codec
from edgeface.contract.gallery_report import Reported
from edgeface.contract.signatures import KEY_ID
from edgeface.fleet.protocol.terms import Version
from edgeface.security.keys import VerifyingKey


def applied_version(reported: Reported) -> Version:
    """What is applied."""
    return Version(reported.epoch, reported.revision)


def confirms(reported: Reported, person_id: str, demanded: Version) -> bool:
    """Whether the device says that the person, absent since `demanded`, is erased."""
    if Version(reported.erased_epoch, reported.erased_revision) >= demanded:
        return True
    return any(
        receipt.person_id == person_id and Version(receipt.epoch, receipt.revision) >= demanded
        for receipt in reported.receipts
    )


def read_reported(message: Message, key: VerifyingKey) -> Reported:
    """The report in a message, checked against the device's pinned key.

    Raises ContractError: `unsigned`, `unknown_key`, `wrong_signature`, or as `codec.from_json`.
    """
    reason, kid = key.reason_against(message), message.user_property(KEY_ID)
    if reason == "unsigned" or kid is None:
        raise ContractError("unsigned", f"{message.topic}: not signed")
    if kid != key.kid:
        raise ContractError("unknown_key", f"{message.topic}: signed by {kid}, not {key.kid}")
    if reason is not None:
        raise ContractError(reason, f"{message.topic}: the signature does not fit")
    return codec.from_json(Reported, message.payload)
