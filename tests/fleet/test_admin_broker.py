"""The administrator's connection, with a broker that does not do its part."""

from __future__ import annotations

import pytest

from edgeface.base.errors import BrokerError
from edgeface.base.messages import Publication
from edgeface.fleet.admin.broker import Broker
from edgeface.mqtt.options import ConnectionOptions


class TakesNothing(Broker):
    """Connected to a broker whose Receive Maximum is 0."""

    heard = 0

    @property
    def free(self) -> int:
        return 0

    def hear(self, _timeout_s: float) -> None:
        self.heard += 1
        assert self.heard < 5, "waited for ever"


def test_a_broker_that_takes_nothing_is_not_waited_for() -> None:
    broker = TakesNothing(ConnectionOptions("127.0.0.1", 1, ""))
    with pytest.raises(BrokerError, match="takes no messages"):
        broker.send_all([(0, Publication("a", b""))], lambda _: None)
