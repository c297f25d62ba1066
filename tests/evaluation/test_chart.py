"""Where the texts of a chart are put."""

from __future__ import annotations

from itertools import combinations, pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from edgeface.evaluation.chart import Axis, Chart

LETTER_PX = 6.5
"""Of the chart's 12 px."""


def boxes(svg: ET.Element) -> dict[str, tuple[float, float, float, float]]:
    """Left, top, right and bottom of each mark's text."""
    found = {}
    for item in svg.iter("text"):
        if item.get("class") == "mark" and item.text:
            width = LETTER_PX * len(item.text)
            x, y = (float(item.get(axis, "nan")) for axis in "xy")
            left = x - {"start": 0, "middle": width / 2, "end": width}[item.get("text-anchor", "")]
            found[item.text] = (left, y - 9, left + width, y + 1)
    return found


def curves(svg: ET.Element) -> np.ndarray:
    """Points of all of them, (n, 2)."""
    dense = []
    for item in svg.iter("polyline"):
        corners = [tuple(map(float, pair.split(","))) for pair in item.get("points", "").split()]
        for begin, end in pairwise(corners):
            dense.append(np.linspace(begin, end, 500))
    return np.concatenate(dense)


def covered(box: tuple[float, float, float, float], points: np.ndarray) -> int:
    left, top, right, bottom = box
    x, y = points.T
    return int(((x > left) & (x < right) & (y > top) & (y < bottom)).sum())


RISING = {
    "edgeface": [0.06, 0.07, 0.36, 3.74, 59],
    "faiss flat": [0.01, 0.02, 0.13, 2.99, 64],
    "usearch exact": [0.03, 0.11, 0.85, 8.38, 121],
}
FALLING = {name: values[::-1] for name, values in RISING.items()}


@pytest.mark.parametrize("ways", [RISING, FALLING], ids=["rising", "falling"])
def test_the_names_of_curves_cover_no_curve_and_not_one_another(
    ways: dict[str, list[float]],
) -> None:
    chart = Chart("", Axis("x", 100, 1e6, log=True), Axis("y", 0.006, 180, log=True))
    counts = [10.0**power for power in range(2, 7)]
    for name, values in ways.items():
        chart.line(list(zip(counts, values, strict=True)))
        chart.name(list(zip(counts, values, strict=True)), name)
    svg = ET.fromstring(chart.svg())
    found = boxes(svg)
    assert set(found) == set(ways)
    assert [name for name, box in found.items() if covered(box, curves(svg))] == []
    for one, other in combinations(found.values(), 2):
        assert one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]


def test_marks_side_by_side_and_at_the_edge_have_texts_of_their_own_inside() -> None:
    chart = Chart("", Axis("x", 0, 1), Axis("y", 0, 1))
    chart.line([(0.0, 0.0), (1.0, 1.0)])
    for x, text in ((0.5, "one"), (0.51, "two"), (1.0, "the last")):
        chart.mark(x, x, text)
    svg = ET.fromstring(chart.svg())
    found = boxes(svg)
    assert all(covered(box, curves(svg)) == 0 for box in found.values())
    assert found["the last"][2] <= chart.width
    (left, top, right, bottom), two = found["one"], found["two"]
    assert two[0] > right or two[2] < left or two[1] > bottom or two[3] < top
