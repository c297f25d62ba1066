"""The replica over a real broker: a thread of its own, so that ten thousand records never hold up
an event or a command.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from edgeface.base.backoff import STABLE_S, Backoff
from edgeface.base.errors import BrokerError
from edgeface.base.messages import FAILURE, Acknowledged, Lost, Message, Publication, Subscribed
from edgeface.contract import codec
from edgeface.contract.gallery_report import Reported
from edgeface.contract.topics import Topics
from edgeface.fleet.device.replica import Replica
from edgeface.mqtt.sharing import AnyConnection
from edgeface.security.keys import SigningKey

MIN_INTERVAL_S: Final = 1.0
"""Between two reports."""


class OwnReport:
    """When and what a device reports of the fleet's gallery: `~/gallery/reported`, signed,
    retained. Used by the replica's thread."""

    def __init__(self, replica: Replica, topics: Topics, key: SigningKey, session: str) -> None:
        self._replica = replica
        self._topic = topics.gallery_reported
        self._key = key
        self._session = session
        self._said: object = None
        self._said_s = -MIN_INTERVAL_S

    def repeat(self) -> None:
        """There is a new connection: say it anew."""
        self._said = None

    def due(self, now_s: float, utc_s: float) -> Publication | None:
        """What is to be published now (monotonic and UTC epoch seconds); None when the last report
        still holds, or is too recent."""
        if now_s - self._said_s < MIN_INTERVAL_S:
            return None
        state = self._state()
        if state == self._said:
            return None
        self._said, self._said_s = state, now_s
        payload = codec.to_json(self.make(utc_s))
        properties = self._key.properties(self._topic, payload)
        return Publication(self._topic, payload, retain=True, user_properties=properties)

    def make(self, utc_s: float) -> Reported:
        """The report as it is now."""
        replica = self._replica
        catch_up, trusted, served = replica.catch_up, replica.trusted, replica.catch_up.served
        store, applied = catch_up.tables.store, catch_up.applied
        return Reported(
            session=self._session,
            reported_at=datetime.fromtimestamp(utc_s, UTC),
            standing=replica.standing,
            epoch=applied.version.epoch,
            revision=applied.version.revision,
            digest=None if applied.digest is None else applied.digest.hex(),
            people=store.count(),
            templates=store.spaces().get(served.space, 0),
            missing=trusted.listed.missing,
            space=served.space or None,
            fresh_until=_time(trusted.fresh_until_s),
            good_until=_time(trusted.good_until_s),
            refusals=replica.refusals.listed,
            receipts=catch_up.tables.receipts(),
            erased_epoch=catch_up.erased.epoch,
            erased_revision=catch_up.erased.revision,
            keys=trusted.key_ids,
        )

    def _state(self) -> object:
        """Differs whenever a report would, but for its time."""
        replica = self._replica
        catch_up = replica.catch_up
        return (
            replica.standing,
            catch_up.applied,
            catch_up.erased,
            replica.trusted.listed.missing,
            catch_up.served.space,
            replica.trusted.fresh_until_s,
            replica.refusals.total,
            replica.trusted.key_ids,
        )


def _time(epoch_s: float | None) -> datetime | None:
    return None if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC)


_log = logging.getLogger(__name__)

TICK_S: Final = 0.25
GATHER_S: Final = 0.02
"""Messages that follow one another within this are applied together."""
GATHER_MAX: Final = 128
REST_SHARE: Final = 1.0
"""While much comes in, the thread rests after each batch for so many times as it worked: the
interpreter's lock is the recognizer's meanwhile."""
LONGEST_REST_S: Final = 0.25
BUSY_S: Final = 0.02
"""Work that took less needs no rest."""


class Subscriber:
    """`run(stop)` until `stop` is set. `connect` makes a connection that is not open yet; `each` is
    called after every round of work."""

    def __init__(
        self,
        connect: Callable[[], AnyConnection],
        replica: Replica,
        report: OwnReport,
        *,
        utc_s: Callable[[], float] = time.time,
        each: Callable[[], None] = lambda: None,
        backoff: Backoff | None = None,
    ) -> None:
        self._connect = connect
        self._replica = replica
        self._report = report
        self._utc_s = utc_s
        self._each = each
        self._backoff = backoff or Backoff()
        self._error: str | None = None

    def run(self, stop: threading.Event) -> None:
        """Connect, follow, wait, and again. Raises GalleryCorruptError when the file is damaged."""
        while not stop.is_set():
            try:
                connection = self._connect()
                connection.open()
            except BrokerError as error:
                self._note(str(error))
            else:
                began_s = time.monotonic()
                try:
                    self._serve(connection, stop)
                except BrokerError as error:
                    self._note(str(error))
                finally:
                    self._replica.lost()
                    connection.abort()
                if time.monotonic() - began_s >= STABLE_S:
                    self._backoff.reset()
            self._wait(stop, self._backoff.next_s())

    def _wait(self, stop: threading.Event, duration_s: float) -> None:
        """Between two connections only the time goes on."""
        end_s = time.monotonic() + duration_s
        while not stop.is_set():
            self._work()
            left_s = end_s - time.monotonic()
            if left_s <= 0 or stop.wait(min(left_s, TICK_S)):
                return

    def _serve(self, connection: AnyConnection, stop: threading.Event) -> None:
        """One connection, to its end."""
        self._replica.connected(connection)
        self._report.repeat()
        self._error = None
        timeout_s = TICK_S
        while not stop.is_set():
            count = self._gather(connection, timeout_s)
            if count is None:
                return
            spent_s = self._work()
            publication = self._report.due(time.monotonic(), self._utc_s())
            if publication is not None and connection.free > 0:
                connection.publish(publication)
            if count and spent_s >= BUSY_S:
                stop.wait(min(LONGEST_REST_S, REST_SHARE * spent_s))
            timeout_s = TICK_S if self._replica.catch_up.idle else GATHER_S
        connection.close()

    def _gather(self, connection: AnyConnection, timeout_s: float) -> int | None:
        """Take what comes until there is a pause; how many messages, None when it is over."""
        count = 0
        while count < GATHER_MAX:
            signals = connection.poll(timeout_s)
            if not signals:
                break
            for signal in signals:
                match signal:
                    case Message():
                        self._replica.receive(signal)
                        count += 1
                    case Lost():
                        self._note(signal.text)
                        return None
                    case Subscribed(_, reasons) if any(code >= FAILURE for code in reasons):
                        raise BrokerError("the broker refuses subscriptions to the site's gallery")
                    case Acknowledged() if signal.reason >= FAILURE:
                        self._note(f"the broker refuses the report: {signal.name}")
                    case _:
                        pass
            timeout_s = GATHER_S
        return count

    def _work(self) -> float:
        began_s = time.perf_counter()
        self._replica.work()
        self._each()
        return time.perf_counter() - began_s

    def _note(self, text: str) -> None:
        if text != self._error:
            _log.warning("the fleet's gallery is not followed: %s", text)
        self._error = text
