"""What the benchmarks found, as pictures that stand by themselves: cost against faces, search
against templates."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

from edgeface.base.files import PUBLIC, write_file
from edgeface.evaluation.chart import Axis, Chart

FACES_FILE: Final = "cost-of-faces.svg"
MATCH_FILE: Final = "cost-of-templates.svg"
_STYLE: Final = """<style>svg{background:#fff}text{font:12px system-ui,sans-serif;fill:#1c2227}
text.axis{fill:#5b6670}text.mark{fill:#8a1c4a}.grid{stroke:#d9dee2;stroke-width:.7}
path.axis{stroke:#5b6670}.line{fill:none;stroke-width:2}.line.a{stroke:#1f6fb2}
.line.b{stroke:#c2571a}circle.mark{fill:#8a1c4a}</style>"""
_SIZE: Final = [1280, 720]


def draw(measured: dict[str, Any], folder: Path) -> None:
    """Both pictures, from what `edgeface bench all --json` prints. Raises StateError where they
    cannot be written."""
    for name, chart in (
        (FACES_FILE, _faces(measured["pipeline"]["cells"])),
        (MATCH_FILE, _templates(measured["match"]["speeds"])),
    ):
        svg = chart.svg().replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
        at = svg.index(">") + 1
        content = (svg[:at] + _STYLE + svg[at:]).encode()
        write_file(folder / name, content, PUBLIC, replace=True)


def _faces(cells: list[dict[str, Any]]) -> Chart:
    """Of 1280x720 on one thread, or of all that was measured."""
    awake = [cell for cell in cells if not cell["rests"] and cell["threads"] == 1]
    usual = [cell for cell in awake if list(cell["result"]["frame_size_px"]) == _SIZE] or awake
    whole = [(cell["faces"], cell["result"]["cpu_ms"]) for cell in usual]
    other = [(cell["faces"], cell["result"]["other_ms"]) for cell in usual]
    chart = Chart(
        "Processor time of a frame against the faces in it",
        Axis("faces", 0, max(faces for faces, _ in whole)),
        Axis("ms of one core a frame", 0, max(spent_ms for _, spent_ms in whole) * 1.1),
    )
    chart.line(whole, "a")
    chart.line(other, "b")
    chart.name(whole[::-1], "all")
    chart.name(other[::-1], "without models and decoding")
    return chart


def _templates(speeds: list[dict[str, Any]]) -> Chart:
    """Of one probe; ways beside one another."""
    ways = dict.fromkeys(row["way"] for row in speeds)
    times = [row["probe_ms"] for row in speeds]
    counts = [row["templates"] for row in speeds]
    chart = Chart(
        "Time of a search against the templates in the gallery",
        Axis("templates", min(counts), max(counts), log=True),
        Axis("ms a probe, one thread", min(times) / 1.5, max(times) * 1.5, log=True),
    )
    curves = {
        way: {r["templates"]: r["probe_ms"] for r in speeds if r["way"] == way} for way in ways
    }

    def apart(way: str, count: int) -> float:
        """How far a curve is from the nearest other one there."""
        here = curves[way][count]
        others = [curve[count] for name, curve in curves.items() if name != way and count in curve]
        return min((abs(math.log(here / there)) for there in others), default=0.0)

    for way, curve in curves.items():
        chart.line(list(curve.items()), "a" if way == "edgeface" else "b")
        by_room = sorted(curve, key=lambda count: apart(way, count), reverse=True)
        chart.name([(count, curve[count]) for count in by_room], way)
    return chart
