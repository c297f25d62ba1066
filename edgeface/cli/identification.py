"""`edgeface evaluate identification`: its options, and what it found in words."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeface.base.counting import counted
from edgeface.base.errors import EvaluationError
from edgeface.cli.common import add_kind, add_models, at_least
from edgeface.cli.embed import name_left_out
from edgeface.evaluation.identification_run import (
    Sampling,
    drawn_sizes,
    embed_people,
    gallery_sizes,
)
from edgeface.evaluation.opener import DETECTOR, EMBEDDER, Opener, existing, model_facts
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.protocol import read_protocol
from edgeface.evaluation.stills import crops_by_name
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.values import Image

_NAMED = 5


def add_identification(kinds: Any, folds: Any) -> argparse.ArgumentParser:
    """The kind `identification`; `folds` is the type of an argument such as 6-10."""
    kind = add_kind(
        kinds,
        "identification",
        "share of enrolled people named and of strangers named, by a still and by a track, at the"
        " daemon's own threshold for 12 to 10,000 people",
        _measure,
        _print,
    )
    who = kind.add_mutually_exclusive_group(required=True)
    who.add_argument(
        "--people", metavar="DIR|ZIP", help="one folder a person; who is enrolled is drawn"
    )
    who.add_argument(
        "--gallery", metavar="DIR|ZIP", help="who is enrolled: one folder a person, with --probes"
    )
    kind.add_argument(
        "--probes",
        metavar="DIR|ZIP",
        help="who comes to the door: one folder a person, a stranger if --gallery lacks it",
    )
    kind.add_argument("--only", default="", metavar="TEXT", help="pictures with TEXT in the name")
    kind.add_argument(
        "--pairs", metavar="FILE", help="only people of this protocol's --folds, with --people"
    )
    kind.add_argument("--folds", type=folds, metavar="A-B", help="default: all of --pairs")
    sampling = Sampling()
    for option, value, text in (
        ("photographs", sampling.photographs, "enrolled of each person, with --people"),
        ("rounds", sampling.rounds, "how often other people are drawn, with --people"),
        ("seed", sampling.seed, "of what is drawn"),
    ):
        least = 0 if option == "seed" else 1
        kind.add_argument(
            f"--{option}",
            type=at_least(least),
            default=value,
            metavar="N",
            help=f"{text} (default {value})",
        )
    kind.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help="take rules and models from it"
    )
    add_models(kind)
    kind.set_defaults(detector=None, embedder=None)
    return kind


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    if args.gallery and not args.probes:
        raise EvaluationError("--gallery needs --probes, the people who come to the door")
    for option, needs in (("probes", "gallery"), ("pairs", "people"), ("folds", "pairs")):
        if getattr(args, option) and not getattr(args, needs):
            raise EvaluationError(f"--{option} goes with --{needs}")
    roots = [existing(path) for path in (args.people, args.gallery, args.probes) if path]
    wanted = _wanted(args)
    rules, detector_name, embedder_name = _configured(args)
    opener = Opener()
    detector, embedder = opener.detector(detector_name), opener.embedder(embedder_name)
    calibration = embedder.package.calibration
    found = []
    for path in roots:
        with PictureRoot(path) as root:
            found.append(embed_people(root, detector, embedder, only=args.only, wanted=wanted))
    (portraits, account), *others = found
    if others:
        rows = gallery_sizes(portraits, others[0][0], calibration, rules)
        account = {key: value + others[0][1][key] for key, value in account.items()}
    else:
        sampling = Sampling(args.photographs, args.rounds, args.seed)
        rows = drawn_sizes(portraits, calibration, rules, sampling)
    measured = {
        "target_fpir": rules.target_fpir,
        "max_looks": rules.max_looks,
        "photographs": None if others else args.photographs,
        "sizes": rows,
        "models": [model_facts(detector, detector_name), model_facts(embedder, embedder_name)],
    } | account
    if args.report:
        from edgeface.evaluation.tables_page import identification_page

        def crops_of(names: Sequence[str]) -> Mapping[str, Image]:
            with PictureRoot(roots[-1]) as root:
                return crops_by_name(root, names, detector, embedder)

        identification_page(measured, crops_of).write(args.report)
    return measured


def _wanted(args: argparse.Namespace) -> frozenset[str] | None:
    if not args.pairs:
        return None
    protocol = read_protocol(existing(args.pairs))
    if not protocol.identities_known:
        raise EvaluationError(f"{args.pairs}: does not say who is on its pictures")
    return frozenset((protocol.part(args.folds) if args.folds else protocol).people)


def _configured(args: argparse.Namespace) -> tuple[DecisionRules, str, str]:
    if args.config is None:
        return DecisionRules(), args.detector or DETECTOR, args.embedder or EMBEDDER
    from edgeface.service.recognizing import rules_of
    from edgeface.settings.loading import load_settings

    settings = load_settings(args.config)
    models = settings.models
    return (
        rules_of(settings).decision,
        args.detector or str(models.detector),
        args.embedder or str(models.embedder),
    )


def _print(measured: dict[str, Any]) -> None:
    rows = measured["sizes"]
    print(
        " people  threshold    named by a still          named by a track"
        "           rank-1  misnamed"
    )
    for row in rows:
        still, track = row["still"], row["track"]
        marks = ("*" if row["scaled"] else " ") + ("+" if row["threshold_extrapolated"] else " ")
        shares = "   ".join(_named(kind) for kind in (still, track))
        print(
            f"{row['people']:7,}{marks[0]} {row['threshold']:8.3f}{marks[1]}  {shares}"
            f"  {_percent(still['rank_1'])}  {_percent(still['misnamed'], 2)}"
        )
    print(
        f"strangers named (FPIR); asked for: {measured['target_fpir']:.2g} of the tracks,"
        f" {rows[0]['still']['fpir_asked']:.2g} of the stills, which are one look each"
    )
    for row in rows:
        for kind in ("still", "track"):
            print(f"{row['people']:7,}{'*' if row['scaled'] else ' '} {kind}  {_fpir(row[kind])}")
    scaled = next((row for row in rows if row["scaled"]), None)
    if scaled is not None:
        print(
            f"*  measured with the {scaled['enrolled']} people who can be enrolled, at the larger"
            " gallery's threshold;\n   FPIR times as much as it is larger, rank-1 of those there"
        )
    if any(row["threshold_extrapolated"] for row in rows):
        print("+  extrapolated beyond what the calibration's data support")
    _print_people([row for row in rows if not row["scaled"]][-1:] or rows[:1])
    name_left_out(measured)


def _named(kind: dict[str, Any]) -> str:
    if kind["named"] is None:
        return "  none shown".ljust(24)
    low, high = kind["named_interval_95"]
    return f"{kind['named']:6.1%} ({low:.1%} to {high:.1%})".ljust(24)


def _percent(share: float | None, digits: int = 1) -> str:
    return "   -  " if share is None else f"{share:6.{digits}%}"


def _fpir(kind: dict[str, Any]) -> str:
    if kind["fpir"] is None:
        return "no strangers shown"
    low, high = kind["fpir_interval_95"]
    if not kind["kept"]:
        verdict = "NOT kept within a factor of two"
    elif kind["proven"]:
        verdict = "kept within a factor of two"
    else:
        verdict = "kept, as far as so few strangers tell"
    return (
        f"{kind['fpir']:.2g} (95 % interval {low:.2g} to {high:.2g}; {kind['false_names']} of"
        f" {kind['stranger_probes']}): {verdict}"
    )


def _print_people(rows: Sequence[dict[str, Any]]) -> None:
    for row in rows:
        missed = [
            f"{entry['person']} ({entry['stills_missed']:.0%} of stills,"
            f" {entry['tracks_missed']:.0%} of tracks)"
            for entry in row["missed_most"][:_NAMED]
        ]
        taken = [
            f"{entry['person']} as {entry['as']} ({counted(entry['times'], 'time')})"
            for entry in row["strangers_named"][:_NAMED]
        ]
        print(f"missed most of {row['people']:,}: {', '.join(missed) or 'nobody'}")
        print(f"strangers named: {', '.join(taken) or 'nobody'}")
