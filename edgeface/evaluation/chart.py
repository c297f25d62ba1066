"""Line charts and histograms as SVG for a page: text stays text, colors come from its style sheet.

Classes: `axis`, `grid`, `a` and `b` for the two things shown, `mark` and `limit` for thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["a", "b"]

_LEFT: Final = 62
_RIGHT: Final = 14
_TOP: Final = 40
_BOTTOM: Final = 48
_FEW_DECADES: Final = 1.5e3
"""A scale from one to less than this has hardly any powers of ten."""
_LETTER_PX: Final = 7.0
"""Of a tick's label."""
_NEAR_PX: Final = 15.0
"""Texts of limits and marks that are nearer than this are put elsewhere."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from `low` to `high`; values beyond are drawn at its end."""

    label: str
    low: float
    high: float
    log: bool = False
    percent: bool = False
    """Whether ticks are labeled in percent."""

    def share(self, value: float) -> float:
        """Where a value lies, 0 at `low` and 1 at `high`."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        """Powers of ten, where these are few also 2 and 5 times one, or steps of 1, 2 or 5 times
        one."""
        if self.log:
            first, last = math.floor(math.log10(self.low)), math.floor(math.log10(self.high))
            digits = (1, 2, 5) if self.high / self.low < _FEW_DECADES else (1,)
            found = [digit * 10.0**n for n in range(first, last + 1) for digit in digits]
            least, most = self.low * (1 - 1e-9), self.high * (1 + 1e-9)
            return [value for value in found if least <= value <= most]
        rough = (self.high - self.low) / 5
        power = 10 ** math.floor(math.log10(rough))
        step = next(power * digit for digit in (1, 2, 5, 10) if power * digit >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]

    def text(self, value: float) -> str:
        """A tick's label."""
        return f"{value * 100:.6g} %" if self.percent else f"{value:,.7g}"


@dataclass(slots=True)
class Chart:
    """A frame with two axes, and what is drawn in it."""

    title: str
    """What it shows, for those who hear it read."""
    x: Axis
    y: Axis
    width: int = 560
    height: int = 360
    _parts: list[str] = field(default_factory=list)
    _limits: list[tuple[float, str]] = field(default_factory=list)
    _marked: list[tuple[float, float]] = field(default_factory=list)

    def line(self, points: Sequence[tuple[float, float]], kind: Kind = "a") -> None:
        """A curve through points `(x, y)`."""
        path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points)
        self._parts.append(f'<polyline class="{kind} line" points="{path}"/>')

    def histogram(self, edges: Sequence[float], heights: Sequence[float], kind: Kind) -> None:
        """Bars without gaps, `n + 1` edges and `n` heights."""
        floor = self._y(self.y.low)
        path = [f"{self._x(edges[0]):.1f},{floor:.1f}"]
        for left, right, height in zip(edges, edges[1:], heights, strict=False):
            path += [f"{self._x(x):.1f},{self._y(height):.1f}" for x in (left, right)]
        path.append(f"{self._x(edges[-1]):.1f},{floor:.1f}")
        self._parts.append(f'<polygon class="{kind} area" points="{" ".join(path)}"/>')

    def mark(
        self, x: float, y: float, text: str, interval: tuple[float, float] | None = None
    ) -> None:
        """A point with a short text, and a line over an interval of `y`."""
        across, down = self._x(x), self._y(y)
        if interval is not None:
            low, high = (self._y(end) for end in interval)
            self._parts.append(
                f'<line class="mark" x1="{across:.1f}" x2="{across:.1f}" y1="{low:.1f}"'
                f' y2="{high:.1f}"/>'
            )
        self._parts.append(f'<circle class="mark" cx="{across:.1f}" cy="{down:.1f}" r="4"/>')
        near = any(math.dist(other, (across, down)) < _NEAR_PX for other in self._marked)
        self._marked.append((across, down))
        place = (across - 14, down + 17) if near else (across + 7, down - 6)
        self._parts.append(_label(*place, text, "mark", "start"))

    def limit(self, x: float, text: str) -> None:
        """A line from top to bottom with a short text above."""
        self._limits.append((x, text))

    def svg(self) -> str:
        """An `<svg>` element."""
        box = f'viewBox="0 0 {self.width} {self.height}" style="max-width:{self.width}px"'
        label = escape(self.title, quote=True)
        parts = [*self._axes(), *self._parts, *self._drawn_limits()]
        return f'<svg role="img" aria-label="{label}" {box}>' + "".join(parts) + "</svg>"

    def _axes(self) -> list[str]:
        left, right = _LEFT, self.width - _RIGHT
        top, bottom = _TOP, self.height - _BOTTOM
        parts = []
        for tick in self.x.ticks():
            x = f"{self._x(tick):.1f}"
            parts.append(f'<line class="grid" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>')
            text = self.x.text(tick)
            inside = float(x) + _LETTER_PX * len(text) / 2 <= self.width
            place = (float(x), "middle") if inside else (self.width, "end")
            parts.append(_label(place[0], bottom + 17, text, "axis", place[1]))
        for tick in self.y.ticks():
            y = f"{self._y(tick):.1f}"
            parts.append(f'<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>')
            parts.append(_label(left - 8, float(y) + 4, self.y.text(tick), "axis", "end"))
        parts.append(f'<path class="axis" d="M{left} {top}V{bottom}H{right}" fill="none"/>')
        middle = (left + right) / 2
        parts.append(_label(middle, self.height - 10, self.x.label, "axis", "middle"))
        parts.append(_label(4, 14, self.y.label, "axis", "start"))
        return parts

    def _drawn_limits(self) -> list[str]:
        parts = []
        ends = [-math.inf] * 3
        for value, text in sorted(self._limits):
            x = self._x(value)
            row = next((row for row, end in enumerate(ends) if x - end >= _NEAR_PX), 0)
            ends[row] = x
            parts.append(
                f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP - 2 - 12 * row}"'
                f' y2="{self.height - _BOTTOM}"/>'
            )
            parts.append(_label(x, _TOP - 5 - 12 * row, text, "mark", "middle"))
        return parts

    def _x(self, value: float) -> float:
        return _LEFT + self.x.share(value) * (self.width - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return self.height - _BOTTOM - self.y.share(value) * (self.height - _BOTTOM - _TOP)


def _label(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )
