"""Whether a door may open for a message: the consumer's half of the promise of freshness.

Pure: no network, and the clock is given. A door that is built differently has to check the same.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from edgeface.base.clock import Clock, stamp_now
from edgeface.base.errors import ContractError
from edgeface.base.messages import Message
from edgeface.contract import codec, event
from edgeface.contract.event import Pad
from edgeface.contract.topics import Topics
from edgeface.security.keys import VerifyingKey

MAX_REMEMBERED: Final = 10_000
"""Event ids kept against a second use; ids that are still valid are kept beyond it."""
MAX_AHEAD: Final = timedelta(seconds=2)
"""How far the device's clock may be ahead of the door's."""
TOO_SOON: Final = (
    "under report, its policy, the device says a name before motion can tell that it is live: set "
    "its pad.event, and pad.verify, to refuse_recognized or challenge"
)
MAX_VALIDITY: Final = timedelta(seconds=60)
"""No event is believed to be valid for longer, whatever it says."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Open or not, and why."""

    open: bool
    reason: str
    """`ok`, or the check that failed, in words a program can count."""
    event: event.Recognition | None = None
    """What was judged, once its signature has been found good."""
    pad: Pad | None = None
    """The evidence of liveness of what was judged, where any was looked for."""

    @property
    def evidence(self) -> dict[str, str]:
        """For people: that evidence, and why it may be missing."""
        if self.pad is None:
            return {}
        told = {"pad": self.pad.told}
        if self.reason == "not_live" and self.pad.policy == "report":
            told["hint"] = TOO_SOON
        return told


class DoorPolicy:
    """Judges the messages of one device, each by one pinned key and the door's own clock.

    What an earlier policy may have opened for is refused, so that starting the door anew forgets
    nothing that matters: whatever that one took was captured, by a clock that may be ahead by
    `MAX_AHEAD`, no later than that after this one was made. Nothing has to be kept on disk for it.
    """

    def __init__(
        self,
        topics: Topics,
        key: VerifyingKey,
        clock: Clock,
        *,
        same_clock: bool = False,
        live_only: bool = False,
    ) -> None:
        """`same_clock`: it is the very clock that the device stamps its events with, as on one
        machine; then an event's age is known whether or not that clock is synchronized.
        `live_only`: it takes evidence of a live person besides, whatever the device's policy is."""
        self.counts: Counter[str] = Counter()
        """How often each verdict was given, by its reason."""
        self._topics = topics
        self._key = key
        self._clock = clock
        self._same_clock = same_clock
        self._live_only = live_only
        self._began_ns = clock.boottime_ns()
        codec.prepare(event.Recognition, event.Gap)
        self._seen: OrderedDict[str, datetime] = OrderedDict()

    def judge(self, message: Message) -> Verdict:
        """The verdict on one message of `~/event`; it is counted."""
        verdict = self._judge(message)
        self.counts[verdict.reason] += 1
        return verdict

    def _judge(self, message: Message) -> Verdict:
        # 1. Is it the device's own word, on the one topic that is for acting?
        if message.topic != self._topics.event:
            return Verdict(False, "wrong_topic")
        if message.retain:
            return Verdict(False, "retained")
        if (reason := self._key.reason_against(message)) is not None:
            return Verdict(False, reason)
        # 2. Does it keep the contract?
        try:
            found = event.parse(message.payload)
        except ContractError as error:
            return Verdict(False, f"malformed:{error.reason}")
        if not isinstance(found, event.Recognition):
            return Verdict(False, "not_a_recognition")
        return self._judge_event(found)

    def _judge_event(self, found: event.Recognition) -> Verdict:
        pad = found.pad if found.pad.assessed else None

        def refuse(reason: str) -> Verdict:
            return Verdict(False, reason, found, pad)

        if (found.site, found.device) != (self._topics.site, self._topics.device):
            return refuse("other_device")
        # 3. Is it now? By the door's own clock, and only if the device's can be compared with it.
        now = stamp_now(self._clock).captured_at
        if found.historical:
            return refuse("historical")
        if not found.clock_synced and not self._same_clock:
            return refuse("clock_unsynced")
        if now >= found.valid_until:
            return refuse("stale")
        if found.captured_at > now + MAX_AHEAD:
            return refuse("from_the_future")
        if found.valid_until - found.captured_at > MAX_VALIDITY:
            return refuse("valid_too_long")
        if found.captured_at < self._surely_after_start(now):
            return refuse("before_start")
        # 4. Is it the first time?
        if found.event_id in self._seen:
            return refuse("duplicate")
        self._seen[found.event_id] = found.valid_until
        while len(self._seen) > MAX_REMEMBERED and next(iter(self._seen.values())) <= now:
            self._seen.popitem(last=False)
        # 5. Is it a name?
        if found.event_type != "recognized":
            return refuse(f"not_recognized:{found.event_type}")
        if self._live_only and found.pad.live is not True:
            return refuse("not_live")
        return Verdict(True, "ok", found, pad)

    def _surely_after_start(self, now: datetime) -> datetime:
        """From when on, by the device's clock, an event was captured after this policy was made.
        The start is counted back from now: setting the door's clock meanwhile moves both."""
        since = timedelta(microseconds=(self._clock.boottime_ns() - self._began_ns) // 1_000)
        return now - since + (timedelta() if self._same_clock else MAX_AHEAD)
