"""A broker in memory that keeps retained messages as MQTT 5 says, and a hostile network before it.

Nothing happens by itself: messages lie in each client's queue until the test delivers, drops,
doubles or swaps them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Self, TypeVar

from paho.mqtt.client import topic_matches_sub

from edgeface.base.errors import BrokerError
from edgeface.base.messages import Message, Publication, Subscription

_Key = TypeVar("_Key")


class MemoryBroker:
    """Retained messages and who is subscribed."""

    def __init__(self, queue_limit: int = 10_000) -> None:
        self.retained: dict[str, Message] = {}
        self.clients: list[MemoryClient] = []
        self.queue_limit = queue_limit
        """What does not fit into a client's queue is dropped, as mosquitto does."""
        self.fail_after: int | None = None
        """The administrator's connection breaks after so many messages."""
        self.forget = False
        """... and dies before it has noted which of them were acknowledged."""

    def publish(self, publication: Publication) -> None:
        """Keep it where it is retained, and hand it to those who are subscribed."""
        message = Message(
            publication.topic,
            publication.payload,
            publication.qos,
            publication.retain,
            publication.user_properties,
        )
        self.put(message)

    def put(self, message: Message) -> None:
        """As `publish`, by anybody."""
        if message.retain:
            if message.payload:
                self.retained[message.topic] = message
            else:
                self.retained.pop(message.topic, None)
        for client in self.clients:
            client.offer(message)

    def matching(self, topic_filter: str) -> list[Message]:
        """The retained messages of a topic filter."""
        if "+" not in topic_filter and "#" not in topic_filter:
            found = self.retained.get(topic_filter)
            return [] if found is None else [found]
        return [m for topic, m in self.retained.items() if topic_matches_sub(topic_filter, topic)]

    def connect(self) -> MemoryClient:
        client = MemoryClient(self)
        self.clients.append(client)
        return client

    def administrator(self, _options: object = None) -> MemoryAdministrator:
        """In the place of `edgeface.fleet.admin.broker.Broker`."""
        return MemoryAdministrator(self)


class MemoryClient:
    """One device's connection: a `replica.Wire`, and the queue of what is on its way."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self._filters: dict[str, Subscription] = {}
        self.queue: deque[Message] = deque()
        self.asked: list[str] = []
        """Every topic filter that was ever subscribed to, in order."""
        self.most = 0
        """The most topic filters at once."""

    def subscribe(self, subscriptions: Iterable[Subscription]) -> int | None:
        for subscription in subscriptions:
            known = subscription.topic_filter in self._filters
            self._filters[subscription.topic_filter] = subscription
            self.asked.append(subscription.topic_filter)
            handling = subscription.retain_handling
            if handling == 0 or (handling == 1 and not known):
                for message in self._broker.matching(subscription.topic_filter):
                    self._push(message)
        self.most = max(self.most, len(self._filters))
        return 1

    def unsubscribe(self, topic_filters: list[str]) -> None:
        for topic_filter in topic_filters:
            self._filters.pop(topic_filter, None)

    def offer(self, message: Message) -> None:
        wild = (item for item in self._filters if "+" in item or "#" in item)
        if message.topic in self._filters or any(
            topic_matches_sub(item, message.topic) for item in wild
        ):
            self._push(message)

    def close(self) -> None:
        if self in self._broker.clients:
            self._broker.clients.remove(self)
        self.queue.clear()

    def _push(self, message: Message) -> None:
        if len(self.queue) < self._broker.queue_limit:
            self.queue.append(message)


class MemoryAdministrator:
    """What `edgeface.fleet.admin.broker.Broker` does, at once."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker
        self.latest: dict[str, Message] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def retained(
        self,
        filters: Iterable[str],
        enough: Callable[[Mapping[str, Message]], bool] = lambda _: False,
    ) -> Mapping[str, Message]:
        for topic_filter in filters:
            for message in self._broker.matching(topic_filter):
                self.latest[message.topic] = message
        return self.latest

    def fetch(self, topic: str) -> bytes | None:
        self.retained([topic])
        return self.known(topic)

    def known(self, topic: str) -> bytes | None:
        message = self.latest.get(topic)
        return None if message is None else message.payload

    def send_all(
        self,
        items: Iterable[tuple[_Key, Publication]],
        acknowledged: Callable[[list[_Key]], None],
    ) -> None:
        done: list[_Key] = []
        broken = True
        try:
            for key, publication in items:
                if self._broker.fail_after is not None:
                    if self._broker.fail_after <= 0:
                        raise BrokerError("the connection to the broker broke")
                    self._broker.fail_after -= 1
                self._broker.publish(publication)
                done.append(key)
            broken = False
        finally:
            if done and not (broken and self._broker.forget):
                acknowledged(done)
