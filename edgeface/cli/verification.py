"""`edgeface evaluate verification` and `quantization`: options, and what they found in words."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgeface.base.errors import EvaluationError
from edgeface.cli.common import add_kind, add_models
from edgeface.cli.embed import name_left_out
from edgeface.evaluation.embedding_file import embedded
from edgeface.evaluation.opener import DETECTOR, Opener, existing, model_facts
from edgeface.evaluation.operating_points import OperatingPoint, operating_points
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.protocol import Protocol, read_protocol
from edgeface.evaluation.quantization import measure_quantization
from edgeface.evaluation.stills import EmbeddedPictures, crops_by_name, embed_pictures
from edgeface.evaluation.verification_report import report
from edgeface.inference.package import ModelPackage, find_package, load_package
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.values import Image


def add_verification(kinds: Any) -> argparse.ArgumentParser:
    """The kind `verification`."""
    kind = add_kind(
        kinds,
        "verification",
        "ten-fold accuracy, EER and TAR at FAR of the shipped pipeline on pairs",
        _measure,
        _print,
    )
    _add_pairs(kind)
    kind.add_argument(
        "--all-pairs",
        action="store_true",
        help="EER and TAR over every cross-person pair instead of the file's impostor pairs",
    )
    return kind


def add_quantization(kinds: Any) -> argparse.ArgumentParser:
    """The kind `quantization`."""
    kind = add_kind(
        kinds,
        "quantization",
        "what templates of 128 bytes cost against float32: accuracy, scores, verdicts that change",
        _measure_quantization,
        _print_quantization,
        aliases=["quantisation"],
    )
    _add_pairs(kind)
    return kind


def _add_pairs(kind: argparse.ArgumentParser) -> None:
    kind.add_argument(
        "--pairs", required=True, metavar="FILE", help="LFW's pairs.txt or a CSV fold,a,b,same"
    )
    kind.add_argument("--root", metavar="DIR|ZIP", help="where the pictures are")
    kind.add_argument(
        "--embeddings",
        metavar="NPZ",
        help="what `edgeface embed` made of them; --root then only for the report's pictures",
    )
    add_models(kind)


class _Embedded:
    """The pictures of a protocol, embedded now or before, and what they were embedded with."""

    def __init__(self, args: argparse.Namespace) -> None:
        if not args.root and not args.embeddings:
            raise EvaluationError("where are the pictures? Give --root, --embeddings or both")
        if args.embeddings and not args.root and args.detector != DETECTOR:
            raise EvaluationError("--detector goes with --root: embeddings keep that of `embed`")
        self._args = args
        self.title = Path(args.pairs).stem
        self.protocol: Protocol = read_protocol(existing(args.pairs))
        self.package: ModelPackage = load_package(find_package(args.embedder))
        root = existing(args.root) if args.root else None
        self.pictures: EmbeddedPictures
        if args.embeddings:
            self.pictures, origin = embedded(
                existing(args.embeddings), self.protocol.pictures, self.package.space_id
            )
            detected = {"name": "detector", "version": "of the embeddings"}
            detector: dict[str, str | None] = {**detected, "sha256": origin.detector}
        else:
            assert root is not None
            opener = Opener()
            finder, embedder = opener.detector(args.detector), opener.embedder(args.embedder)
            detector = model_facts(finder, args.detector)
            with PictureRoot(root) as source:
                self.pictures = embed_pictures(source, self.protocol.pictures, finder, embedder)
        description = self.package.description
        self.models = [
            detector,
            {"name": description.name, "version": description.version}
            | {"sha256": self.package.sha256},
        ]

    @property
    def points(self) -> list[OperatingPoint]:
        """The daemon's thresholds; none for a model without a calibration."""
        if not self.package.calibrated:
            return []
        return operating_points(self.package.calibration, DecisionRules())

    def crops(self, names: Sequence[str]) -> Mapping[str, Image]:
        """The faces of these pictures, RGB, by name."""
        opener = Opener()
        models = opener.detector(self._args.detector), opener.embedder(self._args.embedder)
        with PictureRoot(existing(self._args.root)) as root:
            return crops_by_name(root, names, *models)


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    source = _Embedded(args)
    result = report(
        source.protocol, source.pictures, all_pairs=args.all_pairs, points=source.points
    )
    result.mapping["models"] = source.models
    if args.report:
        from edgeface.evaluation.verification_page import verification_page

        crops = source.crops if args.root else None
        verification_page(source.title, source.protocol, result, crops).write(args.report)
    return result.mapping


