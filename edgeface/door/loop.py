"""The loop of the reference door. Read it, and `policy`, before you write your own.

It subscribes to the one topic that is for acting, lets `DoorPolicy` judge every message by the
door's own clock, and acts on `open`. Nothing else opens it.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from edgeface.base.messages import Message, Subscription
from edgeface.contract.topics import Topics
from edgeface.door.policy import DoorPolicy, Verdict
from edgeface.mqtt.listener import LinkNews, Listener
from edgeface.mqtt.options import ConnectionOptions

Inbox: TypeAlias = queue.SimpleQueue[Message | LinkNews | None]
"""What waits to be looked at; None ends the loop."""
Show: TypeAlias = Callable[[dict[str, Any]], None]
Act: TypeAlias = Callable[[str, str, datetime], None]
"""Opens, for a person, because of an event, which holds until then."""

STATUS_S: Final = 5.0
"""A retained status comes at once, or there is none."""
HELD_UP_S: Final = 1.0
"""A wait that ends so much too late says nothing about the broker."""
MAX_WAITING: Final = 1000
"""Messages that may wait behind a slow command; more are dropped and counted as `too_many`."""
NO_STATUS: Final = "no such device has been at this broker, or this user may not read it"


def follow(
    options: ConnectionOptions,
    topics: Topics,
    policy: DoorPolicy,
    inbox: Inbox,
    show: Show,
    act: Act,
) -> None:
    """Judge what comes until there is a None in the inbox, and show what was counted. Raises
    BrokerFileError when a file that the options name cannot be used."""
    # Retained copies are asked for on purpose: to be refused where somebody can see it. The status
    # is not acted upon: it tells whether anything can come at all.
    wanted = (Subscription(topics.event), Subscription(topics.status))
    heard, deadline_s = False, None
    listener = Listener(options, wanted, lambda item: offer(inbox, item, policy))
    with ExitStack() as at_last, listener:
        at_last.callback(lambda: show({"door": "stopped", "counts": dict(policy.counts)}))
        while True:
            try:
                left_s = None if deadline_s is None else max(0.0, deadline_s - time.monotonic())
                item = inbox.get(timeout=left_s)
            except queue.Empty:
                late_s = 0.0 if deadline_s is None else time.monotonic() - deadline_s
                if not 0 <= late_s <= HELD_UP_S:
                    # A wait that ended early; or everything was held up, the network as well.
                    deadline_s = time.monotonic() + HELD_UP_S
                    continue
                heard, deadline_s = True, None
                show({"door": "silent", "reason": f"no status of {topics.base}: {NO_STATUS}"})
                continue
            if item is None:
                return
            if isinstance(item, LinkNews):
                show(_told(item, options, topics))
                if item.kind == "ready" and not heard:
                    deadline_s = time.monotonic() + STATUS_S
            elif item.topic == topics.status:
                heard, deadline_s = True, None
            else:
                # Judged here and now: what waited behind a slow command has grown old meanwhile.
                verdict = policy.judge(item)
                show(_judged(verdict))
                if verdict.open and verdict.event is not None and verdict.event.match is not None:
                    event = verdict.event
                    act(verdict.event.match.person_id, event.event_id, event.valid_until)


def offer(inbox: Inbox, item: Message | LinkNews, policy: DoorPolicy) -> None:
    """Leave something to be looked at, if not too many messages wait already."""
    if isinstance(item, Message) and inbox.qsize() >= MAX_WAITING:
        policy.counts["too_many"] += 1
    else:
        inbox.put(item)


def _told(news: LinkNews, options: ConnectionOptions, topics: Topics) -> dict[str, Any]:
    if news.kind == "ready":
        return {"door": "ready", "topic": topics.event}
    away = news.kind == "unreachable"
    where = {"broker": f"{options.host}:{options.port}"} if away else {}
    return {"door": news.kind, **where, "reason": news.reason}


def _judged(verdict: Verdict) -> dict[str, Any]:
    line: dict[str, Any] = {
        "door": "open" if verdict.open else "shut",
        "reason": verdict.reason,
        "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    if (found := verdict.event) is not None:
        line |= {"event_id": found.event_id, "event_type": found.event_type}
        if found.match is not None:
            line |= {"person_id": found.match.person_id, "score": found.match.score}
    return line | verdict.evidence
