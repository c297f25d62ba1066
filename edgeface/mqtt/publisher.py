"""The publisher: one thread that keeps the connection and sends what the others hand over.

It owns the connection and all bookkeeping; other threads only put tasks into its queue. On every
connection: subscribe, then state and alerts, then `online`; events when that is acknowledged.
Stop it before the outbox is closed.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, TypeAlias

from paho.mqtt.client import topic_matches_sub

from edgeface.base.backoff import STABLE_S, Backoff
from edgeface.base.errors import BrokerError, ContractError
from edgeface.base.messages import (
    FAILURE,
    Acknowledged,
    Lost,
    Message,
    Publication,
    Signal,
    Subscribed,
    Subscription,
)
from edgeface.contract import event
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.lanes import FETCH_AHEAD, PACKET_TOO_LARGE, LiveLane, LogLane
from edgeface.mqtt.link import DeviceSession, Handler, LinkStatus, OnPuback
from edgeface.mqtt.options import ConnectionOptions
from edgeface.mqtt.presence import Presence
from edgeface.mqtt.sharing import SharedConnection
from edgeface.outbox.outbox import Outbox
from edgeface.outbox.rows import Row

_log = logging.getLogger(__name__)

MAX_OUTGOING: Final = 1_000
"""Publications of others that may wait for the connection."""
_TICK_S: Final = 0.25
_FAREWELL_S: Final = 1.0

_Task: TypeAlias = Callable[[], None]


class Publisher:
    """A worker: `run(stop)` until `stop` is set, then what waits is sent for at most `drain_s`, and
    the broker is told that the device stopped."""

    def __init__(
        self,
        options: ConnectionOptions,
        me: DeviceSession,
        outbox: Outbox,
        presence: Presence,
        *,
        drain_s: float = 2.0,
        backoff: Backoff | None = None,
        refused_backoff: Backoff | None = None,
    ) -> None:
        self._options = options
        self._me = me
        self._outbox = outbox
        self._presence = presence
        self._drain_s = drain_s
        self._backoff = backoff or Backoff()
        self._beat: Callable[[], None] = lambda: None
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._live = LiveLane(me.clock, me.session)
        self._log_lane = LogLane(refused_backoff or Backoff(base_s=1.0, cap_s=60.0))
        self._connection: Connection | None = None
        self._outgoing: deque[tuple[Publication, OnPuback | None]] = deque()
        self._awaiting: dict[int, OnPuback] = {}
        self._subscribing: int | None = None
        self._ready = False
        self._connections = 0
        self._error: str | None = None
        self._shared: list[SharedConnection] = []
        self._handlers: list[tuple[Subscription, Handler]] = [
            (Subscription(self._me.topics.status), presence.saw_status)
        ]
        outbox.when_committed(lambda row: self._post(lambda: self._committed(row)))
        presence.when_changed(lambda: self._post(lambda: None))

    # From any thread.

    @property
    def status(self) -> LinkStatus:
        """As it is now."""
        return LinkStatus(
            connected=self._ready,
            connections=self._connections,
            error=self._error,
            live_sent=self._live.sent,
            live_missed=dict(self._live.missed),
            log_delivered=self._log_lane.delivered,
            log_refused=self._log_lane.refused,
        )

    def publish(self, publication: Publication, done: OnPuback | None = None) -> None:
        """Send as soon as the connection is ready; given up, not kept, when it is not there."""
        self._post(lambda: self._take(publication, done))

    def listen(self, subscription: Subscription, handler: Handler) -> None:
        """Subscribe on this and every later connection."""
        self._post(lambda: self._listen(subscription, handler))

    def unlisten(self, topic_filter: str) -> None:
        """Give a subscription back."""
        self._post(lambda: self._unlisten(topic_filter))

    def share(self, prefix: str) -> SharedConnection:
        """The connection for one other thread, which gets the topics that begin with `prefix`;
        before `run`."""
        shared = SharedConnection(prefix, self.publish, self.borrow)
        self._shared.append(shared)
        return shared

    def borrow(self, task: Callable[[Connection], None]) -> None:
        """Work the connection in the publisher's thread; nothing happens while there is none."""
        self._post(lambda: None if self._connection is None else task(self._connection))

    def _post(self, task: _Task) -> None:
        self._tasks.put(task)
        connection = self._connection
        if connection is not None:
            connection.wake()

    # The publisher's thread.

    def run(self, stop: threading.Event, beat: Callable[[], None] = lambda: None) -> None:
        """Connect, serve, wait, and again; `beat` is called at least every few seconds."""
        self._beat = beat
        while not stop.is_set():
            pause_s = 0.0
            try:
                connection = Connection(self._options, self._presence.will())
                connection.open()
            except BrokerError as error:
                self._note_error(str(error))
            else:
                began_s = time.monotonic()
                self._serve(connection, stop)
                pause_s = self._presence.rival.pause_s()
                if time.monotonic() - began_s >= STABLE_S:
                    self._backoff.reset()
            self._rest(stop, max(pause_s, self._backoff.next_s()))

    def _rest(self, stop: threading.Event, duration_s: float) -> None:
        """Between two connections: only tasks are worked."""
        end_s = time.monotonic() + duration_s
        while not stop.is_set() and (left_s := end_s - time.monotonic()) > 0:
            with suppress(queue.Empty):
                self._tasks.get(timeout=min(left_s, _TICK_S))()
            self._beat()

    def _serve(self, connection: Connection, stop: threading.Event) -> None:
        """One connection, from its CONNACK to its end."""
        self._connection = connection
        self._log_lane.begin(connection.receive_maximum)
        self._connections, self._error = self._connections + 1, None
        self._subscribing = connection.subscribe(item for item, _ in self._handlers)
        lost = Lost(0, "the publisher failed")
        try:
            lost = self._converse(connection, stop)
        except BrokerError as error:
            lost = Lost(0, str(error))
        finally:
            connection.abort()
            self._finish(lost, stopping=stop.is_set())

    def _finish(self, lost: Lost, *, stopping: bool) -> None:
        self._connection = None
        self._ready = False
        for shared in self._shared:
            shared.lost(lost.text)
        self._live.close()
        culprit = self._log_lane.end(lost.reason)
        if culprit is not None:
            self._outbox.undeliverable(culprit, f"disconnected: {lost.text}")
        gone = [*self._awaiting.values(), *(done for _, done in self._outgoing if done)]
        self._awaiting.clear()
        self._outgoing.clear()
        for done in gone:
            done(None)
        if not stopping:
            self._note_error(lost.text)

    def _converse(self, connection: Connection, stop: threading.Event) -> Lost:
        """Work tasks, send, and handle what comes, until the connection or the work is over."""
        stop_by_s: float | None = None
        said_farewell = False
        while True:
            with suppress(queue.Empty):
                while True:
                    self._tasks.get_nowait()()
            if self._ready:
                self._outgoing.extend((item, None) for item in self._presence.changes())
                self._announce_gaps()
            self._send(connection)
            for signal in connection.poll(0.0 if not self._tasks.empty() else _TICK_S):
                if isinstance(signal, Lost):
                    return signal
                self._handle(signal)
            self._beat()
            if not stop.is_set():
                continue
            now_s = time.monotonic()
            if stop_by_s is None:
                stop_by_s = now_s + self._drain_s
                self._log_lane.committed()  # ask the outbox once more
            elif not said_farewell and (self._log_lane.idle or now_s >= stop_by_s):
                said_farewell, stop_by_s = True, now_s + _FAREWELL_S
                self._live.close()
                self._outgoing.extend((item, None) for item in self._presence.farewell())
            elif said_farewell:
                silent = not self._outgoing and connection.in_flight == 0
                if silent or now_s >= stop_by_s:
                    connection.close()
                    return Lost(0, "stopped")

    def _send(self, connection: Connection) -> None:
        """As much as the broker takes now: live events first, then the rest, then the log."""
        while self._ready and connection.free > 0 and (live := self._live.next()) is not None:
            row, expiry_s = live
            copy = self._signed(self._me.topics.event, row.payload, expiry_s)
            if connection.takes(copy):
                connection.publish(copy)
            else:
                self._live.unsent()
        while self._outgoing and connection.free > 0:
            publication, done = self._outgoing.popleft()
            if not connection.takes(publication):
                (done or partial(self._note, publication.topic))(PACKET_TOO_LARGE)
                continue
            mid = connection.publish(publication)
            if publication.qos > 0:
                self._awaiting[mid] = done or partial(self._note, publication.topic)
            elif done is not None:
                done(0)
        if not self._ready:
            return
        if (wanted := self._log_lane.fetch(time.monotonic())) is not None:
            exclude, generation = wanted
            arrived = self._log_lane.arrived
            self._outbox.fetch(
                FETCH_AHEAD, exclude, lambda rows: self._post(partial(arrived, rows, generation))
            )
        while connection.free > 0 and (waiting := self._log_lane.next()) is not None:
            self._send_log_copy(connection, waiting)

    def _send_log_copy(self, connection: Connection, row: Row) -> None:
        payload = row.payload
        try:
            if row.late(self._me.clock, self._me.session):
                payload = event.as_historical(payload)
        except ContractError as error:
            self._outbox.undeliverable(row, f"cannot be read back: {error}")
            return
        copy = self._signed(self._me.topics.event_log, payload, None)
        if connection.takes(copy):
            self._log_lane.sent(connection.publish(copy), row)
        else:
            limit = connection.maximum_packet_bytes
            self._outbox.undeliverable(row, f"larger than the broker's {limit} bytes")

    def _signed(self, topic: str, payload: bytes, expiry_s: int | None) -> Publication:
        properties = self._me.key.properties(topic, payload)
        return Publication(topic, payload, expiry_s=expiry_s, user_properties=properties)

    def _handle(self, signal: Signal) -> None:
        match signal:
            case Acknowledged():
                self._acknowledged(signal)
            case Subscribed(mid, reasons):
                refused = [code for code in reasons if code >= FAILURE]
                if refused:
                    _log.warning("the broker refused %d subscriptions", len(refused))
                for shared in self._shared:
                    shared.answered(mid, reasons)
                if mid == self._subscribing:
                    self._subscribing = None
                    self._be_born()
            case Message():
                self._received(signal)
            case _:
                pass

    def _be_born(self) -> None:
        """State and alerts, and `online` last; events begin when that is acknowledged."""
        *before, online = self._presence.birth()
        self._outgoing.extend((item, None) for item in before)

        def born(reason: int | None) -> None:
            if reason is None:
                return
            self._note(online.topic, reason)
            self._ready = True
            for shared in self._shared:
                shared.opened()
            self._live.open()
            self._outbox.announce_gaps()
            self._log_lane.committed()
            _log.info("connected to the broker %s:%d", self._options.host, self._options.port)

        self._outgoing.append((online, born))

    def _acknowledged(self, signal: Acknowledged) -> None:
        done = self._awaiting.pop(signal.mid, None)
        if done is not None:
            done(signal.reason)
            return
        fate = self._log_lane.acknowledged(signal.mid, signal.reason, time.monotonic())
        if fate is None:  # a live copy: sent once, whatever became of it
            self._note(self._me.topics.event, signal.reason)
            return
        match fate:
            case row, "delivered":
                self._outbox.delivered(row.event_id)
                self._presence.set_alert("broker_refused", None)
            case row, "undeliverable":
                self._outbox.undeliverable(row, signal.name)
            case _:
                self._note(self._me.topics.event_log, signal.reason)

    def _received(self, message: Message) -> None:
        for shared in self._shared:
            shared.took(message)
        for subscription, handler in list(self._handlers):
            if topic_matches_sub(subscription.topic_filter, message.topic):
                try:
                    handler(message)
                except Exception:  # noqa: BLE001 - a message must not end the connection
                    _log.exception("the handler of %s failed", subscription.topic_filter)

    # Tasks of other threads, worked here.

    def _committed(self, row: Row) -> None:
        self._live.offer(row)
        self._log_lane.committed()

    def _take(self, publication: Publication, done: OnPuback | None) -> None:
        if self._ready and len(self._outgoing) < MAX_OUTGOING:
            self._outgoing.append((publication, done))
        elif done is not None:
            done(None)

    def _listen(self, subscription: Subscription, handler: Handler) -> None:
        self._handlers.append((subscription, handler))
        if self._connection is not None:
            self._connection.subscribe([subscription])

    def _unlisten(self, topic_filter: str) -> None:
        self._handlers = [item for item in self._handlers if item[0].topic_filter != topic_filter]
        if self._connection is not None:
            self._connection.unsubscribe([topic_filter])

    def _announce_gaps(self) -> None:
        """Have what was dropped announced once the log has caught up, and say so until then."""
        outbox = self._outbox.status
        self._presence.set_alert("outbox_dropping", outbox.trouble)
        if outbox.gap_due and self._log_lane.idle:
            self._outbox.announce_gaps()
            self._log_lane.committed()

    def _note(self, topic: str, reason: int | None) -> None:
        """Say that the broker refuses what it refuses."""
        if reason is not None and reason >= FAILURE:
            detail = f"{topic}: the broker refuses with reason 0x{reason:02x}"
            self._presence.set_alert("broker_refused", detail)

    def _note_error(self, text: str) -> None:
        if text != self._error:
            _log.warning("no connection to the broker: %s", text)
        self._error = text
