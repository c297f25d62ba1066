"""What the demo says: one line for each thing that happened, plain text, color on a terminal."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Sequence
from typing import Final, Literal, TextIO, TypeAlias

from edgeface.contract.event import Recognition
from edgeface.demo.checks import Check
from edgeface.demo.story import Happening

Color: TypeAlias = Literal["bold", "green", "red", "dim"]

_CODES: Final[dict[Color, str]] = {"bold": "1", "green": "1;32", "red": "1;31", "dim": "2"}
_WIDTH: Final = 96
_INDENT: Final = " " * 20

LAST_LINE: Final = (
    "A photograph may pass: evidence of liveness is weak. For an entrance use card and face "
    "(`verify`), not a face alone."
)


class Screen:
    """Writes lines of `seconds  who  what`."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout
        self._colored = self._stream.isatty() and not os.environ.get("NO_COLOR")

    def headline(self, text: str) -> None:
        """A line of its own with room around it."""
        self.text(f"\n{self._paint(text, 'bold')}\n")

    def line(self, at_s: float, who: str, text: str, color: Color | None = None) -> None:
        """One thing that happened; long texts go on below."""
        head = f"{at_s:6.1f} s  {who:<10}"
        lines = textwrap.wrap(text, _WIDTH - len(_INDENT), break_on_hyphens=False) or [""]
        first, *rest = [self._paint(part, color) if color else part for part in lines]
        self.text("\n".join([head + first, *(_INDENT + part for part in rest)]))

    def event(self, happening: Happening, in_view: str | None) -> None:
        """An event as it arrived."""
        found = happening.event
        text = describe(found)
        if found.match is not None:
            text += f", {happening.latency_ms} ms from capture to event"
        if in_view is not None:
            text += f"; in view: {in_view}"
        self.line(happening.first_s, "event", text)

    def late(self, happening: Happening) -> None:
        """An event that came on the log topic alone, and late."""
        assert happening.logged_s is not None
        name = f" {happening.name}" if happening.name else ""
        text = f"{happening.event.event_type}{name} arrives late: historical, for knowing only"
        self.line(happening.logged_s, "event/log", text)

    def door(self, happening: Happening, in_view: str | None) -> None:
        """What the door did about it."""
        assert happening.door_s is not None
        if happening.opened and happening.name is not None:
            self.line(happening.door_s, "door", f"OPEN for {happening.name}", "green")
        else:
            text = f"SHUT ({happening.reason})" + (f" for {in_view}" if in_view else "")
            self.line(happening.door_s, "door", text, "red")

    def summary(self, checks: Sequence[Check]) -> None:
        """Every check; where one failed, what was expected and what was seen."""
        self.headline("What was to happen, and what did")
        for check in checks:
            mark = self._paint("ok ", "green") if check.passed else self._paint("NOT", "red")
            self.text(f"  {mark}  {check.what}")
            if check.passed:
                self.text(f"       {self._paint(check.seen, 'dim')}")
            else:
                self.text(f"       expected: {check.expected}\n       seen:     {check.seen}")

    def text(self, text: str) -> None:
        """A line as it is."""
        print(text, file=self._stream, flush=True)

    def _paint(self, text: str, color: Color) -> str:
        return f"\x1b[{_CODES[color]}m{text}\x1b[0m" if self._colored else text


def describe(found: Recognition) -> str:
    """The decision in one clause, with the numbers it stands on."""
    track, match = found.track, found.match
    if match is not None:
        margin = "none (nobody else is enrolled)" if match.margin is None else f"{match.margin:.2f}"
        extrapolated = " (extrapolated)" if match.threshold_extrapolated else ""
        return (
            f"recognized {match.display_name or match.person_id}: score {match.score:.2f}, "
            f"threshold {match.threshold:.2f}{extrapolated}, margin {margin}, "
            f"{track.agreeing} of {track.frames} frames agree"
        )
    why = found.why or {}
    text: str = found.event_type
    score, threshold = why.get("score"), why.get("threshold")
    if isinstance(score, float) and isinstance(threshold, float):
        text += f": best score {score:z.2f}, threshold {threshold:.2f}"
    if found.event_type == "rejected_pad":
        text += f", {found.pad.told}"
    return f"{text}, {track.frames} good frame" + ("" if track.frames == 1 else "s")
