"""What has to come about in the demo, and whether it did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edgeface.demo.story import Happening, Story


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was to happen."""

    what: str
    expected: str
    seen: str
    passed: bool


def opened_check(what: str, happening: Happening | None) -> Check:
    """The door opened for the enrolled person, at first and when the broker was back."""
    expected = "a live, signed event 'recognized' with her id, and OPEN from the door"
    if happening is None:
        return Check(what, expected, "no such event", False)
    good = happening.opened and happening.signed and happening.live_s is not None
    seen = f"{_verdict(happening)}, {happening.latency_ms} ms after capture"
    return Check(what, expected, seen, good)


def stranger_check(name: str, happenings: Sequence[Happening]) -> Check:
    """The stranger was seen, was called unknown, and did not get in."""
    what = f"the door stays shut for {name}, a stranger"
    expected = "at least one event 'unknown' and SHUT while she is in view, and never OPEN"
    if not happenings:
        return Check(what, expected, "no event while she was in view", False)
    judged = [item for item in happenings if item.door_s is not None]
    unknown = any(item.event.event_type == "unknown" for item in judged)
    good = unknown and not any(item.opened for item in happenings)
    return Check(what, expected, "; ".join(map(_verdict, happenings)), good)


def held_check(what: str, happenings: Sequence[Happening]) -> Check:
    """A picture of the enrolled person was refused, by evidence and not for its looks."""
    title = f"the door stays shut for {what}, which looks like her"
    expected = "an event 'rejected_pad' that names the evidence and SHUT, and never OPEN"
    refused = [item for item in happenings if item.event.event_type == "rejected_pad"]
    judged = [item for item in refused if item.door_s is not None and item.event.pad.sources]
    good = bool(judged) and not any(item.opened for item in happenings)
    seen = "; ".join(f"{_verdict(item)}, {item.event.pad.told}" for item in refused)
    return Check(title, expected, seen or "no such event", good)


def waited_check(on_disk: int) -> Check:
    """A recognition was on disk while there was no broker."""
    what = "a recognition made while the broker is gone waits in the outbox, on disk"
    expected = "one of her events in the outbox's file, without a broker"
    if on_disk == 0:
        return Check(what, expected, "no recognition came, or the file did not show it", False)
    return Check(what, expected, "1 event" if on_disk == 1 else f"{on_disk} events", True)


def logged_check(waited: Happening | None) -> Check:
    """The log topic got it afterwards."""
    what = "the log topic gets it once the broker is back, marked as historical"
    expected = "its signed copy on event/log with historical true"
    if waited is None:
        return Check(what, expected, "it never came", False)
    good = waited.logged_s is not None and waited.historical and waited.signed
    seen = f"event {waited.event.seq}, historical {str(waited.historical).lower()}"
    return Check(what, expected, seen + ("" if waited.signed else ", NOT signed"), good)


def stayed_shut_check(waited: Happening | None, door_ready_s: float | None) -> Check:
    """The door did not act on what came late, and was there to act."""
    what = "the door stays shut for it"
    expected = "no live copy and no OPEN, with the door connected again"
    if waited is None or door_ready_s is None:
        return Check(what, expected, "the event or the door did not come back", False)
    good = not waited.opened and waited.live_s is None
    shut = f"the door was back after {door_ready_s:.1f} s, and shut"
    return Check(what, expected, shut if good else _verdict(waited), good)


def nobody_else_check(story: Story, is_enrolled: Callable[[Happening], bool]) -> Check:
    """No other opening, by what the camera really showed."""
    openings = [item for item in story.happenings.values() if item.opened]
    wrong = [item for item in openings if not is_enrolled(item)]
    return Check(
        "the door opens for nobody else",
        "every OPEN while she, and only she, was in view",
        f"{len(openings)} openings, {len(wrong)} of them wrong",
        not wrong,
    )


def complete_log_check(story: Story) -> Check:
    """Numbers on the log topic without a hole; every message signed and well formed."""
    what = "the log topic is complete"
    expected = "events 1 to n of the session, each signed, and nothing malformed"
    heard = story.happenings.values()
    numbers = sorted(item.event.seq for item in heard if item.logged_s is not None)
    faults = [*story.faults, *(f"the door refused: {reason}" for reason in story.door_odd)]
    faults += [f"event {item.event.seq} is not signed" for item in heard if not item.signed]
    faults += [f"a gap of {gap.lost.dropped} events" for gap in story.gaps]
    if numbers != list(range(1, len(numbers) + 1)) or not numbers:
        faults.append(f"numbers {numbers}")
    seen = "; ".join(faults) if faults else f"events 1 to {len(numbers)}, all signed"
    return Check(what, expected, seen, not faults)


def lived_check(trouble: str) -> Check:
    """A process ended by itself."""
    what = "the processes run until they are told to stop"
    return Check(what, "the daemon and the door alive", trouble, False)


def clean_end_check(codes: dict[str, int], status: str | None) -> Check:
    """Every process ended when it was told to, and the daemon said goodbye."""
    good = all(code == 0 for code in codes.values()) and status == "stopped"
    ends = ", ".join(f"{name} with {code}" for name, code in codes.items())
    return Check(
        "all processes end cleanly",
        "exit status 0, and status 'stopped' on the broker",
        f"{ends}; status '{status}'",
        good,
    )


def _verdict(happening: Happening) -> str:
    if happening.live_s is None:
        did = "not sent live"
    elif happening.door_s is None:
        did = "no word from the door"
    else:
        did = "OPEN" if happening.opened else "SHUT"
    return f"{happening.event.event_type}: {did}"
