"""When and what a device reports of the fleet's gallery: `~/gallery/reported`, signed, retained."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from edgeface.base.messages import Publication
from edgeface.contract import codec
from edgeface.contract.gallery_report import Reported
from edgeface.contract.topics import Topics
from edgeface.fleet.device.replica import Replica
from edgeface.security.keys import SigningKey

MIN_INTERVAL_S: Final = 1.0
"""Between two reports."""


class OwnReport:
    """Used by the replica's thread."""

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
        )


def _time(epoch_s: float | None) -> datetime | None:
    return None if epoch_s is None else datetime.fromtimestamp(epoch_s, UTC)
