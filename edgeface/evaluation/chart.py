"""Line charts and histograms as SVG for a page: text stays text, colors come from its style sheet.

Classes: `axis`, `grid`, `a` and `b` for the two things shown, `mark` and `limit` for thresholds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise
from typing import Final, Literal, TypeAlias

Kind: TypeAlias = Literal["a", "b"]

_LEFT: Final = 62
_RIGHT: Final = 14
_TOP: Final = 40
_BOTTOM: Final = 48
_FEW_DECADES: Final = 1.5e3
"""A scale from one to less than this has hardly any powers of ten."""
_LETTER_PX: Final = 7.0
"""Of a label."""
_NEAR_PX: Final = 15.0
"""Texts of limits that are nearer than this are put elsewhere."""
_GRAIN_PX: Final = 2.0
"""How far apart the points are by which it is known where something is drawn."""
_NEAR_SPOT_PX: Final = 3.0
"""What is nearer to a marked point than this goes through it."""
Point: TypeAlias = tuple[float, float]
Place: TypeAlias = tuple[float, float, str]
_PLACES: Final[tuple[Place, ...]] = (
    (7, -6, "start"),
    (-7, -6, "end"),
    (7, 16, "start"),
    (-7, 16, "end"),
    (0, -10, "middle"),
    (0, 20, "middle"),
)
"""Where the text of a mark may be, right of it and below, and which end of it; the first that
covers least is taken."""


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
    _marked: list[tuple[list[Point], str]] = field(default_factory=list)
    _taken: list[Point] = field(default_factory=list)

    def line(self, points: Sequence[Point], kind: Kind = "a") -> None:
        """A curve through points `(x, y)`."""
        drawn = [(self._x(x), self._y(y)) for x, y in points]
        for begin, end in pairwise(drawn):
            self._taken += _between(begin, end)
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in drawn)
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
            self._taken += _between((across, low), (across, high))
            self._parts.append(
                f'<line class="mark" x1="{across:.1f}" x2="{across:.1f}" y1="{low:.1f}"'
                f' y2="{high:.1f}"/>'
            )
        self._marked.append(([(across, down)], text))

    def name(self, points: Sequence[Point], text: str) -> None:
        """A mark with a short text at that of a curve's points where there is room for it; the
        first ones first."""
        self._marked.append(([(self._x(x), self._y(y)) for x, y in points], text))

    def limit(self, x: float, text: str) -> None:
        """A line from top to bottom with a short text above."""
        self._limits.append((x, text))

    def svg(self) -> str:
        """An `<svg>` element."""
        box = f'viewBox="0 0 {self.width} {self.height}" style="max-width:{self.width}px"'
        label = escape(self.title, quote=True)
        parts = [*self._axes(), *self._parts, *self._drawn_marks(), *self._drawn_limits()]
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

    def _drawn_marks(self) -> list[str]:
        """Each with its text where that, and the way to it, covers least of what is drawn."""
        taken = [*self._taken, *(spots[0] for spots, _ in self._marked if len(spots) == 1)]
        parts = []
        for spots, text in self._marked:
            found = [(spot, place) for spot in spots for place in _PLACES]
            costs = [self._cost(*option, text, taken) for option in found]
            (across, down), (right, below, anchor) = found[costs.index(min(costs))]
            left, top, end, bottom = _box((across, down), (right, below, anchor), text)
            for y in (top, (top + bottom) / 2, bottom):
                taken += _between((left, y), (end, y))
            taken.append((across, down))
            parts.append(f'<circle class="mark" cx="{across:.1f}" cy="{down:.1f}" r="4"/>')
            parts.append(_label(across + right, down + below, text, "mark", anchor))
        return parts

    def _cost(self, spot: Point, place: Place, text: str, taken: Sequence[Point]) -> float:
        """How much of what is taken a text at a place would cover; beyond the frame more than
        that."""
        left, top, right, bottom = _box(spot, place, text)
        inside = left >= _LEFT and right <= self.width and top >= 0
        if not inside or bottom > self.height - _BOTTOM:
            return math.inf
        nearest = min(max(spot[0], left), right), min(max(spot[1], top), bottom)
        way = [at for at in _between(spot, nearest) if math.dist(at, spot) > _NEAR_SPOT_PX]
        return sum(
            (left <= x <= right and top <= y <= bottom)
            or any(math.dist((x, y), at) <= _GRAIN_PX for at in way)
            for x, y in taken
        )

    def _x(self, value: float) -> float:
        return _LEFT + self.x.share(value) * (self.width - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return self.height - _BOTTOM - self.y.share(value) * (self.height - _BOTTOM - _TOP)


def _label(x: float, y: float, text: str, kind: str, anchor: str) -> str:
    return (
        f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
    )


def _between(begin: Point, end: Point) -> list[Point]:
    """Points of a straight line, both ends among them."""
    steps = max(1, round(math.dist(begin, end) / _GRAIN_PX))
    (x, y), (right, down) = begin, (end[0] - begin[0], end[1] - begin[1])
    return [(x + right * step / steps, y + down * step / steps) for step in range(steps + 1)]


def _box(spot: Point, place: Place, text: str) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a text."""
    width = _LETTER_PX * len(text)
    left = spot[0] + place[0] - {"start": 0.0, "middle": width / 2, "end": width}[place[2]]
    return left, spot[1] + place[1] - 11, left + width, spot[1] + place[1] + 3
