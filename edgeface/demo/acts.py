"""The acts of the demo, each waiting for what it is about, and the checks they end in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from edgeface.demo import checks
from edgeface.demo.checks import Check
from edgeface.demo.plan import Pace
from edgeface.demo.recordings import Recordings
from edgeface.demo.sheet import Scene
from edgeface.demo.stage import Stage
from edgeface.demo.story import Happening
from edgeface.demo.waiting import waiting_events

OUTBOX_S: Final = 5.0
"""From the daemon's decision to its event on disk, at most."""
AFTER_VALIDITY_S: Final = 0.1
BEFORE_VISIT_S: Final = 0.3
LINGER_S: Final = 0.7
"""After the last opening, for some more pictures of it."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays."""

    person_id: str
    enrolled: str
    """As the screen calls them."""
    stranger: str | None
    """None: a real camera; no stranger has to come."""


@dataclass(slots=True)
class Outcome:
    """What the acts have seen; None where one was not reached."""

    opened: Happening | None = None
    on_disk: int = 0
    waited_id: str | None = None
    valid_until: datetime | None = None
    """Of the event that waited; from then on its log copy is historical."""
    encore: Happening | None = None
    reached: int = 0
    """How many acts have come about."""


class Acts:
    """Plays them in order; `play` stops at the first that does not come about."""

    def __init__(self, stage: Stage, cast: Cast, pace: Pace, recordings: Recordings) -> None:
        self.outcome: Final = Outcome()
        self._stage = stage
        self._cast = cast
        self._pace = pace
        self._recordings = recordings

    def play(self) -> None:
        """Raises DemoError when a process ends by itself."""
        acts: list[Callable[[], bool]] = [self._open]
        if self._cast.stranger is not None:
            acts.append(self._stay_shut)
        acts.append(self._lose_the_broker)
        acts.append(self._come_back)
        if self._pace.encore:
            acts.append(self._open_again)
        for act in acts:
            if not act():
                return
            self.outcome.reached += 1

    def checks(self) -> list[Check]:
        """What came of it."""
        stage, cast, outcome = self._stage, self._cast, self.outcome
        story = stage.story
        waited = story.happenings.get(outcome.waited_id or "")
        back_s = story.door.ready_s if story.door.ready > 1 else None
        found = [checks.opened_check(cast.enrolled, outcome.opened)]
        if cast.stranger is not None:
            found.append(checks.stranger_check(cast.stranger, self._of(cast.stranger)))
        found += [
            checks.waited_check(outcome.on_disk),
            checks.logged_check(waited),
            checks.stayed_shut_check(waited, back_s),
        ]
        if self._pace.encore:
            found.append(checks.encore_check(cast.enrolled, outcome.encore))
        if cast.stranger is not None:
            found.append(checks.nobody_else_check(story, self._is_enrolled))
        found.append(checks.complete_log_check(story))
        return found

    def scenes(self) -> list[Scene]:
        """The rows of the contact sheet."""
        cast, outcome = self._cast, self.outcome
        happenings = self._stage.story.happenings
        found: list[Scene] = []
        if outcome.opened is not None:
            found.append(_live(f"{cast.enrolled}, enrolled", outcome.opened))
        if cast.stranger is not None:
            seen = [item for item in self._of(cast.stranger) if item.live_s is not None]
            seen.sort(key=lambda item: item.event.track.frames)
            found += [_live(f"{cast.stranger}, a stranger", item) for item in seen[-1:]]
        waited = happenings.get(outcome.waited_id or "")
        if waited is not None:
            remarks: tuple[str, ...] = ("waited in the outbox, never sent live",)
            if waited.historical:
                remarks += ("later on event/log: historical",)
            found.append(Scene(f"{cast.enrolled}, while the broker is gone", waited, remarks))
        if outcome.encore is not None:
            found.append(_live(f"{cast.enrolled}, with the broker back", outcome.encore))
        return found

    def _open(self) -> bool:
        self.outcome.opened = self._next_opening(set())
        return self.outcome.opened is not None

    def _stay_shut(self) -> bool:
        stranger = self._cast.stranger
        assert stranger is not None

        def seen() -> Happening | None:
            return next(
                (
                    item
                    for item in self._of(stranger)
                    if item.event.event_type == "unknown" and item.live_s and item.is_complete
                ),
                None,
            )

        return self._stage.until(seen, self._pace.step_s) is not None

    def _lose_the_broker(self) -> bool:
        """Stop the broker between two visits, and wait for a recognition without it."""
        stage = self._stage
        if self._cast.stranger is None:
            stage.say("demo", "Please step out of view.")
        if stage.until(lambda: self._is_the_moment() or None, self._pace.step_s) is None:
            return False
        stage.broker.stop()
        stage.say("broker", "stopped: the door and the daemon are on their own now")
        if self._cast.stranger is None:
            stage.say("demo", "And now come back into view.")
        before = self._decided()
        if stage.until(lambda: self._decided() > before or None, self._pace.step_s) is None:
            return False
        stage.say("daemon", f"decides: recognized {self._cast.enrolled}, and cannot tell anybody")
        return stage.until(lambda: self._look_into_outbox() or None, OUTBOX_S) is not None

    def _look_into_outbox(self) -> bool:
        outcome = self.outcome
        waiting = waiting_events(self._stage.workplace.outbox)
        names = [item for item in waiting if item.match is not None]
        if not names or names[-1].match is None:
            return False
        waited = names[-1]
        outcome.on_disk, outcome.waited_id = len(waiting), waited.event_id
        outcome.valid_until = waited.valid_until
        return True

    def _come_back(self) -> bool:
        """Start the broker once the event has grown old; wait for its log copy and for the door."""
        stage, outcome = self._stage, self.outcome
        many = "1 event waits" if outcome.on_disk == 1 else f"{outcome.on_disk} events wait"
        stage.say("outbox", f"{many} on disk, until the broker is back")
        if stage.until(lambda: self._is_old() or None, self._pace.step_s) is None:
            return False
        stage.broker.start()
        stage.say("broker", "started again; the waiting recognition is no longer valid")

        def all_of_it() -> bool | None:
            waited = stage.story.happenings.get(outcome.waited_id or "")
            logged = waited is not None and waited.logged_s is not None
            there = stage.story.door.ready > 1 and stage.story.door.connected
            return True if logged and there else None

        if stage.until(all_of_it, self._pace.step_s) is None:
            return False
        if not stage.story.happenings[outcome.waited_id or ""].opened:
            stage.screen.line(
                stage.now_s(), "door", "SHUT: it is connected and never saw the late one", "red"
            )
        return True

    def _is_old(self) -> bool:
        valid_until = self.outcome.valid_until
        assert valid_until is not None
        return datetime.now(UTC) > valid_until + timedelta(seconds=AFTER_VALIDITY_S)

    def _open_again(self) -> bool:
        known = {item for item in (self.outcome.waited_id,) if item is not None}
        before_s = self._stage.story.door.ready_s or 0.0
        self.outcome.encore = self._next_opening(known, after_s=before_s)
        if self.outcome.encore is None:
            return False
        self._stage.until(lambda: None, LINGER_S)
        return True

    def _next_opening(self, known: set[str], after_s: float = 0.0) -> Happening | None:
        """The next live recognition of the enrolled person that the door has judged."""

        def found() -> Happening | None:
            for event_id, item in self._stage.story.happenings.items():
                match = item.event.match
                if event_id in known or match is None or match.person_id != self._cast.person_id:
                    continue
                if item.live_s is not None and item.live_s > after_s and item.door_s is not None:
                    return item
            return None

        return self._stage.until(found, self._pace.step_s)

    def _decided(self) -> int:
        """How often the daemon's log says that somebody was recognized."""
        return sum(line.get("message") == "recognized" for line in self._stage.daemon_lines)

    def _is_the_moment(self) -> bool:
        """Nobody is in view, and the enrolled person comes next."""
        timeline = self._stage.timeline
        if timeline is not None:
            now = datetime.now(UTC)
            coming = timeline.visit_at(now + timedelta(seconds=BEFORE_VISIT_S))
            if timeline.visit_at(now) is not None or coming is None:
                return False
            return self._stage.names[timeline.photograph_of(coming)] == self._cast.enrolled
        frames = self._recordings.frames()
        newest = frames[-1].captured_at if frames else datetime.fromtimestamp(0, UTC)
        return (datetime.now(UTC) - newest).total_seconds() > self._pace.away_s

    def _of(self, name: str) -> list[Happening]:
        return [
            item
            for item in self._stage.story.happenings.values()
            if self._stage.in_view(item) == name
        ]

    def _is_enrolled(self, happening: Happening) -> bool:
        return self._stage.in_view(happening) == self._cast.enrolled


def _live(title: str, happening: Happening) -> Scene:
    if happening.event.match is None:
        return Scene(title, happening)
    return Scene(title, happening, (f"{happening.latency_ms} ms from capture to event",))
