"""A running device that knows the person before it, and how the tests ask it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeface.contract.answers import AnyAnswer
from edgeface.contract.command_requests import Verb
from edgeface.mqtt.caller import Caller
from edgeface.mqtt.options import ConnectionOptions
from edgeface.security.keys import VerifyingKey
from tests.support.broker import Witness
from tests.support.daemon import DaemonProcess
from tests.support.messages import TOPICS

PERSON = "p_e11een0000"
CLIENT = "cli-of-the-tests"


@dataclass(frozen=True)
class Door:
    """A running device and where to ask it."""

    file: Path
    port: int
    daemon: DaemonProcess

    @property
    def folder(self) -> Path:
        return self.file.parent

    @property
    def key(self) -> VerifyingKey:
        return VerifyingKey.of_device(self.folder / "state" / "device.key.pub")

    def caller(self, client: str = CLIENT) -> Caller:
        return Caller(ConnectionOptions("127.0.0.1", self.port, ""), TOPICS, client)

    def ask(self, verb: Verb, timeout_s: float = 15, **arguments: Any) -> AnyAnswer:
        with self.caller() as caller:
            return caller.call(verb, arguments, timeout_s, key=self.key)

    def data(self, verb: Verb, timeout_s: float = 15, **arguments: Any) -> dict[str, Any]:
        answer = self.ask(verb, timeout_s, **arguments)
        assert answer.data is not None, answer.error
        return dict(answer.data)

    def turned_away(self) -> int:
        """Commands that were refused or dropped so far, by the device's own count."""
        with Witness(self.port, TOPICS.health) as witness:
            # The first one may have been on its way already.
            health = witness.wait_on(TOPICS.health, 2)[-1].message.payload
        counters = json.loads(health)["counters"]
        return sum(counters.get(f"commands_{name}", 0) for name in ("refused", "dropped"))
