"""The two ways of an event: live, at most once and only now; and to the log, until acknowledged.

Pure bookkeeping for the publisher's thread; nothing here touches the network or the disk.
"""

from __future__ import annotations

from collections import deque
from typing import Final, Literal, TypeAlias

from edgeface.base.backoff import Backoff
from edgeface.base.clock import Clock
from edgeface.base.messages import FAILURE
from edgeface.outbox.rows import Row

LOG_WINDOW: Final = 16
"""Log copies under way at once."""
FETCH_AHEAD: Final = 64
"""Events read from the outbox at once."""
MIN_EXPIRY_S: Final = 1
"""Message expiry counts whole seconds, and 0 means for ever to mosquitto."""

PACKET_TOO_LARGE: Final = 0x95
PAYLOAD_REASONS: Final = frozenset({PACKET_TOO_LARGE, 0x99})
"""PUBACK: packet too large, payload format invalid. Sending it again cannot help."""
POISON_REASONS: Final = frozenset({0x81, 0x82, PACKET_TOO_LARGE, 0x99})
"""DISCONNECT because of what was sent: malformed, protocol error, too large, format invalid."""

Fate: TypeAlias = Literal["delivered", "undeliverable", "refused"]


class LiveLane:
    """Events that may be acted on, each handed over at most once, on the connection that stood when
    it was committed, and only while it is valid for at least another second."""

    def __init__(self, clock: Clock, session: str) -> None:
        self.sent = 0
        """Events handed over since the start."""
        self.missed: dict[str, int] = {
            "offline": 0,
            "expired": 0,
            "connection_lost": 0,
            "too_large": 0,
        }
        """Events that were never handed over, by reason."""
        self._clock = clock
        self._session = session
        self._open = False
        self._rows: deque[Row] = deque()

    def open(self) -> None:
        """The connection is ready for events."""
        self._open = True

    def close(self) -> None:
        """The connection is over: what waits is not carried to the next one."""
        self._open = False
        self.missed["connection_lost"] += len(self._rows)
        self._rows.clear()

    def offer(self, row: Row) -> None:
        """An event was committed."""
        if self._open:
            self._rows.append(row)
        else:
            self.missed["offline"] += 1

    def next(self) -> tuple[Row, int] | None:
        """The next event to hand over with its message expiry in whole seconds, at least 1."""
        while self._rows:
            row = self._rows.popleft()
            expiry_s = int(row.remaining_s(self._clock, self._session))
            if expiry_s >= MIN_EXPIRY_S:
                self.sent += 1
                return row, expiry_s
            self.missed["expired"] += 1
        return None

    def unsent(self) -> None:
        """The event from `next` is larger than the broker takes."""
        self.sent -= 1
        self.missed["too_large"] += 1


class LogLane:
    """The order and flow of log copies on one connection after another."""

    def __init__(self, backoff: Backoff) -> None:
        self.delivered = 0
        """Acknowledged since the start."""
        self.refused = 0
        """Refusals by the broker since the start."""
        self._backoff = backoff
        self._generation = 0
        self._window = LOG_WINDOW
        self._suspicious = False
        self._one_by_one = False
        self._waiting: deque[Row] = deque()
        self._in_flight: dict[int, Row] = {}
        self._fetching = False
        self._more = True
        self._blocked_until_s: float | None = None
        self._probing = False

    @property
    def idle(self) -> bool:
        """Whether everything that the outbox had was delivered."""
        return not (self._in_flight or self._waiting or self._fetching or self._more)

    def begin(self, receive_maximum: int) -> None:
        """A new connection: start again from the oldest event. Some slots of the broker's Receive
        Maximum stay free for live events."""
        self._one_by_one, self._suspicious = self._suspicious, False
        window = max(1, min(LOG_WINDOW, receive_maximum - 2))
        self._window = 1 if self._one_by_one else window
        self._restart()
        self._in_flight.clear()

    def end(self, reason: int) -> Row | None:
        """The connection is over; `reason` is what the broker gave. After it objected to what was
        sent the next connection sends one event at a time, and the one under way when it objects
        again is returned as undeliverable."""
        culprit: Row | None = None
        if reason in POISON_REASONS and self._in_flight:
            self._suspicious = True
            if self._one_by_one:
                culprit = next(iter(self._in_flight.values()))
        self._restart()
        self._in_flight.clear()
        return culprit

    def committed(self) -> None:
        """The outbox has something new."""
        self._more = True

    def fetch(self, now_s: float) -> tuple[frozenset[str], int] | None:
        """What to ask the outbox for now, if anything: `FETCH_AHEAD` events but for those with
        these ids. The number goes back with the answer: one of an earlier question is stale."""
        if self._fetching or self._waiting or not self._more:
            return None
        if self._blocked_until_s is not None:
            if self._in_flight or now_s < self._blocked_until_s:
                return None
            self._blocked_until_s, self._probing = None, True
        self._fetching = True
        exclude = frozenset(row.event_id for row in self._in_flight.values())
        return exclude, self._generation

    def arrived(self, rows: list[Row], generation: int) -> None:
        """The outbox's answer; an empty one means that there is no more."""
        if generation != self._generation:
            return
        self._fetching = False
        self._waiting.extend(rows)
        if not rows:
            self._more = False

    def next(self) -> Row | None:
        """The next event to send; None while the window is full or after a refusal."""
        window = 1 if self._probing else self._window
        if not self._waiting or len(self._in_flight) >= window:
            return None
        return self._waiting.popleft()

    def sent(self, mid: int, row: Row) -> None:
        """It was handed to the network."""
        self._in_flight[mid] = row

    def acknowledged(self, mid: int, reason: int, now_s: float) -> tuple[Row, Fate] | None:
        """A PUBACK; None when `mid` is none of this lane."""
        row = self._in_flight.pop(mid, None)
        if row is None:
            return None
        if reason < FAILURE:
            self.delivered += 1
            if self._probing:
                self._probing = False
                self._backoff.reset()
            return row, "delivered"
        self.refused += 1
        if reason in PAYLOAD_REASONS:
            return row, "undeliverable"
        if self._blocked_until_s is None:
            self._blocked_until_s = now_s + self._backoff.next_s()
            self._probing = False
        self._restart()
        return row, "refused"

    def _restart(self) -> None:
        """Ask the outbox anew, from its oldest event; an answer on its way is stale."""
        self._generation += 1
        self._waiting.clear()
        self._fetching = False
        self._more = True
