"""Which requests a device takes, the checks before anything is done, and what may become of them.

A request is taken once: a transaction that was seen is refused for as long as the request could
still be good. Those remembered are bounded, of each client and of all: who asks for more than its
share has its own oldest ones forgotten, so that nobody is refused for what another asks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from edgeface.base.errors import ContractError
from edgeface.base.messages import Message
from edgeface.contract import codec, command_requests
from edgeface.contract.answers import Code, Sealed
from edgeface.contract.command_requests import TRANSACTION, Command, Verb
from edgeface.contract.commands import COMMANDS, as_verb
from edgeface.contract.topics import CLIENT, Topics


class CommandRefusedError(Exception):
    """Raised when a command cannot be done; becomes the error of its answer."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code


Outcome: TypeAlias = Callable[[], object]
"""Called by the commands' thread: makes the data of the answer, or raises CommandRefusedError.
What is slow (sealing, encoding) is done there and not in the thread of the models."""
Seal: TypeAlias = Callable[[bytes], Sealed]
"""Seals content to the administrator, as the answer to one request."""


def refusing(code: Code, message: str) -> Outcome:
    """An outcome that is a refusal."""

    def raise_it() -> object:
        raise CommandRefusedError(code, message)

    return raise_it


MAX_TRANSACTIONS: Final = 10_000
"""Remembered at most."""
MAX_OF_ONE_CLIENT: Final = 500
"""Of these, of one client."""

_VERB: Final = re.compile(r"[a-z_]{1,32}")


@dataclass(frozen=True, slots=True)
class Address:
    """Where the answer to a request goes."""

    verb: str
    """As it was asked; not necessarily one that exists."""
    topic: str
    correlation_data: bytes | None
    transaction: str | None
    """None when it could not be read."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was taken."""

    address: Address
    verb: Verb
    command: Command
    received_boottime_ns: int
    """When it arrived, on CLOCK_BOOTTIME."""


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """A request that was not taken."""

    address: Address | None
    """None where no answer can be sent: there is no legal response topic."""
    code: Code
    message: str


class Transactions:
    """Those that were used, by the client that is to have the answer.

    A client is whom the response topic names. The broker does not vouch for that: who takes many
    names fills the whole memory, and then the oldest of whoever has most goes.
    """

    def __init__(self) -> None:
        self._of: dict[str, dict[str, float]] = {}
        """Client -> transaction, the oldest first -> until when its request could be good."""
        self._client: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self._client)

    def __contains__(self, transaction: str) -> bool:
        return transaction in self._client

    def add(self, client: str, transaction: str, until_s: float, now_s: float) -> None:
        """Remember one that is not there."""
        if len(self._client) >= MAX_TRANSACTIONS:
            self._forget_ended(now_s)
        if len(self._of.get(client, ())) >= MAX_OF_ONE_CLIENT:
            self._forget_oldest(client)
        elif len(self._client) >= MAX_TRANSACTIONS:
            self._forget_oldest(max(self._of, key=lambda name: len(self._of[name])))
        self._of.setdefault(client, {})[transaction] = until_s
        self._client[transaction] = client

    def _forget_ended(self, now_s: float) -> None:
        ended = [
            name
            for known in self._of.values()
            for name, until_s in known.items()
            if until_s <= now_s
        ]
        for name in ended:
            self._forget(name)

    def _forget_oldest(self, client: str) -> None:
        self._forget(next(iter(self._of[client])))

    def _forget(self, transaction: str) -> None:
        client = self._client.pop(transaction)
        del self._of[client][transaction]
        if not self._of[client]:
            del self._of[client]


