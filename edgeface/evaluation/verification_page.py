"""The page of a verification: curves with the daemon's thresholds, histograms, hardest pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeface.evaluation.chart import Axis, Chart
from edgeface.evaluation.page import Page, Shown
from edgeface.evaluation.protocol import Protocol
from edgeface.evaluation.rates import NOT_FOUND
from edgeface.evaluation.verification_report import VerificationReport, operating_curve
from edgeface.recognition.values import Image

CropsOf: TypeAlias = Callable[[Sequence[str]], Mapping[str, Image]]
"""The faces of pictures by their names, RGB."""

HARDEST: Final = 12
_LISTED: Final = 50
_BINS: Final = 100


def verification_page(
    title: str, protocol: Protocol, report: VerificationReport, crops_of: CropsOf | None
) -> Page:
    """Without `crops_of` the hardest pairs are named only."""
    measured = report.mapping
    which = "every cross-person pair" if measured["all_pairs"] else "the protocol's impostor pairs"
    page = Page(
        f"Verification: {title}",
        f"Are two photographs of one person? {measured['genuine_pairs']:,} genuine pairs of"
        f" {measured['people']:,} people and {measured['impostor_pairs']:,} impostor pairs"
        f" ({which}).",
    )
    _results(page, measured)
    _curves(page, report)
    hardest_pairs(page, protocol, report, crops_of)
    name_models(page, measured)
    name_troubles_of(page, measured)
    return page


def _results(page: Page, measured: dict[str, Any]) -> None:
    page.section("Results")
    facts = {"equal error rate": f"{measured['eer']:.2%} at {measured['eer_threshold']:.3f}"}
    if measured["accuracy"] is not None:
        folds = len(measured["accuracy_by_fold"])
        accuracy = f"{measured['accuracy']:.2%} ± {measured['accuracy_std']:.2%}"
        facts = {f"accuracy, {folds} folds": accuracy} | facts
    facts["faces not found"] = (
        f"{measured['faces_not_found']} of {measured['pictures']:,} pictures, in"
        f" {measured['pairs_not_found']} pairs: each counts as rejected"
    )
    page.facts(facts)
    page.table(
        ("FAR", "TAR", "95 % interval", "threshold"),
        [
            (
                f"{point['far']:g}",
                percent(point["tar"]),
                between(point["interval_95"]),
                cosine(point),
            )
            if point["measurable"]
            else (f"{point['far']:g}", "not measurable: too few impostor pairs", "", "")
            for point in measured["tar_at_far_details"]
        ],
        "True accept rate at a false accept rate; the threshold is found on these very pairs.",
    )
    page.section(
        "At the daemon's thresholds",
        "These follow from the model's calibration and the default configuration, not from this"
        " data. The numbers are those in the charts. * beyond what the calibration's data support.",
    )
    page.table(
        ("no. and name", "threshold", "TAR", "95 % interval", "FAR", "FMR to be kept"),
        [
            (
                f"{number}. {point['name']}",
                cosine(point),
                percent(point["tar"]),
                between(point["tar_interval_95"]),
                f"{point['far']:.2g} ({point['impostors_accepted']:,} pairs)",
                f"{point['fmr']:.2g}",
            )
            for number, point in enumerate(measured["operating_points"], 1)
        ],
    )


def _tar(point: Mapping[str, Any]) -> tuple[str, ...]:
    far = f"{point['far']:g}"
    if not point["measurable"]:
        return (far, "not measurable: too few impostor pairs", "", "")
    return (far, percent(point["tar"]), between(point["interval_95"]), cosine(point))


def _curves(page: Page, report: VerificationReport) -> None:
    points = report.mapping["operating_points"]
    page.section(
        "Curves",
        "DET: what is refused of the genuine pairs against what passes of the impostors; lower and"
        " further left is better. ROC: the same with what passes of the genuine pairs; the lines"
        " are 95 % intervals by bootstrap over people. The histogram shows how far apart the two"
        " kinds are; scores right of a line pass at that threshold.",
    )
    far, tar = operating_curve(report.genuine.scores, report.impostor.scores)
    least = 0.5 / len(report.impostor)
    false = Axis("false accept rate", decade_below(least), 1.0, log=True)
    floor = decade_below(0.5 / len(report.genuine))
    det = Chart("DET curve", false, Axis("false reject rate", floor, 1.0, log=True))
    roc = Chart("ROC curve", false, Axis("true accept rate", 0.0, 1.0, percent=True))
    shown = thinned(far, tar)
    det.line([(max(x, least), max(1 - y, floor)) for x, y in shown])
    roc.line([(max(x, least), y) for x, y in shown])
    for number, point in enumerate(points, 1):
        x = max(point["far"], least)
        det.mark(x, 1 - point["tar"], str(number))
        roc.mark(x, point["tar"], str(number), point["tar_interval_95"])
    scores = (report.genuine.scores, report.impostor.scores)
    names = ", ".join(f"{number} {point['name']}" for number, point in enumerate(points, 1))
    page.charts(
        [
            (det, f"DET. Thresholds: {names}."),
            (roc, f"ROC. Thresholds: {names}."),
            (histogram(scores, points), "Scores; each kind has the area 1."),
        ]
    )
    page.key("same person", "two people")


def histogram(
    scores: tuple[NDArray[np.float32], NDArray[np.float32]], points: Iterable[Mapping[str, Any]]
) -> Chart:
    """Of genuine and impostor scores, with the thresholds of `points` numbered from 1."""
    edges = np.linspace(-0.5, 1.0, _BINS + 1)
    heights = [
        np.histogram(kind[kind > NOT_FOUND], edges, density=True)[0] if len(kind) else edges[1:] * 0
        for kind in scores
    ]
    most = max(1.0, *(float(np.nan_to_num(kind).max()) for kind in heights))
    chart = Chart("histogram of scores", Axis("cosine", -0.5, 1.0), Axis("density", 0, most * 1.05))
    for kind, name in zip(heights, ("a", "b"), strict=True):
        chart.histogram(edges.tolist(), np.nan_to_num(kind).tolist(), "a" if name == "a" else "b")
    for number, point in enumerate(points, 1):
        chart.limit(point["threshold"], str(number))
    return chart


def hardest_pairs(
    page: Page, protocol: Protocol, report: VerificationReport, crops_of: CropsOf | None
) -> None:
    """Genuine pairs with the lowest and impostor pairs with the highest scores."""
    scores, same = report.pairs, protocol.same
    compared = np.flatnonzero(scores > NOT_FOUND)
    order = compared[np.argsort(scores[compared], kind="stable")]
    refused = order[same[order]][:HARDEST].tolist()
    taken = order[~same[order]][::-1][:HARDEST].tolist()
    names = list(
        dict.fromkeys(
            name
            for row in (*refused, *taken)
            for name in (protocol.pairs[row].a, protocol.pairs[row].b)
        )
    )
    crops = crops_of(names) if crops_of else {}
    for title, text, rows in (
        ("Hardest genuine pairs", "One person, least alike: the first to be refused.", refused),
        ("Hardest impostor pairs", "Two people, most alike: the first to be taken for one.", taken),
    ):
        page.section(title, f"{text} Look whether the labels are right.")
        chosen = [(protocol.pairs[row], float(scores[row])) for row in rows]
        captions = [(pair, f"{score:.3f}  {pair.a}  {pair.b}") for pair, score in chosen]
        if crops:
            page.faces(
                [
                    Shown(tuple(crops[n] for n in (pair.a, pair.b) if n in crops), caption)
                    for pair, caption in captions
                ]
            )
        else:
            page.listing([caption for _, caption in captions])
    if not crops:
        page.text("Give --root as well to see them.")


def name_models(page: Page, measured: Mapping[str, Any]) -> None:
    """What it was measured with."""
    page.section("Models")
    page.table(
        ("model", "version", "sha256"),
        [(model["name"], model["version"], model["sha256"] or "") for model in measured["models"]],
    )


def name_troubles_of(page: Page, measured: Mapping[str, Any]) -> None:
    """Pictures that were not read, or have no face."""
    lines = [
        *measured["pictures_unread"],
        *(f"{name}: no face found" for name in measured.get("pictures_faceless", ())),
    ]
    if lines:
        page.section("Pictures that were not measured")
        page.listing(lines[:_LISTED])
        if len(lines) > _LISTED:
            page.text(f"and {len(lines) - _LISTED:,} more")


def thinned(
    x: NDArray[np.float32], y: NDArray[np.float32], most: int = 400
) -> list[tuple[float, float]]:
    """At most so many points of a curve, ends included."""
    chosen = np.unique(np.linspace(0, len(x) - 1, min(most, len(x))).astype(int))
    return [(float(x[i]), float(y[i])) for i in chosen] if len(x) else []


def decade_below(rate: float) -> float:
    """The power of ten at or below it."""
    return float(10.0 ** np.floor(np.log10(rate)))


def percent(share: float | None) -> str:
    """A share in words; a dash for none."""
    return "-" if share is None else f"{share:.2%}"


def between(interval: tuple[float, float] | None) -> str:
    """An interval of a share in words."""
    return "" if interval is None else f"{interval[0]:.1%} to {interval[1]:.1%}"


def cosine(point: Mapping[str, Any]) -> str:
    """A threshold, marked where it is extrapolated."""
    return f"{point['threshold']:.3f}" + ("*" if point.get("extrapolated") else "")
