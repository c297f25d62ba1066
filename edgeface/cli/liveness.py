"""`edgeface evaluate liveness`: its options, and what it found in words."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edgeface.base.counting import counted, people
from edgeface.cli.camera_options import open_video
from edgeface.cli.common import add_kind, add_models, between
from edgeface.cli.embed import name_troubles
from edgeface.evaluation.attack_rates import measure_liveness
from edgeface.evaluation.liveness_page import liveness_page, said_of
from edgeface.evaluation.liveness_run import of_film, show_all
from edgeface.evaluation.opener import LIVENESS, Opener, existing, model_facts
from edgeface.recognition.liveness import Liveness
from edgeface.recognition.pipeline import Pipeline, PipelineRules

_STALL_S = 5.0


def add_liveness(kinds: Any) -> argparse.ArgumentParser:
    """The kind `liveness`."""
    kind = add_kind(
        kinds,
        "liveness",
        "presentation attack detection: attacks that are not called one (APCER) by species, live"
        " faces that are (BPCER), and what was not answered",
        _measure,
        _print,
    )
    kind.add_argument(
        "--live",
        required=True,
        metavar="DIR|ZIP",
        help="pictures and films of live faces, best one folder a person",
    )
    kind.add_argument(
        "--attack",
        required=True,
        action="append",
        type=_attack,
        metavar="NAME=DIR|ZIP",
        help="the same of attacks of one species, such as print or phone; repeatable",
    )
    kind.add_argument(
        "--bpcer",
        type=between(0, 1),
        default=0.01,
        metavar="SHARE",
        help="also at the threshold at which this share of the live ones is refused (default 0.01)",
    )
    kind.add_argument(
        "--pad", default=LIVENESS, metavar="PKG", help="model package (default: shipped)"
    )
    add_models(kind)
    return kind


def _attack(text: str) -> tuple[str, str]:
    name, _, path = text.partition("=")
    if not name.strip() or not path:
        raise argparse.ArgumentTypeError(f"{text}: expected NAME=DIR, print=prints/ for instance")
    return name.strip(), path


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    roots = [("live", existing(args.live)), *((n, existing(path)) for n, path in args.attack)]
    opener = Opener()
    detector, embedder = opener.detector(args.detector), opener.embedder(args.embedder)
    scorer = opener.liveness(args.pad)

    def show_film(path: Path) -> Liveness | None:
        calibration = embedder.package.calibration
        pipeline = Pipeline(detector, embedder, calibration, PipelineRules(), scorer=scorer)
        with open_video(path) as video:
            return of_film(video.frames(_STALL_S), pipeline, embedder.space_id)

    found = [(name, show_all(path, detector, scorer, show_film)) for name, path in roots]
    live, attacks = found[0][1], dict[str, Any]()
    for species, shown in found[1:]:
        attacks.setdefault(species, []).extend(shown)
    measured = measure_liveness(live, attacks, args.bpcer) | {
        "models": [
            model_facts(detector, args.detector),
            model_facts(embedder, args.embedder),
            model_facts(scorer, args.pad),
        ],
    }
    if args.report:
        liveness_page(Path(args.live).name, measured).write(args.report)
    return measured


def _print(measured: dict[str, Any]) -> None:
    live = measured["live"]
    print(f"live: {_shown(live)}")
    for species, shown in measured["attacks"].items():
        print(f"{species}: {_shown(shown)}")
    for source in measured["sources"]:
        print(f"\n{source['source']}")
        for point in source["operating_points"]:
            print(said_of(point))
            for one in point["apcer"]:
                species = one["species"]
                print(f"  APCER {species:12} {_row(one, source['attacks'][species])}")
            print(f"  BPCER {'live':12} {_row(point['bpcer'], source['live'])}")
    print(
        "\nAPCER: attacks not called one, worst species first; BPCER: live ones called an attack;"
        " of what was\nanswered, with 95 % intervals by person"
    )
    name_troubles(measured["pictures_unread"])


def _shown(shown: dict[str, int]) -> str:
    return f"{counted(shown['presentations'], 'presentation')} of {people(shown['people'])}"


def _row(one: dict[str, Any], apart: dict[str, Any]) -> str:
    live, silent = apart["called_live"]["rate"], apart["non_response"]["rate"]
    more = f"called live {live:.1%}, no answer {silent:.1%}"
    if one["rate"] is None:
        return f"nothing to go by; {more}"
    low_high = one["interval_95"]
    said = "" if low_high is None else f" ({low_high[0]:.1%} to {low_high[1]:.1%})"
    return f"{one['rate']:6.1%}{said}, {one['count']} of {one['of']}; {more}"
