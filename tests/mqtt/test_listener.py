"""Who only listens goes on, whatever stands in the way of a connection."""

from __future__ import annotations

import errno
import queue
from collections.abc import Iterator

import pytest

from edgeface.base.backoff import Backoff
from edgeface.base.messages import Message, Subscription
from edgeface.mqtt import listener
from edgeface.mqtt.connection import Connection
from edgeface.mqtt.listener import LinkNews, Listener
from edgeface.mqtt.localbroker import LocalBroker, free_port
from edgeface.mqtt.options import ConnectionOptions


def test_a_process_without_a_file_left_goes_on_to_listen_once_it_has_one(
    broker: LocalBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def connections() -> Iterator[Connection]:
        yield Connection(ConnectionOptions("127.0.0.1", free_port(), ""))
        raise OSError(errno.EMFILE, "Too many open files")

    made = connections()

    def connect(options: ConnectionOptions) -> Connection:
        return next(made, None) or Connection(options)

    monkeypatch.setattr(listener, "Connection", connect)
    said: queue.SimpleQueue[Message | LinkNews] = queue.SimpleQueue()
    options = ConnectionOptions(broker.host, broker.port, "")
    with Listener(options, [Subscription("a")], said.put, backoff=Backoff(cap_s=0.1)):
        news = [said.get(timeout=10) for _ in range(3)]
    assert [item.kind for item in news if isinstance(item, LinkNews)] == [
        "unreachable",
        "unreachable",
        "ready",
    ]
