"""The other end of a command: asks one device and waits for the answer."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from edgeface.base.errors import ContractError, NoAnswerError
from edgeface.base.messages import Message, Publication
from edgeface.contract import codec
from edgeface.contract.answers import AnyAnswer
from edgeface.contract.command_requests import Verb, new_transaction
from edgeface.contract.commands import COMMANDS
from edgeface.contract.report import Status
from edgeface.contract.topics import CLIENT, Topics
from edgeface.mqtt.client import Client
from edgeface.mqtt.options import ConnectionOptions
from edgeface.security.keys import VerifyingKey

LIFETIME_S: Final = 20.0
"""A request may reach the device so long after it was made, and no later."""
STATUS_S: Final = 4.0
"""A retained status comes at once, or there is none."""
CORRECTED_S: Final = 1.5
"""A device has corrected a wrong status of its own by then."""


@dataclass(frozen=True, slots=True)
class Question:
    """A request that is ready to be sent."""

    publication: Publication
    transaction: str
    response_topic: str


def question(
    topics: Topics, verb: Verb, client: str, session: str, arguments: dict[str, Any]
) -> Question:
    """A new transaction that asks `verb` of the device in this session. Raises ContractError for
    arguments that cannot be."""
    transaction = new_transaction()
    expires_at = datetime.now(UTC) + timedelta(seconds=LIFETIME_S)
    mapping = {
        "transaction": transaction,
        "session": session,
        "expires_at": codec.format_time(expires_at),
        **arguments,
    }
    codec.from_mapping(COMMANDS[verb].request, mapping)
    publication = Publication(
        topics.command(verb),
        codec.dump(mapping),
        expiry_s=round(LIFETIME_S),
        correlation_data=transaction.encode(),
        response_topic=topics.response(verb, client),
    )
    return Question(publication, transaction, topics.response(verb, client))


class Caller(Client):
    """A connection of its own, for asking one device. Used with `with`, by one thread.

    `client` is the last word of the response topics; where the broker has an access list it has to
    be the name of the user. Raises BrokerError, and ContractError for an impossible `client`.
    """

    def __init__(self, options: ConnectionOptions, topics: Topics, client: str) -> None:
        if CLIENT.fullmatch(client) is None:
            raise ContractError("bad_id", f"client {client!r}: letters, digits, - _ and . only")
        super().__init__(options)
        self.topics = topics
        self.client = client

    def session(self) -> str:
        """The session of the device, which is online. Raises NoAnswerError when it is not.

        A device corrects a wrong status within a second or so: what is malformed is passed over,
        and one that is away is given that long.
        """
        self.subscribe(self.topics.status)
        until_s = time.monotonic() + STATUS_S
        where = f"{self.topics.site}/{self.topics.device}"
        trouble = (
            f"{where}: no device of this name has been at this broker, or this user may not read "
            "its status"
        )
        while (message := self.receive(until_s - time.monotonic())) is not None:
            if message.topic != self.topics.status:
                continue
            try:
                status = codec.from_json(Status, message.payload)
            except ContractError as error:
                trouble = f"{where}: its status cannot be read: {error}"
                continue
            if status.status == "online":
                return status.session
            trouble = f"{where} is {status.status}"
            until_s = min(until_s, time.monotonic() + CORRECTED_S)
        raise NoAnswerError(trouble)

    def put(self, asked: Question) -> None:
        """Send it; what is answered can be received."""
        self.subscribe(asked.response_topic)
        self.send(asked.publication)

    def call(
        self,
        verb: Verb,
        arguments: dict[str, Any],
        timeout_s: float,
        *,
        key: VerifyingKey | None = None,
        session: str | None = None,
        progress: Callable[[AnyAnswer], None] = lambda _: None,
    ) -> AnyAnswer:
        """Ask, and wait for the last word. `session` is looked up where it is not given.

        Raises NoAnswerError after `timeout_s`, and ContractError for an answer that is none or,
        with a `key`, not the device's.
        """
        session = session or self.session()
        asked = question(self.topics, verb, self.client, session, arguments)
        self.put(asked)
        deadline = time.monotonic() + timeout_s
        while (message := self.receive(deadline - time.monotonic())) is not None:
            if message.topic != asked.response_topic or message.retain:
                continue
            answer = read_answer(message, verb, key)
            # Of a request that it cannot read the device gives back the correlation data alone.
            echo = answer.transaction or (message.correlation_data or b"").decode(errors="replace")
            if echo != asked.transaction:
                continue
            if answer.status != "progress":
                return answer
            progress(answer)
        raise NoAnswerError(
            f"{self.topics.site}/{self.topics.device}: no answer in {timeout_s:g} s"
        )


def read_answer(message: Message, verb: Verb, key: VerifyingKey | None) -> AnyAnswer:
    """The answer in a message, its data checked to be that of `verb`.

    Raises ContractError: `wrong_signature` when a key is given and it is not signed by it, or what
    is malformed.
    """
    if key is not None and key.reason_against(message) is not None:
        raise ContractError("wrong_signature", "the answer is not signed by the device's key")
    answer = codec.from_json(AnyAnswer, message.payload)
    if answer.status == "error":
        return dataclasses.replace(answer, data=None)
    command = COMMANDS[verb]
    kind = command.progress if answer.status == "progress" else command.answer
    if kind is None:
        raise ContractError("inconsistent", f"status: {verb} has no progress")
    if codec.from_json(kind, message.payload).data is None:
        raise ContractError("missing_field", "data: missing")
    return answer
