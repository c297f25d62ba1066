"""What the devices say of themselves, and what a broker that holds messages back could do."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from edgeface.base.errors import ContractError
from edgeface.base.messages import Message
from edgeface.contract import codec
from edgeface.contract.gallery_report import Reported
from edgeface.contract.signatures import KEY_ID
from edgeface.contract.topics import PREFIX, Topics
from edgeface.fleet.admin.broker import Broker
from edgeface.fleet.admin.ledger import Ledger, TombstoneRow
from edgeface.fleet.admin.site import DAY_S
from edgeface.fleet.protocol.terms import Version
from edgeface.security.keys import VerifyingKey

_CHUNK: Final = 100
"""Devices asked about at a time: mosquitto drops retained messages beyond about a thousand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceStanding:
    """One registered device: what it left at the broker, and how that compares with the master."""

    applied: Version | None = None
    """What it says it has applied; None when it has not said."""
    lag: int | None = None
    """Revisions behind what the broker has; None when it is not known."""
    digest_agrees: bool | None = None
    """Whether it has exactly what was published under that number; None when it is not known."""
    unconfirmed: tuple[str, ...] = ()
    """People removed whose erasure it has not confirmed."""
    frozen_until_s: float | None = None
    """A device that is behind, or says nothing, stops recognizing at this time (UTC epoch seconds)
    at the latest, whatever the broker withholds; None for one that is not behind."""
    prepared: bool | None = None
    """Whether it says that it has the keys that are prepared; None when none are."""
    device: str
    status: str | None
    """`online`, `offline`, `stopped`; None when it has never been there. Not signed."""
    reported: Reported | None
    """Checked against the device's pinned key."""
    fault: str | None
    """Why its report is not believed; None when it is, or when there is none."""
    alerts: tuple[str, ...]
    """Ids of the alerts that stand. Not signed."""


def read_standings(
    broker: Broker, site: str, devices: Mapping[str, VerifyingKey]
) -> dict[str, DeviceStanding]:
    """Ask the broker for what the registered devices have left there. Raises BrokerError."""
    topics = {device: Topics(site, device) for device in devices}
    broker.retained([f"{PREFIX}/{site}/+/alert/+"])
    for start in range(0, len(devices), _CHUNK):
        some = list(topics.values())[start : start + _CHUNK]
        wanted = {item.status for item in some} | {item.gallery_reported for item in some}
        broker.retained(sorted(wanted), wanted.issubset)
    latest = broker.latest
    return {
        device: _standing(device, topics[device], key, latest) for device, key in devices.items()
    }


def note_receipts(ledger: Ledger, standings: Mapping[str, DeviceStanding]) -> None:
    """Write down which erasures the devices have confirmed."""
    pairs = [
        (row.person_id, device)
        for row in ledger.tombstones()
        for device, standing in standings.items()
        if device not in row.confirmed
        and standing.reported is not None
        and confirms(standing.reported, row.person_id, row.version)
    ]
    ledger.confirm(pairs)


def judge(
    ledger: Ledger, standing: DeviceStanding, tombstones: tuple[TombstoneRow, ...], grace_days: int
) -> DeviceStanding:
    """The device compared with what has been published."""
    state = ledger.state()
    reported = standing.reported
    unconfirmed = tuple(row.person_id for row in tombstones if standing.device not in row.confirmed)
    if state.next_keys is not None:
        wanted = {state.next_keys.signing, state.next_keys.encryption}
        held = () if reported is None or reported.keys is None else reported.keys
        standing = replace(standing, prepared=wanted <= set(held))
    if reported is None or reported.digest is None:
        # It may stand anywhere; the manifest before the newest one was fresh for longest.
        fresh_s = ledger.fresh_before(state.floor.version)
        frozen_s = _frozen(fresh_s, grace_days)
        return replace(standing, unconfirmed=unconfirmed, frozen_until_s=frozen_s)
    applied = applied_version(reported)
    digest = bytes.fromhex(reported.digest)
    known = state.version if digest == state.digest else ledger.version_of(digest)
    behind = applied < state.floor.version
    return replace(
        standing,
        applied=applied,
        lag=max(0, state.floor.revision - applied.revision),
        digest_agrees=known == applied,
        unconfirmed=unconfirmed,
        frozen_until_s=_frozen(ledger.fresh_until(applied), grace_days) if behind else None,
    )


def _frozen(fresh_s: int | None, grace_days: int) -> float | None:
    return None if fresh_s is None else float(fresh_s + grace_days * DAY_S)


def _standing(
    device: str, topics: Topics, key: VerifyingKey, latest: Mapping[str, Message]
) -> DeviceStanding:
    reported, fault = None, None
    message = latest.get(topics.gallery_reported)
    if message is not None and message.payload:
        try:
            reported = read_reported(message, key)
        except ContractError as error:
            fault = f"{error.reason}: {error}"
    start = topics.alert("")
    alerts = tuple(
        sorted(
            topic.removeprefix(start)
            for topic, found in latest.items()
            if topic.startswith(start) and found.payload
        )
    )
    status = _status(latest.get(topics.status))
    return DeviceStanding(
        device=device, status=status, reported=reported, fault=fault, alerts=alerts
    )


def _status(message: Message | None) -> str | None:
    if message is None:
        return None
    try:
        content: Any = json.loads(message.payload)
    except (ValueError, RecursionError):
        return None
    found = content.get("status") if isinstance(content, dict) else None
    return found if found in ("online", "offline", "stopped") else None


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