def _print(measured: dict[str, Any]) -> None:
    folds = measured["accuracy_by_fold"]
    if folds is None:
        print("accuracy         not measurable with a single fold")
    else:
        print(
            f"accuracy         {measured['accuracy']:.2%} +- {measured['accuracy_std']:.2%}"
            f" ({len(folds)} folds), threshold {measured['threshold']:.3f}"
        )
    print(f"EER              {measured['eer']:.2%} at {measured['eer_threshold']:.3f}")
    for point in measured["tar_at_far_details"]:
        head = f"TAR at FAR {point['far']:<5g}"
        if not point["measurable"]:
            print(f"{head} not measurable: {point['expected_errors']:.1f} errors expected, not 10")
            continue
        print(
            f"{head} {point['tar']:.2%}{_interval(point['interval_95'])}, threshold"
            f" {point['threshold']:.3f}"
        )
    which = "every cross-person pair" if measured["all_pairs"] else "of the protocol"
    print(
        f"pairs            {measured['pairs']}: {measured['genuine_pairs']} genuine;"
        f" impostors measured on: {measured['impostor_pairs']}, {which}"
    )
    unread = len(measured["pictures_unread"])
    print(
        f"faces not found  {measured['faces_not_found']} of {measured['pictures']} pictures"
        + (f" ({unread} of them not read)" if unread else "")
        + f", in {measured['pairs_not_found']} pairs (each counts as rejected)"
    )
    if measured["operating_points"]:
        print("at the daemon's thresholds:")
    for point in measured["operating_points"]:
        mark = "*" if point["extrapolated"] else " "
        print(
            f"{point['name']:16} {point['threshold']:.3f}{mark} TAR {point['tar']:.2%}"
            f"{_interval(point['tar_interval_95'])}, FAR {point['far']:.2g}"
        )
    if any(point["extrapolated"] for point in measured["operating_points"]):
        print("*  extrapolated beyond what the calibration's data support")
    if measured["stage_ms"]:
        stages = ", ".join(f"{name} {ms:.1f}" for name, ms in measured["stage_ms"].items())
        print(f"median ms        {stages}")
    name_left_out(measured)


def _interval(interval: tuple[float, float] | None) -> str:
    return "" if interval is None else f" (95 % interval {interval[0]:.1%} to {interval[1]:.1%})"


def _measure_quantization(args: argparse.Namespace) -> dict[str, Any]:
    source = _Embedded(args)
    measured = measure_quantization(source.protocol, source.pictures, source.points)
    measured["models"] = source.models
    if args.report:
        from edgeface.evaluation.tables_page import quantization_page

        quantization_page(source.title, measured).write(args.report)
    return measured


def _print_quantization(measured: dict[str, Any]) -> None:
    print(f"{measured['compared']:,} of {measured['pairs']:,} pairs have two faces")
    print("compared             accuracy   EER      score moved: mean    most")
    for form in measured["forms"]:
        accuracy = "   -   " if form["accuracy"] is None else f"{form['accuracy']:7.2%}"
        print(
            f"{form['form']:20} {accuracy}  {form['eer']:7.3%}"
            f"               {form['difference_mean']:.5f}  {form['difference_max']:.5f}"
        )
    points = zip(*(form["operating_points"] for form in measured["forms"]), strict=True)
    for exact, mixed, both in points:
        print(
            f"{exact['name']:16} {exact['threshold']:.3f}: TAR {exact['tar']:.2%},"
            f" {mixed['tar']:.2%}, {both['tar']:.2%}; verdicts changed"
            f" {mixed['verdicts_changed']} and {both['verdicts_changed']}"
        )
    name_left_out(measured)
