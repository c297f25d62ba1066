"""The demo's processes and what listens to them, and the one loop that works all that arrives."""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, TypeVar

from edgeface.base.backoff import Backoff
from edgeface.base.messages import Message, Subscription
from edgeface.contract.topics import Topics
from edgeface.demo.child import KILLED_S, Child, DemoError, tail
from edgeface.demo.plan import DEVICE, SITE, Workplace
from edgeface.demo.recordings import Timeline
from edgeface.demo.screen import Screen
from edgeface.demo.story import Happening, Story, json_object
from edgeface.mqtt.listener import LinkNews, Listener
from edgeface.mqtt.localbroker import LocalBroker
from edgeface.mqtt.options import ConnectionOptions
from edgeface.security.keys import SigningKey, VerifyingKey

DAEMON_STOP_S: Final = 13.0
DOOR_STOP_S: Final = 10.0
_TICK_S: Final = 0.05
_T = TypeVar("_T")

SESSION_EXPIRY_S: Final = 600


class Processes:
    """Used by the main thread; other threads only put tasks into its queue."""

    def __init__(
        self, workplace: Workplace, screen: Screen, timeline: Timeline | None = None
    ) -> None:
        """`timeline`: the truth about who was in view, for a simulated camera."""
        self.topics: Final = Topics(SITE, DEVICE)
        self.workplace: Final = workplace
        self.screen: Final = screen
        self.story: Final = Story(self.topics)
        self.broker: Final = LocalBroker(workplace.folder / "broker", persistence=True)
        self.recognized = 0
        """How often the daemon's log says that somebody was."""
        self.timeline: Final = timeline
        self.codes: Final[dict[str, int]] = {}
        """Exit codes of the processes that have been stopped."""
        self._tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._children: dict[str, Child] = {}
        self._listening = ExitStack()
        self._subscribed = 0
        self._key: VerifyingKey | None = None
        self._failure: DemoError | None = None
        self._began_s = time.monotonic()

    def now_s(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._began_s

    def say(self, who: str, text: str) -> None:
        """A line on the screen."""
        self.screen.line(self.now_s(), who, text)

    def start_broker(self) -> None:
        """mosquitto, with a listener for what a screen shows and one for the log."""
        self.broker.start()
        topics = self.topics
        # The device forgets an event once the broker has taken its log copy: who reads the log has
        # a session that the broker keeps.
        self._listen("demo-screen", 0, topics.event, topics.state, topics.status)
        self._listen("demo-log", SESSION_EXPIRY_S, topics.event_log)
        if not self.until(lambda: self._subscribed == 2, 10.0):
            raise DemoError("nobody could subscribe at the demo's broker")

    def _listen(self, client_id: str, expiry_s: int, *topics: str) -> None:
        options = ConnectionOptions(
            self.broker.host, self.broker.port, client_id, session_expiry_s=expiry_s
        )
        soon = Backoff(cap_s=1.0)
        wanted = [Subscription(topic) for topic in topics]
        self._listening.enter_context(Listener(options, wanted, self._hear, backoff=soon))

    def start_daemon(self) -> int:
        """`edgeface run`; its process id."""
        config, frames = self.workplace.config, self.workplace.frames
        recording: list[str | Path] = ["run", "-c", config, "--record", frames]
        return self._start("daemon", recording, self._daemon_said).pid

    def start_door(self) -> int:
        """`edgeface door`, with the key that the daemon will sign with; its process id, once it has
        subscribed."""
        self._key = SigningKey.load_or_create(self.workplace.state / "device.key").public
        where = ["--host", self.broker.host, "--port", str(self.broker.port)]
        who = ["--site", SITE, "--device", DEVICE, "--key", str(self.workplace.public_key)]
        where += ["--same-clock", "--json"]
        child = self._start("door", ["door", *who, *where], self._door_said)
        if not self.until(lambda: self.story.door_connected, 20.0):
            raise DemoError(f"the door did not subscribe within 20 s:\n{tail(child.log)}")
        return child.pid

    def until(self, reached: Callable[[], _T | None], timeout_s: float) -> _T | None:
        """Work what arrives until `reached` gives something true, which is returned; None when it
        does not in time. Raises DemoError when a process ends by itself."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            if self._failure is not None:
                raise self._failure
            found = reached()
            if found:
                return found
            if time.monotonic() >= deadline_s:
                return None
            with suppress(queue.Empty):
                self._tasks.get(timeout=_TICK_S)()

    def in_view(self, happening: Happening) -> str | None:
        """Whom the camera really showed, as far as that is known."""
        if self.timeline is None:
            return None
        return self.timeline.in_view(happening.event.captured_at)

    def finish(self) -> None:
        """Stop everything in order and note how it ended; what still arrives is worked."""
        self._failure = None
        self._stop_child("daemon", DAEMON_STOP_S)
        if "daemon" in self.codes:
            self.until(lambda: self.story.status == "stopped", 2.0)
        self._stop_child("door", DOOR_STOP_S)

    def close(self) -> None:
        """End every process and connection; safe to call twice and after any failure."""
        self._failure = None
        self._stop_child("daemon", DAEMON_STOP_S)
        self._stop_child("door", DOOR_STOP_S)
        self._listening.close()
        self.broker.stop()

    def _start(
        self, name: str, arguments: list[str | Path], said: Callable[[str, float], None]
    ) -> Child:
        def on_line(line: str) -> None:
            at_s = self.now_s()
            self._tasks.put(lambda: said(line, at_s))

        def on_end(code: int) -> None:
            self._tasks.put(lambda: self._ended(name, code))

        child = Child(arguments, self.workplace.log_of(name), on_line, on_end)
        self._children[name] = child
        return child

    def _stop_child(self, name: str, timeout_s: float) -> None:
        child = self._children.pop(name, None)
        if child is not None:
            self.codes[name] = child.stop(timeout_s)

    def _ended(self, name: str, code: int) -> None:
        if name in self._children:
            self._stop_child(name, KILLED_S)
            log = self.workplace.log_of(name)
            self._failure = DemoError(f"the {name} ended by itself with {code}:\n{tail(log)}")

    def _hear(self, item: Message | LinkNews) -> None:
        """In a listener's thread."""
        at_s, utc_s = self.now_s(), time.time()
        if isinstance(item, Message):
            self._tasks.put(lambda: self._heard(item, at_s, utc_s))
        elif item.kind == "ready":
            self._tasks.put(self._count)

    def _count(self) -> None:
        self._subscribed += 1

    def _heard(self, message: Message, at_s: float, utc_s: float) -> None:
        happening = self.story.hear(message, at_s, utc_s, self._key)
        if happening is None:
            return
        if message.topic == self.topics.event:
            self.screen.event(happening, self.in_view(happening))
            if happening.door_s is not None:
                self.screen.door(happening, self.in_view(happening))
        elif happening.historical and happening.first_s == at_s:  # the log may say it again
            self.screen.late(happening)

    def _door_said(self, line: str, at_s: float) -> None:
        happening = self.story.hear_door(json_object(line), at_s)
        if happening is not None and happening.live_s is not None:
            self.screen.door(happening, self.in_view(happening))

    def _daemon_said(self, line: str, _at_s: float) -> None:
        self.recognized += json_object(line).get("outcome") == "recognized"
