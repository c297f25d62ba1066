"""Card and face: whether a door may open for the answer to `verify`. The door's half.

The door times the answer by a clock of its own that only has to run evenly, so neither the time of
the day nor that of the device matters. It believes nothing but the device's signature over an
answer to its own transaction, about the person it asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias

from edgeface.base.errors import ContractError
from edgeface.base.messages import Message
from edgeface.contract import codec
from edgeface.contract.answers import Answer, AnyAnswer, VerifyData, VerifyProgress
from edgeface.contract.event import Pad
from edgeface.contract.topics import Topics
from edgeface.door.policy import Verdict
from edgeface.mqtt.caller import Caller, Question, question
from edgeface.security.keys import VerifyingKey

Demand: TypeAlias = Literal["live", "challenge"]
"""Evidence of a live person; of one who has passed a challenge."""
GRACE_S: Final = 0.5
"""For the way to the device and back."""


class Claim:
    """One presented card. Not used twice."""

    def __init__(
        self,
        topics: Topics,
        key: VerifyingKey,
        person_id: str,
        *,
        client: str,
        session: str,
        timeout_s: float,
        demand: Demand | None = None,
    ) -> None:
        """`demand`: what a match has to come with, whatever the device's policy is."""
        self._topics = topics
        self._key = key
        self._person_id = person_id
        self._session = session
        self._demand = demand
        codec.prepare(Answer[VerifyData], Answer[VerifyProgress])
        self.wait_s: Final = timeout_s + GRACE_S
        """An answer that comes later opens nothing."""
        asked: dict[str, Any] = {"person_id": person_id, "timeout_s": timeout_s}
        if demand == "challenge":
            asked["challenge"] = True
        self.question: Final[Question] = question(topics, "verify", client, session, asked)
        """What to ask."""
        self._answered = False

    def ask(
        self, caller: Caller, tell: Callable[[VerifyProgress], None] = lambda _: None
    ) -> Verdict | None:
        """Send the question and wait; None when nobody has answered in time. `tell` is given what
        the person is asked to do meanwhile."""
        caller.put(self.question)
        asked_s = time.monotonic()
        while message := caller.receive(asked_s + self.wait_s - time.monotonic()):
            prompt = self.prompt(message)
            if prompt is not None:
                tell(prompt)
                continue
            verdict = self.judge(message, time.monotonic() - asked_s)
            if verdict is not None:
                return verdict
        return None

    def prompt(self, message: Message) -> VerifyProgress | None:
        """What the device asks the person to do; None where the message is no such prompt of it
        for this claim."""
        if message.topic != self.question.response_topic or message.retain:
            return None
        if self._key.reason_against(message) is not None:
            return None
        try:
            answer = codec.from_json(Answer[VerifyProgress], message.payload)
        except ContractError:
            return None
        mine = (answer.transaction, answer.session) == (self.question.transaction, self._session)
        return answer.data if mine and answer.status == "progress" else None

    def judge(self, message: Message, elapsed_s: float) -> Verdict | None:
        """The verdict on a message that came `elapsed_s` after the question was sent; None when it
        has nothing to do with this claim."""
        if message.topic != self.question.response_topic:
            return None
        # 1. Is it the device's own word, in time?
        if message.retain:
            return Verdict(False, "retained")
        if (reason := self._key.reason_against(message)) is not None:
            return Verdict(False, reason)
        if elapsed_s > self.wait_s:
            return Verdict(False, "too_late")
        # 2. Is it the answer to this question?
        try:
            asked = codec.from_json(AnyAnswer, message.payload).transaction
            if asked != self.question.transaction:
                return None  # an earlier question's, or somebody's who uses the same topic
            answer = codec.from_json(Answer[VerifyData], message.payload)
        except ContractError as error:
            return Verdict(False, f"malformed:{error.reason}")
        if (answer.site, answer.device) != (self._topics.site, self._topics.device):
            return Verdict(False, "other_device")
        if answer.session != self._session:
            return Verdict(False, "other_session")
        if self._answered:
            return Verdict(False, "duplicate")
        self._answered = True
        # 3. Is it a yes, about this person?
        if answer.status != "ok" or answer.data is None:
            return Verdict(False, answer.error.code if answer.error else "no_data")
        if answer.data.person_id != self._person_id:
            return Verdict(False, "other_person")
        pad = answer.data.seen.pad
        reason = self._reason_against(answer.data.outcome, pad)
        return Verdict(reason is None, reason or "ok", pad=pad if pad.assessed else None)

    def _reason_against(self, outcome: str, pad: Pad) -> str | None:
        if outcome != "match":
            return outcome
        if self._demand is not None and pad.live is not True:
            return "not_live"
        return "not_challenged" if self._demand == "challenge" and not pad.challenged else None
