"""The steps of the demo, each waiting for what it is about, and the checks they end in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from edgeface.demo import checks
from edgeface.demo.checks import Check
from edgeface.demo.plan import Pace
from edgeface.demo.processes import Processes
from edgeface.demo.recordings import NOBODY, Recordings
from edgeface.demo.sheet import SheetRow
from edgeface.demo.story import Happening
from edgeface.demo.waiting import waiting_events

OUTBOX_S: Final = 5.0
"""From the daemon's decision to its event on disk, at most."""
AFTER_VALIDITY_S: Final = 0.1
BEFORE_VISIT_S: Final = 0.3
LINGER_S: Final = 0.7
"""After the last opening, for some more pictures of it."""


@dataclass(frozen=True, slots=True)
class People:
    """Who comes."""

    person_id: str
    enrolled: str
    """As the screen calls them."""
    stranger: str | None
    """None: a real camera; no stranger has to come."""


@dataclass(slots=True)
class Outcome:
    """What the steps have seen; None where one was not reached."""

    opened: Happening | None = None
    on_disk: int = 0
    waited_id: str | None = None
    valid_until: datetime | None = None
    """Of the event that waited; from then on its log copy is historical."""
    again: Happening | None = None


class Steps:
    """Takes them in order; `take` stops at the first that does not come about."""

    def __init__(
        self, processes: Processes, people: People, pace: Pace, recordings: Recordings
    ) -> None:
        self.outcome: Final = Outcome()
        self._processes = processes
        self._people = people
        self._pace = pace
        self._recordings = recordings

    def take(self) -> bool:
        """Whether all came about. Raises DemoError when a process ends by itself."""
        return (
            self._open()
            and (self._people.stranger is None or self._stay_shut(self._people.stranger))
            and self._lose_the_broker()
            and self._come_back()
            and (not self._pace.again or self._open_again())
        )

    def checks(self) -> list[Check]:
        """What came of it."""
        people, outcome, story = self._people, self.outcome, self._processes.story
        waited = story.happenings.get(outcome.waited_id or "")
        back_s = story.door.ready_s if story.door.ready > 1 else None
        found = [checks.opened_check(people.enrolled, outcome.opened)]
        if people.stranger is not None:
            found.append(checks.stranger_check(people.stranger, self._of(people.stranger)))
        found += [
            checks.waited_check(outcome.on_disk),
            checks.logged_check(waited),
            checks.stayed_shut_check(waited, back_s),
        ]
        if self._pace.again:
            found.append(checks.opened_again_check(people.enrolled, outcome.again))
        if people.stranger is not None:
            found.append(checks.nobody_else_check(story, self._is_enrolled))
        found.append(checks.complete_log_check(story))
        return found

    def rows(self) -> list[SheetRow]:
        """The rows of the contact sheet."""
        people, outcome = self._people, self.outcome
        happenings = self._processes.story.happenings
        found: list[SheetRow] = []
        if outcome.opened is not None:
            found.append(_live(f"{people.enrolled}, enrolled", outcome.opened))
        if people.stranger is not None:
            seen = [item for item in self._of(people.stranger) if item.live_s is not None]
            seen.sort(key=lambda item: item.event.track.frames)
            found += [_live(f"{people.stranger}, a stranger", item) for item in seen[-1:]]
        waited = happenings.get(outcome.waited_id or "")
        if waited is not None:
            remarks: tuple[str, ...] = ("waited in the outbox, never sent live",)
            if waited.historical:
                remarks += ("later on event/log: historical",)
            found.append(SheetRow(f"{people.enrolled}, while the broker is gone", waited, remarks))
        if outcome.again is not None:
            found.append(_live(f"{people.enrolled}, with the broker back", outcome.again))
        return found

    def _open(self) -> bool:
        self.outcome.opened = self._next_opening()
        return self.outcome.opened is not None

    def _stay_shut(self, stranger: str) -> bool:
        def seen() -> Happening | None:
            for item in self._of(stranger):
                if item.event.event_type == "unknown" and item.live_s and item.is_complete:
                    return item
            return None

        return self._processes.until(seen, self._pace.step_s) is not None

    def _lose_the_broker(self) -> bool:
        """Stop the broker between two visits, and wait for a recognition without it."""
        processes = self._processes
        if self._people.stranger is None:
            processes.say("demo", "Please step out of view.")
        if not processes.until(self._is_the_moment, self._pace.step_s):
            return False
        processes.broker.stop()
        processes.say("broker", "stopped: the door and the daemon are on their own now")
        if self._people.stranger is None:
            processes.say("demo", "And now come back into view.")
        before = self._decided()
        if not processes.until(lambda: self._decided() > before, self._pace.step_s):
            return False
        processes.say(
            "daemon", f"decides: recognized {self._people.enrolled}, and cannot tell anybody"
        )
        return bool(processes.until(self._look_into_outbox, OUTBOX_S))

    def _look_into_outbox(self) -> bool:
        outcome = self.outcome
        waiting = waiting_events(self._processes.workplace.outbox)
        names = [item for item in waiting if item.match is not None]
        if not names:
            return False
        waited = names[-1]
        outcome.on_disk, outcome.waited_id = len(waiting), waited.event_id
        outcome.valid_until = waited.valid_until
        return True

    def _come_back(self) -> bool:
        """Start the broker once the event has grown old; wait for its log copy and for the door."""
        processes, outcome = self._processes, self.outcome
        many = "1 event waits" if outcome.on_disk == 1 else f"{outcome.on_disk} events wait"
        processes.say("outbox", f"{many} on disk, until the broker is back")
        if not processes.until(self._is_old, self._pace.step_s):
            return False
        processes.broker.start()
        processes.say("broker", "started again; the waiting recognition is no longer valid")

        def all_of_it() -> bool:
            waited = processes.story.happenings.get(outcome.waited_id or "")
            logged = waited is not None and waited.logged_s is not None
            there = processes.story.door.ready > 1 and processes.story.door.connected
            return logged and there

        if not processes.until(all_of_it, self._pace.step_s):
            return False
        if not processes.story.happenings[outcome.waited_id or ""].opened:
            processes.screen.line(
                processes.now_s(), "door", "SHUT: it is connected and never saw the late one", "red"
            )
        return True

    def _is_old(self) -> bool:
        valid_until = self.outcome.valid_until
        assert valid_until is not None
        return datetime.now(UTC) > valid_until + timedelta(seconds=AFTER_VALIDITY_S)

    def _open_again(self) -> bool:
        self.outcome.again = self._next_opening(self._processes.story.door.ready_s or 0.0)
        if self.outcome.again is None:
            return False
        self._processes.until(lambda: None, LINGER_S)
        return True

    def _next_opening(self, after_s: float = 0.0) -> Happening | None:
        """The next live recognition of the enrolled person that the door has judged."""

        def found() -> Happening | None:
            for event_id, item in self._processes.story.happenings.items():
                match = item.event.match
                if event_id == self.outcome.waited_id or match is None:
                    continue
                heard = item.live_s is not None and item.live_s > after_s
                if match.person_id == self._people.person_id and heard and item.door_s is not None:
                    return item
            return None

        return self._processes.until(found, self._pace.step_s)

    def _decided(self) -> int:
        """How often the daemon's log says that somebody was recognized."""
        return sum(line.get("message") == "recognized" for line in self._processes.daemon_lines)

    def _is_the_moment(self) -> bool:
        """Nobody is in view, and the enrolled person comes next."""
        timeline = self._processes.timeline
        if timeline is not None:
            now = datetime.now(UTC)
            coming = timeline.in_view(now + timedelta(seconds=BEFORE_VISIT_S))
            return timeline.in_view(now) == NOBODY and coming == self._people.enrolled
        frames = self._recordings.frames()
        newest = frames[-1].captured_at if frames else datetime.fromtimestamp(0, UTC)
        return (datetime.now(UTC) - newest).total_seconds() > self._pace.away_s

    def _of(self, name: str) -> list[Happening]:
        return [
            item
            for item in self._processes.story.happenings.values()
            if self._processes.in_view(item) == name
        ]

    def _is_enrolled(self, happening: Happening) -> bool:
        return self._processes.in_view(happening) == self._people.enrolled


def _live(title: str, happening: Happening) -> SheetRow:
    if happening.event.match is None:
        return SheetRow(title, happening)
    return SheetRow(title, happening, (f"{happening.latency_ms} ms from capture to event",))
