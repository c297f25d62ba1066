"""The demo passes only when all of it went right: every check can fail."""

from __future__ import annotations

from typing import Any

import pytest

from edgeface.contract.event import Pad, PadSource
from edgeface.demo import checks
from edgeface.demo.story import Happening
from tests.support.hearsay import Hearsay


def happening(hearsay: Hearsay, opens: bool | None, **changes: Any) -> Happening:
    """A live event, and what the door did about it, if anything."""
    event = hearsay.live(**changes)
    if opens is not None:
        hearsay.door(event, opens=opens)
    return hearsay.story.happenings[event.event_id]


STRANGE: dict[str, Any] = {"event_type": "unknown", "match": None}
EARLY: dict[str, Any] = {"event_type": "inconclusive", "match": None}


@pytest.mark.parametrize(
    ("opens", "passed"),
    [
        pytest.param(True, True, id="open"),
        pytest.param(False, False, id="shut"),
        pytest.param(None, False, id="the door said nothing"),
    ],
)
def test_the_enrolled_person_has_to_get_in(
    hearsay: Hearsay, opens: bool | None, passed: bool
) -> None:
    assert checks.opened_check("it opens", happening(hearsay, opens)).passed is passed
    assert not checks.opened_check("it opens", None).passed


def test_an_unsigned_opening_is_none(hearsay: Hearsay) -> None:
    found = happening(hearsay, opens=True)
    found.signed = False
    assert not checks.opened_check("it opens", found).passed


def test_the_stranger_has_to_be_called_unknown_and_stay_out(hearsay: Hearsay) -> None:
    early, late = (
        happening(hearsay, opens=False, **EARLY),
        happening(hearsay, opens=False, **STRANGE),
    )
    unheard = happening(hearsay, opens=None, **STRANGE)
    assert checks.stranger_check("Bob", [early, late]).passed
    assert not checks.stranger_check("Bob", [early]).passed
    assert not checks.stranger_check("Bob", [unheard]).passed
    assert not checks.stranger_check("Bob", []).passed
    assert not checks.stranger_check("Bob", [late, happening(hearsay, opens=True)]).passed


def test_the_held_picture_has_to_be_refused_by_evidence_and_stay_out(hearsay: Hearsay) -> None:
    evidence = Pad(True, False, 0.1, (PadSource("motion", 0.1, False),), "challenge")
    held: dict[str, Any] = {"event_type": "rejected_pad", "match": None}
    refused = happening(hearsay, opens=False, **held, pad=evidence)
    unsaid = happening(hearsay, opens=False, **held)
    early = happening(hearsay, opens=False, **EARLY)
    check = checks.held_check("a print", [early, refused])
    assert check.passed
    assert "not live (motion 0.10: not live)" in check.seen
    assert not checks.held_check("a print", [unsaid]).passed
    assert not checks.held_check("a print", [early]).passed
    assert not checks.held_check("a print", [refused, happening(hearsay, opens=True)]).passed


def test_something_has_to_wait_in_the_outbox() -> None:
    assert checks.waited_check(1).passed
    assert not checks.waited_check(0).passed


def test_the_late_event_has_to_be_historical_and_signed(hearsay: Hearsay) -> None:
    late = hearsay.story.happenings[hearsay.late().event_id]
    assert checks.logged_check(late).passed
    late.signed = False
    assert not checks.logged_check(late).passed
    assert not checks.logged_check(happening(hearsay, opens=False)).passed
    assert not checks.logged_check(None).passed


def test_the_door_has_to_be_there_and_shut_for_the_late_event(hearsay: Hearsay) -> None:
    late = hearsay.story.happenings[hearsay.late().event_id]
    assert checks.stayed_shut_check(late, 8.0).passed
    assert not checks.stayed_shut_check(late, None).passed
    assert not checks.stayed_shut_check(None, 8.0).passed
    assert not checks.stayed_shut_check(happening(hearsay, opens=None), 8.0).passed
    hearsay.door(late.event, opens=True)
    assert not checks.stayed_shut_check(late, 8.0).passed


def test_an_opening_for_anybody_else_is_found(hearsay: Hearsay) -> None:
    first, second = happening(hearsay, opens=True), happening(hearsay, opens=True)
    assert checks.nobody_else_check(hearsay.story, lambda item: True).passed
    assert not checks.nobody_else_check(hearsay.story, lambda item: item is first).passed
    second.opened = False
    assert checks.nobody_else_check(hearsay.story, lambda item: item is first).passed


def test_a_hole_in_the_log_is_found(hearsay: Hearsay) -> None:
    assert not checks.complete_log_check(hearsay.story).passed
    hearsay.live()
    hearsay.late()
    assert checks.complete_log_check(hearsay.story).passed
    hearsay.event()
    hearsay.live()
    found = checks.complete_log_check(hearsay.story)
    assert not found.passed
    assert "[1, 2, 4]" in found.seen


@pytest.mark.parametrize(
    ("codes", "status", "passed"),
    [
        pytest.param({"daemon": 0, "door": 0}, "stopped", True, id="clean"),
        pytest.param({"daemon": -9, "door": 0}, "stopped", False, id="killed"),
        pytest.param({"daemon": 0, "door": 0}, "offline", False, id="no farewell"),
    ],
)
def test_the_end_has_to_be_clean(codes: dict[str, int], status: str, passed: bool) -> None:
    assert checks.clean_end_check(codes, status).passed is passed
