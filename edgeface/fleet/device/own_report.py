"""When and what a device reports of the fleet's gallery: `~/gallery/reported`, signed, retained."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from edgeface.base.messages import Publication
from edgeface.contract import codec
from edgeface.contract.gallery_report import Reported
from edgeface.contract.topics import Topics
from edgeface.fleet.device.follower import Follower
from edgeface.fleet.protocol.position import NOTHING
from edgeface.security.keys import DeviceKey

MIN_INTERVAL_S: Final = 1.0
"""Between two reports."""


class OwnReport:
    """Used by the follower's thread."""

    def __init__(self, follower: Follower, topics: Topics, key: DeviceKey, session: str) -> None:
        self._follower = follower
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
        follower = self._follower
        gathering, lifetime, served = (
            follower.gathering,
            follower.lifetime,
            follower.gathering.served,
        )
        store, applied = gathering.holdings.store, gathering.applied
        version = applied.version if applied.digest is not None else NOTHING
        return Reported(
            session=self._session,
            reported_at=_time(utc_s),
            standing=follower.standing,
            epoch=version.epoch,
            revision=version.revision,
            digest=None if applied.digest is None else applied.digest.hex(),
            people=store.count(),
            templates=store.spaces().get(served.space, 0),
            missing=gathering.missing,
            space=served.space or None,
            fresh_until=_optional_time(lifetime.fresh_until_s),
            good_until=_optional_time(lifetime.good_until_s),
            refusals=follower.refusals.listed,
            receipts=gathering.holdings.receipts(),
            erased_epoch=gathering.erased.epoch,
            erased_revision=gathering.erased.revision,
        )

    def _state(self) -> object:
        """Differs whenever a report would, but for its time."""
        follower = self._follower
        gathering = follower.gathering
        return (
            follower.standing,
            gathering.applied,
            gathering.erased,
            gathering.missing,
            gathering.served.space,
            follower.lifetime.fresh_until_s,
            follower.refusals.total,
        )


def _time(epoch_s: float) -> datetime:
    return datetime.fromtimestamp(epoch_s, UTC)


def _optional_time(epoch_s: float | None) -> datetime | None:
    return None if epoch_s is None else _time(epoch_s)
