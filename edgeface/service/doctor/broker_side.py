"""The broker, TLS, and what this user may and may not do there."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

from edgeface.base.errors import BadIdError, BrokerError
from edgeface.base.messages import (
    FAILURE,
    Acknowledged,
    Lost,
    Publication,
    Subscribed,
    Subscription,
)
from edgeface.contract.topics import Topics
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.options import ConnectionOptions
from edgeface.security.certificate_facts import facts_of, read_certificate
from edgeface.security.roles import User
from edgeface.service.doctor.finding import Finding, Patient, together
from edgeface.settings.base import is_loopback
from edgeface.settings.tree import Settings

ANSWER_S: Final = 3.0
SOON_DAYS: Final = 30
NAME: Final = "edgeface-doctor"
"""Of its client and its topics."""
_ACL: Final = "make its access list with `edgeface certs acl` (docs/security.md)"
MAY: Final = ("rsp/doctor/{client}", "alert/doctor")
"""Of a device's own topics, those on which an empty message that is not retained means nothing."""
MAY_NOT: Final = "cmd/doctor/{client}"
"""Below the commands, deeper than where a daemon listens."""


def broker(patient: Patient) -> Finding:
    """The broker takes a connection of this user, who may do what a device has to and no more."""
    settings = patient.configured
    mqtt = settings.mqtt
    connection = Connection(options_of(settings))
    connection.open()
    try:
        tls = ", with TLS" if mqtt.uses_tls else ""
        found = [Finding("ok", f"{mqtt.host}:{mqtt.port} answers{tls}")]
        found += [*_open_to_others(settings), *_certificate(settings), *_user(settings)]
        found += _rights(connection, Topics(settings.site, settings.device))
    finally:
        connection.abort()
    return together(found)


def options_of(settings: Settings) -> ConnectionOptions:
    """How the doctor connects, beside a daemon."""
    name = f"{NAME}-{os.getpid()}"
    return ConnectionOptions.from_settings(settings.mqtt, name, settings.decision.validity_s)


def _open_to_others(settings: Settings) -> Iterator[Finding]:
    mqtt = settings.mqtt
    if is_loopback(mqtt.host):
        return
    if not mqtt.uses_tls:
        text = "no TLS: whoever is in this network reads and changes what is sent"
        yield Finding("warn", text, "set mqtt.tls: required (docs/security.md)")
    if mqtt.username is None and mqtt.cert_file is None:
        text = "it takes this device without a user name or a certificate, and so anybody"
        yield Finding(
            "warn", text, "give each device a certificate: edgeface certs (docs/security.md)"
        )


def _certificate(settings: Settings) -> Iterator[Finding]:
    for path in (settings.mqtt.cert_file, settings.mqtt.ca_file):
        if path is None:
            continue
        facts = facts_of(read_certificate(path))
        days = facts.days_left(datetime.now(UTC))
        if days < SOON_DAYS:
            text = f"{path}: ends on {facts.not_after:%Y-%m-%d}, in {days} days"
            yield Finding("warn", text, "have a new one made: edgeface certs (docs/security.md)")


def _user(settings: Settings) -> Iterator[Finding]:
    """Where the user's name is one of our access lists: whether it is this device's."""
    mqtt, name = settings.mqtt, settings.mqtt.username
    if name is None and mqtt.cert_file is not None:
        name = facts_of(read_certificate(mqtt.cert_file)).name
    try:
        user = User.parse(name or "")
    except BadIdError:
        return
    wanted = User("device", settings.site, settings.device)
    if user == wanted:
        yield Finding("ok", f"the user is {user}")
    else:
        text = f"the user is {user}, and for site and device of the configuration it is {wanted}"
        yield Finding("fail", text, f"take what was made for {wanted}, or set site and device")


def _rights(connection: Connection, topics: Topics) -> Iterator[Finding]:
    """By messages on the device's own topics that mean nothing; never on those of events."""
    asked = connection.subscribe([Subscription(topics.commands), Subscription(topics.status)])
    waiting = {asked: f"read {topics.commands} and {topics.status}"}
    for part in MAY:
        topic = f"{topics.base}/{part.format(client=NAME)}"
        waiting[connection.publish(Publication(topic, b"", expiry_s=1))] = f"publish {topic}"
    refused = [what for what, right in _answers(connection, waiting) if not right]
    if refused:
        yield Finding("fail", f"this user may not {', nor '.join(refused)}", _ACL)
    else:
        yield Finding("ok", "this user may publish what a device has to, and read its commands")
    topic = f"{topics.base}/{MAY_NOT.format(client=NAME)}"
    try:
        mid = connection.publish(Publication(topic, b"", expiry_s=1))
        taken = any(right for _, right in _answers(connection, {mid: topic}))
    except BrokerError:  # a broker may end the connection instead of refusing
        taken = False
    if taken:
        text = "this user may give commands to devices as well: the broker keeps no access list"
        yield Finding("warn", text, _ACL)
    else:
        yield Finding("ok", "this user may not give commands")


def _answers(connection: Connection, waiting: dict[int, str]) -> Iterator[tuple[str, bool]]:
    """Each of `waiting`, by `mid`, and whether the broker grants it. Raises BrokerError."""
    waiting, deadline = dict(waiting), time.monotonic() + ANSWER_S
    while waiting:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise BrokerError(f"the broker does not answer: {', '.join(waiting.values())}")
        for signal in connection.poll(left_s):
            match signal:
                case Acknowledged(mid=mid, reason=reason) if mid in waiting:
                    yield waiting.pop(mid), reason < FAILURE
                case Subscribed(mid=mid, reasons=reasons) if mid in waiting:
                    yield waiting.pop(mid), max(reasons, default=FAILURE) < FAILURE
                case Lost(text=text):
                    raise BrokerError(f"the connection broke: {text}")
