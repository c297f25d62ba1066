"""The pages of the other measurements: tables and what they mean, made of what `--json` prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from edgeface.evaluation.chart import Axis, Chart
from edgeface.evaluation.conditions import CONDITIONS
from edgeface.evaluation.page import Page, Shown
from edgeface.evaluation.verification_page import (
    CropsOf,
    cosine,
    decade_below,
    name_models,
    name_troubles_of,
    percent,
)
from edgeface.recognition.thresholds import MIN_SCORE, Calibration
from edgeface.recognition.values import Image


def quantization_page(title: str, measured: dict[str, Any]) -> Page:
    """Of `measure_quantization`."""
    page = Page(
        f"Quantization: {title}",
        "What an embedding stored as 128 bytes costs against float32, on"
        f" {measured['compared']:,} pairs with two faces.",
    )
    page.section(
        "Accuracy and scores",
        "At a door a template of bytes is compared with a float32 embedding of the camera; two rows"
        " of `edgeface embed --int8` are bytes both.",
    )
    page.table(
        ("compared", "accuracy", "EER", "score moved: mean", "most"),
        [
            (
                form["form"],
                percent(form["accuracy"]),
                f"{form['eer']:.3%}",
                f"{form['difference_mean']:.5f}",
                f"{form['difference_max']:.5f}",
            )
            for form in measured["forms"]
        ],
    )
    exact, *others = measured["forms"]
    page.section("Verdicts at the daemon's thresholds")
    page.table(
        (
            "asked for", "threshold", "TAR, float32",
            *(f"{kind}, {form['form']}" for form in others for kind in ("TAR", "verdicts changed")),
        ),
        [
            (
                point["name"], cosine(point), percent(point["tar"]),
                *(
                    text
                    for form in others
                    for own in (form["operating_points"][row],)
                    for text in (percent(own["tar"]), str(own["verdicts_changed"]))
                ),
            )
            for row, point in enumerate(exact["operating_points"])
        ],
    )  # fmt: skip
    return _closed(page, measured)


def conditions_page(
    title: str, measured: dict[str, Any], examples: Sequence[tuple[str, Image]]
) -> Page:
    """Of `measure_conditions`."""
    clean = measured["conditions"][0]
    page = Page(
        f"Conditions: {title}",
        f"The same {clean['genuine_pairs']:,} pairs of one person, one picture of each degraded.",
    )
    page.section(
        "Who is still recognized",
        "True accept rate at the daemon's thresholds with 95 % intervals by bootstrap over people;"
        " a face that is not found counts as rejected. The quality gate is not applied to it, but"
        " at a door what the gate refuses is not compared. Strangers: share of impostor pairs, one"
        " picture of each degraded, at the first threshold.",
    )
    page.table(
        (
            "condition", "faces found", "pass the gate",
            *(f"{p['name']}, {cosine(p)}" for p in clean["operating_points"]), "strangers",
        ),
        [
            (
                row["condition"],
                _with(row["found"], row["found_interval_95"]),
                _with(row["gate_passed"], row["gate_passed_interval_95"]),
                *(_with(p["tar"], p["tar_interval_95"]) for p in row["operating_points"]),
                f"{row['operating_points'][0]['far']:.1g}",
            )
            for row in measured["conditions"]
        ],
    )  # fmt: skip
    refused = [
        (row["condition"], ", ".join(f"{gate} {count}" for gate, count in row["gates"].items()))
        for row in measured["conditions"]
        if row["gates"]
    ]
    page.table(("condition", "refused by the gate"), refused)
    page.section("What was done to the pictures")
    said = {name: text for name, (_, text) in CONDITIONS.items()}
    page.faces(
        [
            Shown((picture,), f"{name}: {said[name]}" if name in said else name)
            for name, picture in examples
        ]
    )
    return _closed(page, measured)


def calibration_page(measured: dict[str, Any]) -> Page:
    """Of `evaluate calibration`."""
    table = measured["calibration"]
    page = Page(
        "Calibration",
        "Which threshold gives which false match rate: fitted on"
        f" {measured['impostors']:,} impostor pairs of {measured['people']:,} people, checked on"
        f" {measured['check_impostors']:,} pairs of others.",
    )
    page.section(
        "What the thresholds deliver on people who were not calibrated on",
        "A rate within a factor of two of what was asked for is as good as can be expected."
        " * beyond what the data support.",
    )
    page.table(
        ("FMR asked for", "threshold", "delivered", "95 % interval", "errors"),
        [
            (
                f"{check['fmr']:g}",
                cosine(check),
                f"{check['delivered']:.3g}",
                f"{check['interval_95'][0]:.2g} to {check['interval_95'][1]:.2g}",
                f"{check['errors']:,}",
            )
            for check in measured["checks"]
        ],
    )
    calibration = Calibration.from_mapping(table)
    low, high = -0.2, 1.0
    chart = Chart(
        "false match rate over the threshold",
        Axis("threshold, a cosine", low, high),
        Axis("false match rate", 1e-9, 1.0, log=True),
    )
    scores = [low + (high - low) * step / 240 for step in range(241)]
    chart.line([(score, max(calibration.survival_at(score), 1e-9)) for score in scores])
    for number, check in enumerate(measured["checks"], 1):
        delivered = max(check["delivered"], 1e-9)
        chart.mark(check["threshold"], delivered, str(number), tuple(check["interval_95"]))
    page.section("The curve")
    support = f"The data support {table['smallest_fmr']:g} at the least."
    said = f"As the daemon will read it; points: delivered on other people. {support}"
    page.charts([(chart, said)])
    return _closed(page, measured)


def detection_page(measured: dict[str, Any]) -> Page:
    """Of `measure_detection`."""
    width, height = measured["input_size_px"]
    page = Page(
        "Detection",
        f"How well {measured['detector']} finds faces of at least {measured['min_face_px']:g} px at"
        f" {width}x{height}.",
    )
    boxes, singles = measured["boxes"], measured["one_face"]
    page.section("Results")
    facts = {"time to detect, median": f"{measured['detect_ms']:.1f} ms"}
    if boxes is not None:
        facts |= {
            "average precision, IoU 0.5": f"{boxes['average_precision']:.2%}",
            f"recall from score {boxes['score_threshold']:g}": f"{boxes['recall']:.2%}",
            f"precision from score {boxes['score_threshold']:g}": f"{boxes['precision']:.2%}",
            "faces in pictures": f"{boxes['faces']:,} in {boxes['pictures']:,}",
        }
    if singles is not None:
        facts["pictures of one face with one found"] = (
            f"{singles['recall']:.2%} of {singles['pictures']:,}"
        )
    page.facts(facts)
    marks = {name: measured[name] and measured[name]["landmarks"] for name in ("boxes", "one_face")}
    page.table(
        ("landmarks, % of the eyes' distance", "mean", "median", "90th percentile", "faces"),
        [
            (
                name.replace("_", " "),
                f"{own['mean_percent']:.2f}",
                f"{own['median_percent']:.2f}",
                f"{own['p90_percent']:.2f}",
                f"{own['faces']:,}",
            )
            for name, own in marks.items()
            if own
        ],
    )
    if singles is not None and singles["missed"]:
        page.section("Missed")
        page.listing(singles["missed"][:50])
    return _closed(page, measured)


def identification_page(measured: dict[str, Any], crops_of: CropsOf) -> Page:
    """Of `evaluate identification`; `crops_of` gives the faces of probes."""
    rows = measured["sizes"]
    page = Page(
        "Identification",
        "Who of many is it, or nobody: as the daemon decides, at its own threshold for each size of"
        " the gallery.",
    )
    page.section(
        "Own people named",
        "A still is one look at one photograph; a track is judged as at the door, its frames being"
        " independent photographs. * measured with fewer people than that, at the larger gallery's"
        " threshold. + extrapolated beyond what the calibration's data support.",
    )
    page.table(
        ("people", "threshold", "named by a still", "by a track", "rank-1", "misnamed"),
        [
            (
                _people(row),
                f"{row['threshold']:.3f}" + ("+" if row["threshold_extrapolated"] else ""),
                *(_with(row[k]["named"], row[k]["named_interval_95"]) for k in ("still", "track")),
                percent(row["still"]["rank_1"]),
                percent(row["still"]["misnamed"]),
            )
            for row in rows
        ],
    )
    page.section("Strangers named")
    page.table(
        ("people", "probe", "FPIR", "95 % interval", "asked for", "false names", "kept"),
        [
            (_people(row), kind, *_strangers(row[kind]))
            for row in rows
            for kind in ("still", "track")
        ],
    )
    page.section(
        "Curves",
        "FNIR: own people who are not the nearest or stay below the threshold, against FPIR:"
        " strangers of whom somebody reaches it. The curve is of the nearest person alone; the"
        " point is the daemon's decision, which asks for a margin, and of a track for frames that"
        " agree. On the left and the lower edge lies what did not happen at all.",
    )
    whole = [row for row in rows if not row["scaled"]] or rows[:1]
    page.charts(
        [_det(row, kind) for row in whole for kind in ("still", "track") if row[kind]["det"]]
    )
    _people_of(page, whole[-1])
    _hardest_of(page, whole[-1], crops_of)
    return _closed(page, measured)


def _people_of(page: Page, row: dict[str, Any]) -> None:
    """Who is missed and who is taken for whom."""
    missed = [
        (
            entry["person"],
            f"{entry['stills_missed']:.0%} of {entry['stills']}",
            f"{entry['tracks_missed']:.0%} of {entry['tracks']}",
        )
        for entry in row["missed_most"]
    ]
    taken = [(e["person"], e["as"], str(e["times"])) for e in row["strangers_named"]]
    for title, head, rows in (
        (f"Missed most of {row['people']:,}", ("person", "stills missed", "tracks missed"), missed),
        ("Strangers taken for somebody", ("stranger", "as", "times"), taken),
    ):
        page.section(title)
        page.table(head, rows)
        if not rows:
            page.text("Nobody.")


def _hardest_of(page: Page, row: dict[str, Any], crops_of: CropsOf) -> None:
    kinds = row["hardest"]
    crops = crops_of([entry["picture"] for entries in kinds.values() for entry in entries])
    for title, text, kind in (
        ("Hardest pictures of own people", "Least like their own template.", "own"),
        ("Hardest pictures of strangers", "Most like somebody who is enrolled.", "strangers"),
    ):
        page.section(title, text)
        page.faces(
            [
                Shown((crops[entry["picture"]],), _said_of(entry, kind))
                for entry in kinds[kind]
                if entry["picture"] in crops
            ]
        )


def _said_of(entry: dict[str, Any], kind: str) -> str:
    score = "" if entry["score"] == MIN_SCORE else f"{entry['score']:.3f} "
    if kind == "own" and entry["nearest"] == entry["person"]:
        return f"{score}{entry['picture']}"
    return f"{score}{entry['picture']}, nearest: {entry['nearest']}"


def _det(row: dict[str, Any], kind: str) -> tuple[Chart, str]:
    own = row[kind]
    least = [decade_below(0.5 / own[probes]) for probes in ("stranger_probes", "probes")]
    chart = Chart(
        f"DET of {_people(row)} people, {kind}s",
        Axis("FPIR: strangers named", least[0], 1.0, log=True),
        Axis("FNIR: own people missed", least[1], 1.0, log=True),
    )
    chart.line([(point["fpir"], point["fnir"]) for point in own["det"]])
    chart.mark(own["fpir"], 1 - own["named"], f"{row['threshold']:.3f}")
    return chart, f"{_people(row)} people, {kind}s."


def _people(row: dict[str, Any]) -> str:
    return f"{row['people']:,}" + ("*" if row["scaled"] else "")


def _strangers(kind: dict[str, Any]) -> tuple[str, ...]:
    if kind["fpir"] is None:
        return ("none shown", "", "", "", "")
    low, high = kind["fpir_interval_95"]
    kept = "no" if not kind["kept"] else "yes" if kind["proven"] else "as far as so few tell"
    return (
        f"{kind['fpir']:.2g}",
        f"{low:.2g} to {high:.2g}",
        f"{kind['fpir_asked']:.2g}",
        f"{kind['false_names']:,} of {kind['stranger_probes']:,}",
        kept,
    )


def _with(share: float | None, interval: tuple[float, float] | None) -> str:
    if share is None or interval is None:
        return percent(share)
    return f"{share:.1%} ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})"


def _closed(page: Page, measured: Mapping[str, Any]) -> Page:
    name_models(page, measured)
    name_troubles_of(page, measured)
    return page
