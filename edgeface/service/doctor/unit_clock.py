"""The clock, as the running daemon sees it through its unit's sandbox, and as the kernel does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Final

from edgeface.base.clock import Clock
from edgeface.base.errors import EdgefaceError, NoAnswerError
from edgeface.contract.answers import PingData
from edgeface.contract.codec import from_mapping
from edgeface.contract.topics import Topics
from edgeface.mqtt.caller import Caller
from edgeface.service.doctor.broker_side import ANSWER_S, NAME, options_of
from edgeface.service.doctor.finding import Finding, NotTriedError, Patient, together
from edgeface.settings.tree import Settings

_NTP: Final = (
    "timedatectl set-ntp true, and a time server that can be reached\n"
    "where NTP is not supported: sudo apt-get install systemd-timesyncd"
)
_EVERYWHERE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is listened on
_MAX_BYTES: Final = 1 << 20
_SYNCED: Final = re.compile(r"^edgeface_clock_synced (\S+)$", re.MULTILINE)
_LIFECYCLE: Final = re.compile(r'^edgeface_lifecycle\{lifecycle="(\w+)"\} 1(\.0)?$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class DaemonView:
    """What a running daemon says of itself."""

    lifecycle: str
    clock_synced: bool


def clock(patient: Patient) -> Finding:
    """Whether UTC can be relied on: as the running daemon says, and else by the kernel."""
    trouble = Clock().sync_trouble()
    try:
        view = _view(patient)
    except EdgefaceError as error:
        found = Finding("ok", "synchronized")
        if trouble is not None:
            found = Finding("fail", f"{trouble}\ndoors refuse live events meanwhile", _NTP)
        text = f"as the kernel says; the daemon could not be asked: {error}"
        return together([found, Finding("not_tried", text)])
    if view.clock_synced:
        return Finding("ok", f"synchronized, says the daemon, which is {view.lifecycle}")
    text = f"not synchronized, says the daemon, which is {view.lifecycle}"
    if trouble is None:
        cure = "let the unit call adjtimex and clock_adjtime (its SystemCallFilter=)"
        return Finding("fail", f"{text}; outside of its sandbox it is", cure)
    return Finding("fail", f"{text}; doors refuse live events meanwhile", _NTP)


def _view(patient: Patient) -> DaemonView:
    """By its exporter, where it has one, and else by a ping. Raises BrokerError, NoAnswerError or
    NotTriedError."""
    settings = patient.configured
    if settings.metrics.address is not None:
        return _exported(*settings.metrics.address)
    if "broker" in patient.left_out:
        raise NotTriedError("the broker is left out")
    if settings.mqtt.cert_file is not None:
        raise NotTriedError(
            "its certificate serves one connection at a time; with metrics.listen it would be asked"
        )
    return _pinged(settings)


def _exported(host: str, port: int) -> DaemonView:
    place = f"metrics.listen {host}:{port}"
    connection = HTTPConnection(_EVERYWHERE.get(host, host), port, timeout=ANSWER_S)
    try:
        connection.request("GET", "/metrics")
        text = connection.getresponse().read(_MAX_BYTES).decode(errors="replace")
    except (OSError, HTTPException) as error:
        raise NoAnswerError(f"{place}: {error}") from error
    finally:
        connection.close()
    synced, lifecycle = _SYNCED.search(text), _LIFECYCLE.search(text)
    if synced is None or lifecycle is None:
        raise NoAnswerError(f"{place}: these are no metrics of edgeface")
    return DaemonView(lifecycle[1], float(synced[1]) == 1)


def _pinged(settings: Settings) -> DaemonView:
    topics = Topics(settings.site, settings.device)
    with Caller(options_of(settings), topics, settings.mqtt.username or NAME) as caller:
        answer = caller.call("ping", {}, ANSWER_S)
    if answer.data is None:
        raise NotTriedError(f"it refuses to answer: {answer.error}")
    pong = from_mapping(PingData, dict(answer.data), "data")
    return DaemonView(pong.lifecycle, pong.clock_synced)
