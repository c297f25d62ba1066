"""Presence: birth, will and farewell, and the retained topics that say how the device is.

Holds what the broker ought to have; the publisher sends what `birth()` and `changes()` return. Safe
to use from several threads.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final, get_args

from edgeface.base.clock import NS, utc_now
from edgeface.base.errors import ContractError
from edgeface.base.messages import Message, Publication
from edgeface.contract import codec
from edgeface.contract.report import Alert, AlertId, Health, State, Status
from edgeface.mqtt.link import DeviceSession
from edgeface.mqtt.rival import Rival

_log = logging.getLogger(__name__)

MIN_INTERVAL_S: Final = 1.0
"""`~/state` is sent, and a wrong status corrected, at most this often."""
RIVAL_INTERVAL_S: Final = 60.0
"""A wrong status that is a second daemon's is corrected at most this often: it corrects back."""


class Presence:
    """The device's own retained topics. `on_change` is called, from any thread, when `changes()`
    has something; it must only enqueue."""

    def __init__(self, me: DeviceSession) -> None:
        self._me = me
        self._lock = threading.Lock()
        self._on_change: Callable[[], None] = lambda: None
        self._state: State | None = None
        self._state_dirty = False
        self._state_sent_ns: int | None = None
        self._alerts: dict[AlertId, tuple[str, datetime]] = {}
        self._alerts_dirty: set[AlertId] = set()
        self._status_wrong = False
        self._status_sent_ns = 0
        self._stopped = False
        self.rival: Final = Rival(me.session, me.clock)
        """A second daemon of this name, if there is one."""

    def when_changed(self, callback: Callable[[], None]) -> None:
        """Set what is called when `changes()` has something."""
        self._on_change = callback

    @property
    def alerts(self) -> dict[AlertId, str]:
        """The alerts that stand, with their details."""
        with self._lock:
            return {alert: detail for alert, (detail, _) in self._alerts.items()}

    @property
    def state(self) -> State | None:
        """What `~/state` ought to say, with the alerts that stand; None before it was set."""
        with self._lock:
            return None if self._state is None else self._complete(self._state)

    def set_state(self, state: State) -> None:
        """What `~/state` ought to say from now on; the alerts that stand are filled in here."""
        with self._lock:
            if state == self._state:
                return
            self._state, self._state_dirty = state, True
        self._on_change()

    def set_alert(self, alert: AlertId, detail: str | None) -> None:
        """Something wants attention, or with None it is resolved. A new detail replaces the old
        one, `since` stays; nothing happens when it is as it was."""
        with self._lock:
            known, since = self._alerts.get(alert, (None, None))
            if detail == known:
                return
            if detail is None:
                del self._alerts[alert]
            else:
                self._alerts[alert] = (detail, since or utc_now(self._me.clock))
            self._alerts_dirty.add(alert)
            self._state_dirty |= detail is None or known is None
        if detail is None:
            _log.info("alert %s is resolved", alert)
        else:
            _log.warning("alert %s: %s", alert, detail)
        self._on_change()

    def will(self) -> Publication:
        """What the broker publishes when the connection breaks."""
        return self._status("offline")

    def birth(self) -> list[Publication]:
        """Everything, after a connection was made: state, alerts (those that do not stand are
        cleared: an earlier session may have left them), and last that it is online."""
        with self._lock:
            publications = [] if self._state is None else [self._state_publication(self._state)]
            publications += [self._alert_publication(alert) for alert in get_args(AlertId)]
            self._alerts_dirty.clear()
            self._status_wrong = False
            self._status_sent_ns = self._me.clock.monotonic_ns()
            self.rival.born()
        return [*publications, self._status("online")]

    def changes(self) -> list[Publication]:
        """What has changed since it was last sent and may be sent now."""
        self.set_alert("name_in_use", self.rival.trouble)
        now_ns = self._me.clock.monotonic_ns()
        interval_ns = MIN_INTERVAL_S * NS
        with self._lock:
            publications = [self._alert_publication(alert) for alert in sorted(self._alerts_dirty)]
            self._alerts_dirty.clear()
            sent_ns = self._state_sent_ns
            due = sent_ns is None or now_ns - sent_ns >= interval_ns
            if self._state is not None and self._state_dirty and due:
                publications.append(self._state_publication(self._state))
            if "name_in_use" in self._alerts:
                interval_ns = RIVAL_INTERVAL_S * NS
            if self._status_wrong and now_ns - self._status_sent_ns >= interval_ns:
                self._status_wrong = False
                self._status_sent_ns = now_ns
                publications.append(self._status("online"))
        return publications

    def farewell(self) -> list[Publication]:
        """Before a clean DISCONNECT: the last state, then that it stopped."""
        with self._lock:
            self._stopped, self._status_wrong = True, False
            last = self._state if self._state_dirty else None
            publications = [] if last is None else [self._state_publication(last)]
        return [*publications, self._status("stopped")]

    def saw_status(self, message: Message) -> None:
        """The device's own status as the broker has it. Anything but this session's `online` is
        wrong while it is connected: a late will of an earlier connection, a left-over, a forgery.
        It is corrected by `changes()`."""
        try:
            status = codec.from_json(Status, message.payload)
        except ContractError:
            status = None
        if status is not None:
            self.rival.saw(status)
        right = Status("online", self._me.session)
        with self._lock:
            if self._stopped or status == right or self._status_wrong:
                return
            self._status_wrong = True
        _log.info("the broker has a wrong status of this device (%s): corrected", status)
        self._on_change()

    def health(self, health: Health) -> Publication:
        """The message for `~/health`: not retained, QoS 0."""
        return Publication(self._me.topics.health, codec.to_json(health), qos=0)

    def _status(self, status: str) -> Publication:
        payload = codec.dump({"status": status, "session": self._me.session})
        return Publication(self._me.topics.status, payload, retain=True)

    def _state_publication(self, state: State) -> Publication:
        self._state_dirty = False
        self._state_sent_ns = self._me.clock.monotonic_ns()
        payload = codec.to_json(self._complete(state))
        return Publication(self._me.topics.state, payload, retain=True)

    def _complete(self, state: State) -> State:
        return dataclasses.replace(state, alerts=tuple(sorted(self._alerts)))

    def _alert_publication(self, alert: AlertId) -> Publication:
        topic, known = self._me.topics.alert(alert), self._alerts.get(alert)
        if known is None:
            return Publication(topic, b"", retain=True)
        found = Alert(alert=alert, session=self._me.session, since=known[1], detail=known[0][:1000])
        return Publication(topic, codec.to_json(found), retain=True)
