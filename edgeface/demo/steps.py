"""The steps of the demo, each waiting for what it is about, and the checks they end in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from edgeface.contract.event import Recognition
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


class Steps:
    """Takes them in order; `take` stops at the first that does not come about."""

    def __init__(
        self, processes: Processes, people: People, pace: Pace, recordings: Recordings
    ) -> None:
        self._opened: Happening | None = None
        self._waiting: list[Recognition] = []
        """On disk while the broker was away, a recognition among them."""
        self._opened_again: Happening | None = None
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
        people, story, waited = self._people, self._processes.story, self._waited()
        back_s = story.door.ready_s if story.door.ready > 1 else None
        found = [checks.opened_check(people.enrolled, self._opened)]
        if people.stranger is not None:
            found.append(checks.stranger_check(people.stranger, self._of(people.stranger)))
        found += [
            checks.waited_check(len(self._waiting)),
            checks.logged_check(waited),
            checks.stayed_shut_check(waited, back_s),
        ]
        if self._pace.again:
            found.append(checks.opened_again_check(people.enrolled, self._opened_again))
        if people.stranger is not None:
            found.append(checks.nobody_else_check(story, self._is_enrolled))
        found.append(checks.complete_log_check(story))
        return found

    def rows(self) -> list[SheetRow]:
        """The rows of the contact sheet."""
        people, waited = self._people, self._waited()
        found: list[SheetRow] = []
        if self._opened is not None:
            found.append(_live(f"{people.enrolled}, enrolled", self._opened))
        if people.stranger is not None:
            seen = [item for item in self._of(people.stranger) if item.live_s is not None]
            seen.sort(key=lambda item: item.event.track.frames)
            found += [_live(f"{people.stranger}, a stranger", item) for item in seen[-1:]]
        if waited is not None:
            remarks: tuple[str, ...] = ("waited in the outbox, never sent live",)
            if waited.historical:
                remarks += ("later on event/log: historical",)
            found.append(SheetRow(f"{people.enrolled}, while the broker is gone", waited, remarks))
        if self._opened_again is not None:
            found.append(_live(f"{people.enrolled}, with the broker back", self._opened_again))
        return found

    def _open(self) -> bool:
        self._opened = self._next_opening()
        return self._opened is not None

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
        waiting = waiting_events(self._processes.workplace.outbox)
        if any(item.match is not None for item in waiting):
            self._waiting = waiting
        return bool(self._waiting)

    def _come_back(self) -> bool:
        """Start the broker once the event has grown old; wait for its log copy and for the door."""
        processes, on_disk = self._processes, len(self._waiting)
        many = "1 event waits" if on_disk == 1 else f"{on_disk} events wait"
        processes.say("outbox", f"{many} on disk, until the broker is back")
        if not processes.until(self._is_old, self._pace.step_s):
            return False
        processes.broker.start()
        processes.say("broker", "started again; the waiting recognition is no longer valid")

        def all_of_it() -> bool:
            waited, door = self._waited(), processes.story.door
            logged = waited is not None and waited.logged_s is not None
            return logged and door.ready > 1 and door.connected

        if not processes.until(all_of_it, self._pace.step_s):
            return False
        waited = self._waited()
        if waited is not None and not waited.opened:
            processes.screen.line(
                processes.now_s(), "door", "SHUT: it is connected and never saw the late one", "red"
            )
        return True

    def _is_old(self) -> bool:
        late = self._late()
        assert late is not None
        return datetime.now(UTC) > late.valid_until + timedelta(seconds=AFTER_VALIDITY_S)

    def _late(self) -> Recognition | None:
        """The recognition that waited on disk; what comes of it later is historical."""
        return next((item for item in reversed(self._waiting) if item.match is not None), None)

    def _waited(self) -> Happening | None:
        """What was heard of it since."""
        late = self._late()
        return None if late is None else self._processes.story.happenings.get(late.event_id)

    def _open_again(self) -> bool:
        self._opened_again = self._next_opening(self._processes.story.door.ready_s or 0.0)
        if self._opened_again is None:
            return False
        self._processes.until(lambda: None, LINGER_S)
        return True

    def _next_opening(self, after_s: float = 0.0) -> Happening | None:
        """The next live recognition of the enrolled person that the door has judged."""

        def found() -> Happening | None:
            waited = self._waited()
            for item in self._processes.story.happenings.values():
                match, live_s = item.event.match, item.live_s
                if match is None or match.person_id != self._people.person_id or item is waited:
                    continue
                if live_s is not None and live_s > after_s and item.door_s is not None:
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
