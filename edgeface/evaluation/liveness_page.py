"""The page of `edgeface evaluate liveness`: error rates by source, worst attack first, and DETs."""

from __future__ import annotations

from typing import Any

from edgeface.base.counting import counted, people
from edgeface.evaluation.chart import Axis, Chart
from edgeface.evaluation.page import Page
from edgeface.evaluation.verification_page import (
    between,
    decade_below,
    name_models,
    name_troubles_of,
    percent,
)


def liveness_page(title: str, measured: dict[str, Any]) -> Page:
    """Of `measure_liveness`."""
    live, attacks = measured["live"], measured["attacks"]
    shown = sum(one["presentations"] for one in attacks.values())
    page = Page(
        f"Liveness: {title}",
        "What is called an attack, and what is not:"
        f" {counted(live['presentations'], 'live presentation')} of {people(live['people'])},"
        f" {counted(shown, 'attack')} of {counted(len(attacks), 'species', 'species')}.",
    )
    page.section(
        "What the rates are",
        "As in ISO/IEC 30107-3. APCER: attacks of one species that were not called one; the worst"
        " species stands first, and counts. BPCER: live ones that were called an attack. A door"
        " that refuses what is called an attack has to expect both; one that asks for a live person"
        " goes by what is called live, and evidence may suffice for neither. The rates are of what"
        " was answered; where there was nothing to go by, no face above all, that is the"
        " non-response. Intervals are of 95 % by bootstrap over people;"
        " where nobody or everybody was wrong, by the rule of three over the people. They say"
        " nothing of attacks that are not among these, and nothing of other cameras.",
    )
    for source in measured["sources"]:
        _source(page, source, measured)
    name_models(page, measured)
    name_troubles_of(page, measured)
    return page


def _source(page: Page, source: dict[str, Any], measured: dict[str, Any]) -> None:
    page.section(f"Source: {source['source']}")
    for number, point in enumerate(source["operating_points"], 1):
        page.table(
            ("shown", "error rate", "95 % interval", "wrong", "called live", "no answer"),
            [
                *(
                    (f"APCER {one['species']}", *_row(one, source["attacks"][one["species"]]))
                    for one in point["apcer"]
                ),
                ("BPCER live", *_row(point["bpcer"], source["live"])),
            ],
            f"{number}. {said_of(point)}",
        )
    page.charts([_chart(one, source, measured) for one in source["det"]])


def said_of(point: dict[str, Any]) -> str:
    """At which threshold."""
    if point["threshold"] is None:
        return "As it decides."
    return f"At the threshold {point['threshold']:.3f}: {point['name']}."


def _row(one: dict[str, Any], apart: dict[str, Any]) -> tuple[str, ...]:
    return (
        percent(one["rate"]),
        between(one["interval_95"]),
        f"{one['count']} of {one['of']}",
        percent(apart["called_live"]["rate"]),
        percent(apart["non_response"]["rate"]),
    )


def _chart(
    det: dict[str, Any], source: dict[str, Any], measured: dict[str, Any]
) -> tuple[Chart, str]:
    species = det["species"]
    least = [
        decade_below(0.5 / shown["presentations"])
        for shown in (measured["attacks"][species], measured["live"])
    ]
    chart = Chart(
        f"DET of {source['source']}, {species}",
        Axis(f"APCER: {species} not called one", least[0], 1.0, log=True),
        Axis("BPCER: live ones refused", least[1], 1.0, log=True),
    )
    chart.line([(point["apcer"], point["bpcer"]) for point in det["points"]])
    for number, point in enumerate(source["operating_points"], 1):
        own = next(one for one in point["apcer"] if one["species"] == species)
        if own["rate"] is not None and point["bpcer"]["rate"] is not None:
            chart.mark(own["rate"], point["bpcer"]["rate"], str(number))
    equal = f"equal error rate {det['eer']:.1%} at {det['eer_threshold']:.3f}"
    return chart, f"{species}: {equal}; the numbers are those of the tables."
