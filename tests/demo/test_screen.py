"""What the demo writes: plain where it is read by programs, complete where something failed."""

from __future__ import annotations

import io

import pytest

from edgeface.demo.checks import Check
from edgeface.demo.screen import LAST_LINE, Screen, describe
from tests.support.hearsay import Hearsay

GOOD = Check("it opens", "OPEN", "recognized: OPEN", passed=True)
BAD = Check("it stays shut", "SHUT", "recognized: OPEN", passed=False)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colors_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    plain, terminal, refused = io.StringIO(), Terminal(), Terminal()
    Screen(plain).summary([GOOD, BAD])
    Screen(terminal).summary([GOOD, BAD])
    monkeypatch.setenv("NO_COLOR", "1")
    Screen(refused).summary([GOOD, BAD])
    assert "\x1b" not in plain.getvalue()
    assert "\x1b[" in terminal.getvalue()
    assert refused.getvalue() == plain.getvalue()


def test_what_failed_is_told_with_what_was_expected_and_seen() -> None:
    out = io.StringIO()
    Screen(out).summary([GOOD, BAD])
    text = out.getvalue()
    assert "ok   it opens" in text
    assert "NOT  it stays shut" in text
    assert "expected: SHUT" in text
    assert "seen:     recognized: OPEN" in text


def test_a_recognition_is_told_with_its_numbers(hearsay: Hearsay) -> None:
    event = hearsay.live()
    text = describe(event)
    for part in ("score 0.71", "threshold 0.58", "margin 0.22", "4 of 4 frames"):
        assert part in text


def test_an_unknown_is_told_with_the_best_score_there_was(hearsay: Hearsay) -> None:
    why = {"score": 0.2, "threshold": 0.5}
    event = hearsay.live(event_type="unknown", match=None, why=why)
    assert describe(event) == "unknown: best score 0.20, threshold 0.50, 4 good frames"


def test_lines_fit_a_terminal_and_go_on_below(hearsay: Hearsay) -> None:
    out = io.StringIO()
    event = hearsay.live(at_s=12.3)
    hearsay.door(event, opens=True)
    happening = hearsay.story.happenings[event.event_id]
    screen = Screen(out)
    screen.event(happening, "Eileen Collins")
    screen.door(happening, "Eileen Collins")
    lines = out.getvalue().splitlines()
    assert max(map(len, lines)) <= 96
    assert lines[0].startswith("  12.3 s  event     recognized")
    assert lines[-1].split(maxsplit=2)[2].startswith("door      OPEN for p_8c1k3v9q2m")
    assert "200 ms from capture to event" in " ".join(line.strip() for line in lines)


def test_the_last_line_names_the_limit_and_the_way_out() -> None:
    assert "photograph may pass" in LAST_LINE
    assert "verify" in LAST_LINE
