"""The steps of the demo, each waiting for what it is about, and the checks they end in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from edgeface.contract.event import Outcome, Recognition
from edgeface.demo import checks
from edgeface.demo.checks import Check
from edgeface.demo.plan import People, Plan
from edgeface.demo.processes import Processes
from edgeface.demo.recordings import NOBODY, Recordings
from edgeface.demo.story import Happening

OUTBOX_S: Final = 5.0
"""From the daemon's decision to its event on disk, at most."""
AFTER_VALIDITY_S: Final = 0.1
BEFORE_VISIT_S: Final = 0.3
AWAY_S: Final = 2.5
"""Somebody before a real camera is away when no face was seen for so long."""
LINGER_S: Final = 0.7
"""After the last opening, for some more pictures of it."""


class Steps:
    """Takes them in order; `take` stops at the first that does not come about."""

    def __init__(
        self, processes: Processes, people: People, plan: Plan, recordings: Recordings
    ) -> None:
        self._opened: Happening | None = None
        self._on_disk = 0
        """Events while the broker was away, `_late` among them."""
        self._late: Recognition | None = None
        """The recognition that waited on disk; what comes of it later is historical."""
        self._opened_again: Happening | None = None
        self._processes = processes
        self._people = people
        self._plan = plan
        self._recordings = recordings

    def take(self) -> bool:
        """Whether all came about. Raises DemoError when a process ends by itself."""
        return (
            self._open()
            and (self._people.stranger is None or self._stay_shut(self._people.stranger))
            and (self._people.held is None or self._refuse_the_picture(self._people.held))
            and self._lose_the_broker()
            and self._come_back()
            and (not self._plan.again or self._open_again())
        )

    def checks(self) -> list[Check]:
        """What came of it."""
        people, story, waited = self._people, self._processes.story, self._waited()
        name = people.enrolled
        back_s = story.door_ready_s if story.door_ready > 1 else None
        found = [checks.opened_check(f"the door opens for {name}, who is enrolled", self._opened)]
        if people.stranger is not None:
            found.append(checks.stranger_check(people.stranger, self._of(people.stranger)))
        if people.held is not None:
            found.append(checks.held_check(people.held, self._of(people.held)))
        found += [
            checks.waited_check(self._on_disk),
            checks.logged_check(waited),
            checks.stayed_shut_check(waited, back_s),
        ]
        if self._plan.again:
            again = f"the door opens again for {name} afterwards"
            found.append(checks.opened_check(again, self._opened_again))
        if people.stranger is not None:
            in_view = self._processes.in_view
            found.append(checks.nobody_else_check(story, lambda item: in_view(item) == name))
        found.append(checks.complete_log_check(story))
        return found

    def rows(self) -> list[tuple[str, Happening]]:
        """The rows of the contact sheet, each with its title."""
        people = self._people
        rows = (
            (f"{people.enrolled}, enrolled", self._opened),
            (f"{people.stranger}, a stranger", self._best_of(people.stranger)),
            (f"{people.held}, held up", self._best_of(people.held)),
            (f"{people.enrolled}, while the broker is gone", self._waited()),
            (f"{people.enrolled}, with the broker back", self._opened_again),
        )
        return [(title, happening) for title, happening in rows if happening is not None]

    def _best_of(self, name: str | None) -> Happening | None:
        seen = [] if name is None else [item for item in self._of(name) if item.live_s is not None]
        return max(seen, key=lambda item: item.event.track.frames, default=None)

    def _open(self) -> bool:
        self._opened = self._next_opening()
        return self._opened is not None

    def _stay_shut(self, stranger: str) -> bool:
        return self._is_said_of(stranger, "unknown")

    def _refuse_the_picture(self, held: str) -> bool:
        return self._is_said_of(held, "rejected_pad")

    def _is_said_of(self, name: str, outcome: Outcome) -> bool:
        def said() -> bool:
            return any(
                item.event.event_type == outcome and item.live_s and item.door_s
                for item in self._of(name)
            )

        return bool(self._processes.until(said, self._plan.step_s))

    def _lose_the_broker(self) -> bool:
        """Stop the broker between two visits, and wait for a recognition without it."""
        processes, live = self._processes, self._plan.film is None
        if self._people.stranger is None:
            wish = "Please step out of view." if live else "Waiting until nobody is in view."
            processes.say("demo", wish)
        if not processes.until(self._is_the_moment, self._plan.step_s):
            return False
        processes.broker.stop()
        processes.say("broker", "stopped: the door and the daemon are on their own now")
        if self._people.stranger is None and live:
            processes.say("demo", "And now come back into view.")
        before = processes.recognized
        if not processes.until(lambda: processes.recognized > before, self._plan.step_s):
            return False
        processes.say(
            "daemon", f"decides: recognized {self._people.enrolled}, and cannot tell anybody"
        )
        return bool(processes.until(self._look_into_outbox, OUTBOX_S))

    def _look_into_outbox(self) -> bool:
        waiting = self._processes.workplace.waiting_events()
        recognitions = [item for item in waiting if item.match is not None]
        if recognitions:
            self._on_disk, self._late = len(waiting), recognitions[-1]
        return self._late is not None

    def _come_back(self) -> bool:
        """Start the broker once the event has grown old; wait for its log copy and for the door."""
        processes, on_disk, late = self._processes, self._on_disk, self._late
        assert late is not None
        old_at = late.valid_until + timedelta(seconds=AFTER_VALIDITY_S)
        many = "1 event waits" if on_disk == 1 else f"{on_disk} events wait"
        processes.say("outbox", f"{many} on disk, until the broker is back")
        if not processes.until(lambda: datetime.now(UTC) > old_at, self._plan.step_s):
            return False
        processes.broker.start()
        processes.say("broker", "started again; the waiting recognition is no longer valid")

        def all_of_it() -> bool:
            waited, story = self._waited(), processes.story
            logged = waited is not None and waited.logged_s is not None
            return logged and story.door_ready > 1 and story.door_connected

        if not processes.until(all_of_it, self._plan.step_s):
            return False
        waited = self._waited()
        if waited is not None and not waited.opened:
            processes.screen.line(
                processes.now_s(), "door", "SHUT: it is connected and never saw the late one", "red"
            )
        return True

    def _waited(self) -> Happening | None:
        """What was heard since of the recognition that waited."""
        late = self._late
        return None if late is None else self._processes.story.happenings.get(late.event_id)

    def _open_again(self) -> bool:
        self._opened_again = self._next_opening(self._processes.story.door_ready_s)
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

        return self._processes.until(found, self._plan.step_s)

    def _is_the_moment(self) -> bool:
        """Nobody is in view, and the enrolled person comes next."""
        timeline = self._processes.timeline
        if timeline is not None:
            now = datetime.now(UTC)
            coming = timeline.in_view(now + timedelta(seconds=BEFORE_VISIT_S))
            return timeline.in_view(now) == NOBODY and coming == self._people.enrolled
        frames = self._recordings.frames()
        newest = frames[-1].captured_at if frames else datetime.fromtimestamp(0, UTC)
        return (datetime.now(UTC) - newest).total_seconds() > AWAY_S

    def _of(self, name: str) -> list[Happening]:
        return [
            item
            for item in self._processes.story.happenings.values()
            if self._processes.in_view(item) == name
        ]