class Admission:
    """Judges the messages on `~/cmd/+`. Used by one thread.

    `now_s` is the effective time, UTC epoch seconds; it is a lower bound of the true one while
    `synced()` is false, so that a request may then seem to end too late, which is let pass.
    `enabled()` are the verbs in use.
    """

    def __init__(
        self,
        topics: Topics,
        session: str,
        *,
        now_s: Callable[[], float],
        synced: Callable[[], bool],
        enabled: Callable[[], tuple[Verb, ...]],
    ) -> None:
        self._topics = topics
        self._session = session
        self._now_s = now_s
        self._synced = synced
        self._enabled = enabled
        self.seen: Final = Transactions()
        codec.prepare(*(item.request for item in COMMANDS.values()))

    def judge(self, message: Message, received_boottime_ns: int) -> Request | RefusedRequest:
        """Take or refuse a message."""
        address, fields, fault = self._read(message)

        def refuse(code: Code, text: str) -> RefusedRequest:
            return RefusedRequest(address, code, text)

        if address is None:
            return refuse("malformed", "there is no legal response topic")
        if message.retain:
            return refuse("retained", "a command must not be retained; clear the topic")
        try:
            verb = as_verb(address.verb)
        except ContractError as error:
            return refuse("unknown_verb", str(error))
        if fields is None:
            code: Code = "too_large" if fault.reason == "too_large" else "malformed"
            return refuse(code, str(fault))
        try:
            command = codec.from_mapping(COMMANDS[verb].request, fields)
        except ContractError as error:
            return refuse("malformed", str(error))
        if verb not in self._enabled():
            return refuse(
                "disabled",
                f"{verb} is off: see commands in the device's configuration"
                " (enabled, snapshot, and administrator_key_file for sealed answers)",
            )
        return self._admit(Request(address, verb, command, received_boottime_ns), refuse)

    def _admit(
        self, request: Request, refuse: Callable[[Code, str], RefusedRequest]
    ) -> Request | RefusedRequest:
        command, now_s, synced = request.command, self._now_s(), self._synced()
        if command.session != self._session:
            return refuse("other_session", "the device has started anew; read its status again")
        left_s = command.expires_at.timestamp() - now_s
        if left_s <= 0:
            here = codec.format_time(datetime.fromtimestamp(now_s, UTC))
            return refuse("expired", f"it ended before {here}, the device's time")
        if synced and left_s > command_requests.MAX_AHEAD_S:
            return refuse(
                "expires_too_late", f"it ends more than {command_requests.MAX_AHEAD_S:.0f} s ahead"
            )
        if command.transaction in self.seen:
            return refuse("repeated", "this transaction was used before")
        client = request.address.topic.rpartition("/")[2]
        self.seen.add(client, command.transaction, command.expires_at.timestamp(), now_s)
        return request

    def _read(
        self, message: Message
    ) -> tuple[Address | None, dict[str, Any] | None, ContractError]:
        """Where to answer and the JSON object of the request, as far as they can be read, and what
        is wrong with the object if it is None."""
        fields: dict[str, Any] | None = None
        fault = ContractError("malformed", "the request cannot be read")
        try:
            fields = codec.load(message.payload, max_bytes=command_requests.MAX_COMMAND_BYTES)
        except ContractError as error:
            fault = error
        correlation = message.correlation_data
        if correlation is not None and len(correlation) > command_requests.MAX_CORRELATION_BYTES:
            limit = command_requests.MAX_CORRELATION_BYTES
            fault = ContractError("malformed", f"CorrelationData is longer than {limit} bytes")
            correlation, fields = None, None
        verb = message.topic.removeprefix(self._topics.command(""))
        if not self._is_legal(verb, message.response_topic):
            return None, fields, fault
        assert message.response_topic is not None
        named = None if fields is None else fields.get("transaction")
        readable = isinstance(named, str) and TRANSACTION.fullmatch(named) is not None
        transaction = str(named) if readable else None
        return Address(verb, message.response_topic, correlation, transaction), fields, fault

    def _is_legal(self, verb: str, topic: str | None) -> bool:
        if topic is None or _VERB.fullmatch(verb) is None:
            return False
        before, _, client = topic.rpartition("/")
        whole = f"{before}/" == self._topics.response(verb, "")
        return whole and CLIENT.fullmatch(client) is not None
