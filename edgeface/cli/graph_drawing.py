"""A network drawn as a graph: one box a layer, from the input at the top to the outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from xml.sax.saxutils import escape

from edgeface.inference.layers import Layer

_WIDE, _TALL, _ACROSS, _DOWN = 280, 24, 40, 16
"""Pixels: a box, and the room between two side by side and two above one another."""
_EDGE: Final = 30
_HEAD: Final = 64
_LEAST: Final = 660
_COLORS: Final = {
    "CONV_2D": "#cfe2f3",
    "DEPTHWISE_CONV_2D": "#d0e8e4",
    "TRANSPOSE_CONV": "#cfe2f3",
    "FULLY_CONNECTED": "#fde5cd",
    "ADD": "#d9ead3",
}
_PLAIN, _REFUSED, _LINE = "#eeeeee", "#c00000", "#555555"


def draw_graph(title: str, taken: Sequence[int], layers: Sequence[Layer]) -> str:
    """SVG. `taken` is the shape of the network's input; a layer that an Edge TPU would not take is
    framed in red."""
    places = _places(layers)
    rows = 1 + max(row for row, _ in places)
    columns = 1 + max(column for _, column in places)
    width = max(_LEAST, 2 * _EDGE + columns * (_WIDE + _ACROSS))
    height = _HEAD + rows * (_TALL + _DOWN) + _EDGE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"',
        f' height="{height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{_EDGE}" y="26" font-size="15">{escape(title)}</text>',
        f'<text x="{_EDGE}" y="45">{_legend(layers)}</text>',
    ]
    parts += [
        _arrow(places, source, number)
        for number, layer in enumerate(layers, start=1)
        for source in layer.sources
    ]
    parts.append(_box(places[0], "input", _size(taken), _PLAIN, refused=False))
    for number, layer in enumerate(layers, start=1):
        text = f"{number} {layer.operator} {layer.detail}".rstrip()
        gives = ", ".join([*layer.ends, _size(layer.shapes[0] if layer.shapes else ())])
        color = _COLORS.get(layer.operator, _PLAIN)
        parts.append(_box(places[number], text, gives, color, refused=bool(layer.faults)))
    return "\n".join([*parts, "</svg>\n"])


def _legend(layers: Sequence[Layer]) -> str:
    refused = " Framed in red: not for an Edge TPU." if any(one.faults for one in layers) else ""
    return f"At the right, what a layer gives: rows x columns x channels.{refused}"


def _size(shape: Sequence[int]) -> str:
    """Without the batch."""
    return "x".join(str(size) for size in shape[1:])


def _places(layers: Sequence[Layer]) -> list[tuple[int, int]]:
    """Row and column of the input and of each layer. It stands below all that it takes; the longest
    way on from a layer stays in its column, what branches off goes to the next that is free."""
    left = [0] * (len(layers) + 1)  # layers on the longest way from here to an output
    onward: dict[int, int] = {}
    for number in range(len(layers), 0, -1):
        for source in layers[number - 1].sources:
            if left[number] + 1 >= left[source]:
                left[source], onward[source] = left[number] + 1, number
    places = [(0, 0)]
    used = {(0, 0)}
    for number, layer in enumerate(layers, start=1):
        nearest = max(layer.sources, key=lambda source: places[source], default=0)
        row, column = places[nearest]
        row, column = row + 1, column + (onward.get(nearest, number) != number)
        while (row, column) in used:
            column += 1
        used.add((row, column))
        places.append((row, column))
    return places


def _corner(place: tuple[int, int]) -> tuple[int, int]:
    """Pixels from the left and the top."""
    row, column = place
    return _EDGE + _ACROSS + column * (_WIDE + _ACROSS), _HEAD + row * (_TALL + _DOWN)


def _arrow(places: Sequence[tuple[int, int]], source: int, target: int) -> str:
    """Straight to the next row, around the left of the boxes to one farther down."""
    (left, top), (goal_left, goal_top) = _corner(places[source]), _corner(places[target])
    start, end = left + _WIDE / 2, goal_left + _WIDE / 2
    if places[target][0] == places[source][0] + 1:
        line = f"M{start} {top + _TALL} L{end} {goal_top}"
    else:
        middle, goal = top + _TALL / 2, goal_top + _TALL / 2
        aside = min(left, goal_left) - _ACROSS
        line = f"M{left} {middle} C{aside} {middle} {aside} {goal} {goal_left} {goal}"
    return f'<path d="{line}" fill="none" stroke="{_LINE}" stroke-width="1.2"/>'


def _box(place: tuple[int, int], text: str, gives: str, color: str, *, refused: bool) -> str:
    left, top = _corner(place)
    frame = f'stroke="{_REFUSED}" stroke-width="2"' if refused else f'stroke="{_LINE}"'
    return (
        f'<rect x="{left}" y="{top}" width="{_WIDE}" height="{_TALL}" rx="4" fill="{color}" '
        f"{frame}/>"
        f'<text x="{left + 7}" y="{top + 16}">{escape(text)}</text>'
        f'<text x="{left + _WIDE - 7}" y="{top + 16}" text-anchor="end">{escape(gives)}</text>'
    )
