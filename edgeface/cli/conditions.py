"""`edgeface evaluate conditions`: its options, and what it found in words."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgeface.cli.common import add_kind, add_models
from edgeface.cli.embed import name_left_out
from edgeface.evaluation.conditions import measure_conditions
from edgeface.evaluation.opener import Opener, existing, model_facts
from edgeface.evaluation.operating_points import operating_points
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.protocol import read_protocol
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.quality import QualityLimits

_SIZES = (12, 100)


def add_conditions(kinds: Any, folds: Callable[[str], range]) -> argparse.ArgumentParser:
    """The kind `conditions`; `folds` is the type of an argument such as 6-10."""
    kind = add_kind(
        kinds,
        "conditions",
        "the same pairs gray, dark, backlit, blurred, small, turned, with mask, sunglasses and cap"
        " and in near infrared: who is still recognized",
        _measure,
        _print,
    )
    kind.add_argument(
        "--pairs", required=True, metavar="FILE", help="LFW's pairs.txt or a CSV fold,a,b,same"
    )
    kind.add_argument("--root", required=True, metavar="DIR|ZIP", help="where the pictures are")
    kind.add_argument("--folds", type=folds, metavar="A-B", help="only these (default: all)")
    add_models(kind)
    return kind


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    protocol = read_protocol(existing(args.pairs))
    if args.folds:
        protocol = protocol.part(args.folds)
    root = existing(args.root)
    opener = Opener()
    detector, embedder = opener.detector(args.detector), opener.embedder(args.embedder)
    points = operating_points(embedder.package.calibration, DecisionRules(), sizes=_SIZES)
    with PictureRoot(root) as source:
        results = measure_conditions(source, protocol, detector, embedder, points, QualityLimits())
    measured = results.mapping | {
        "models": [model_facts(detector, args.detector), model_facts(embedder, args.embedder)]
    }
    if args.report:
        from edgeface.evaluation.tables_page import conditions_page

        title = Path(args.pairs).stem
        conditions_page(title, measured, results.examples).write(args.report)
    return measured


def _print(measured: dict[str, Any]) -> None:
    clean = measured["conditions"][0]
    points = clean["operating_points"]
    print(
        f"{clean['genuine_pairs']:,} pairs of one person, one picture of each degraded;"
        " TAR at the daemon's thresholds, with 95 % intervals:"
    )
    print(
        f"{'condition':14} {'found':>7} {'gate':>7}  "
        + "  ".join(f"{point['name']} {point['threshold']:.3f}".ljust(24) for point in points)
        + "  strangers"
    )
    for row in measured["conditions"]:
        rates = []
        for point in row["operating_points"]:
            interval = point["tar_interval_95"]
            said = "" if interval is None else f" ({interval[0]:.1%} to {interval[1]:.1%})"
            rates.append(f"{point['tar']:6.1%}{said}".ljust(24))
        print(
            f"{row['condition']:14} {row['found']:7.1%} {row['gate_passed']:7.1%}  "
            + "  ".join(rates)
            + f"  {row['operating_points'][0]['far']:.1g}"
        )
    print(
        "found: faces found; gate: found and let pass by the quality gate; a TAR is of all pairs,"
        "\nwithout the gate; strangers: share of impostor pairs at the first threshold"
        f" ({clean['operating_points'][0]['fmr']:.0g} asked for)"
    )
    name_left_out(measured)
