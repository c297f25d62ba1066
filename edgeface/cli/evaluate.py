"""Measure error rates on labeled pictures.

verification: same person or not. identification: who of many, or nobody, as the daemon decides.
calibration: which thresholds give which false match rate, checked on other people. detection: how
well faces are found.

examples:
  edgeface evaluate verification --pairs pairs.txt --root lfw
  edgeface evaluate verification --pairs pairs.csv --root pictures.zip --all-pairs --plot roc.png
  edgeface evaluate verification --pairs pairs.txt --embeddings lfw.npz
  edgeface evaluate identification --people pictures.zip --only frontal
  edgeface evaluate identification --gallery staff/ --probes visitors/
  edgeface evaluate calibration --pairs ff.csv --pairs fp.csv --root pictures.zip
  edgeface evaluate detection --boxes boxes.csv --root pictures.zip --reference yunet:yunet.onnx
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from edgeface.base.counting import people
from edgeface.base.errors import EvaluationError
from edgeface.cli.common import add_json, add_kind, add_models, between, output_file
from edgeface.cli.identification import add_identification
from edgeface.evaluation.calibration_run import calibrate
from edgeface.evaluation.detection import measure_detection
from edgeface.evaluation.embedding_file import embedded
from edgeface.evaluation.opener import DETECTOR, Opener, existing, parse_size
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.protocol import Protocol, read_protocol
from edgeface.evaluation.stills import EmbeddedPictures, embed_pictures
from edgeface.evaluation.verification_report import (
    plot_verification,
    report,
    require_plotting,
)
from edgeface.inference.package import find_package, load_package


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Four measurements, each with its own arguments."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    pairs = add_kind(
        kinds,
        "verification",
        "ten-fold accuracy, EER and TAR at FAR of the shipped pipeline on pairs",
        _verification,
        _print_verification,
    )
    pairs.add_argument(
        "--pairs", required=True, metavar="FILE", help="LFW's pairs.txt or a CSV fold,a,b,same"
    )
    where = pairs.add_mutually_exclusive_group(required=True)
    where.add_argument("--root", metavar="DIR|ZIP", help="where the pictures are")
    where.add_argument(
        "--embeddings", metavar="NPZ", help="instead of the pictures what `edgeface embed` made"
    )
    add_models(pairs)
    pairs.add_argument(
        "--all-pairs",
        action="store_true",
        help="EER and TAR over every cross-person pair instead of the file's impostor pairs",
    )
    pairs.add_argument(
        "--plot",
        type=output_file,
        metavar="PNG",
        help="write the curve and the score distributions",
    )
    people_named = add_identification(kinds, _folds)
    halves = add_kind(
        kinds,
        "calibration",
        "fit the impostor scores of one half of the people, check on the other half",
        _calibration,
        _print_calibration,
    )
    halves.add_argument(
        "--pairs",
        required=True,
        action="append",
        metavar="FILE",
        help="protocol whose pictures are used; repeatable, over the same pictures",
    )
    _add_root(halves)
    add_models(halves)
    halves.add_argument("--fit-folds", type=_folds, default=_folds("1-5"), metavar="A-B")
    halves.add_argument("--check-folds", type=_folds, default=_folds("6-10"), metavar="A-B")
    faces = add_kind(
        kinds,
        "detection",
        "average precision, recall and landmark distance of a detector",
        _detection,
        _print_detection,
    )
    _add_root(faces)
    _add_detection(faces)
    for kind in (pairs, people_named, halves, faces):
        add_json(kind)


def _add_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--root", required=True, metavar="DIR|ZIP", help="where the pictures are")


def _add_detection(faces: argparse.ArgumentParser) -> None:
    faces.add_argument("--boxes", metavar="CSV", help="annotations: image,x,y,w,h,ignore")
    faces.add_argument(
        "--one-face",
        metavar="TEXT",
        help="pictures with TEXT in their name show one face each: how many are found",
    )
    faces.add_argument(
        "--only", default="", metavar="TEXT", help="only annotated pictures with TEXT in the name"
    )
    faces.add_argument(
        "--detector",
        default="face_detector",
        metavar="PKG",
        help="model package, or yunet:FILE.onnx[@WIDTHxHEIGHT]",
    )
    faces.add_argument(
        "--reference",
        metavar="DETECTOR",
        help="measure the landmarks' distance to this one's, yunet:FILE.onnx for instance",
    )
    faces.add_argument(
        "--input-size",
        metavar="WxH",
        help="input size at which the smallest face is meant (default: the detector's own)",
    )
    faces.add_argument(
        "--min-face-px",
        type=between(1),
        default=24.0,
        metavar="PX",
        help="shorter side of the smallest face that counts, at the input size (default 24)",
    )


def _verification(args: argparse.Namespace) -> dict[str, Any]:
    if args.plot:
        require_plotting()
    protocol = read_protocol(existing(args.pairs))
    pictures = _embedded_before(args, protocol) if args.embeddings else _embedded(args, protocol)
    result = report(protocol, pictures, all_pairs=args.all_pairs)
    if args.plot:
        plot_verification(result, args.plot, Path(args.pairs).stem)
    return result.mapping


def _embedded(args: argparse.Namespace, protocol: Protocol) -> EmbeddedPictures:
    opener = Opener()
    detector, embedder = opener.detector(args.detector), opener.embedder(args.embedder)
    with PictureRoot(existing(args.root)) as root:
        return embed_pictures(root, protocol.pictures, detector, embedder)


def _embedded_before(args: argparse.Namespace, protocol: Protocol) -> EmbeddedPictures:
    if args.detector != DETECTOR:
        raise EvaluationError("--detector goes with --root: embeddings keep that of `embed`")
    space_id = load_package(find_package(args.embedder)).space_id
    return embedded(existing(args.embeddings), protocol.pictures, space_id)


def _print_verification(measured: dict[str, Any]) -> None:
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
        interval = ""
        if point["interval_95"] is not None:
            low, high = point["interval_95"]
            interval = f" (95 % interval {low:.1%} to {high:.1%})"
        print(f"{head} {point['tar']:.2%}{interval}, threshold {point['threshold']:.3f}")
    which = "every cross-person pair" if measured["all_pairs"] else "of the protocol"
    print(
        f"pairs            {measured['pairs']}: {measured['genuine_pairs']} genuine;"
        f" impostors measured on: {measured['impostor_pairs']}, {which}"
    )
    print(
        f"faces not found  {measured['faces_not_found']} of {measured['pictures']} pictures,"
        f" in {measured['pairs_not_found']} pairs (each counts as rejected)"
    )
    _print_unread(measured)
    if measured["stage_ms"]:
        stages = ", ".join(f"{name} {ms:.1f}" for name, ms in measured["stage_ms"].items())
        print(f"median ms        {stages}")


def _print_unread(measured: dict[str, Any]) -> None:
    unread = measured["pictures_unread"]
    if unread:
        print(f"not read         {len(unread)} of them; {unread[0]}")


def _calibration(args: argparse.Namespace) -> dict[str, Any]:
    protocols = [read_protocol(existing(path)) for path in args.pairs]
    opener = Opener()
    detector, embedder = opener.detector(args.detector), opener.embedder(args.embedder)
    with PictureRoot(existing(args.root)) as root:
        return calibrate(
            root,
            protocols,
            detector,
            embedder,
            fit_folds=args.fit_folds,
            check_folds=args.check_folds,
        )


def _print_calibration(measured: dict[str, Any]) -> None:
    table = measured["calibration"]
    print(
        f"fitted on {measured['impostors']} impostor pairs of {people(measured['people'])};"
        f" the data support a false match rate down to {table['smallest_fmr']:g}"
    )
    print(
        f"tail from {table['tail_start']:.4f} at {table['tail_rate']:.3g}:"
        f" shape {table['tail_shape']:.3f}, scale {table['tail_scale']:.4f}"
    )
    _print_unread(measured)
    print(f"on {measured['check_impostors']} impostor pairs of other people:")
    for check in measured["checks"]:
        low, high = check["interval_95"]
        verdict = (
            "within a factor of two"
            if check["within_factor_two"]
            else ("the interval reaches a factor of two" if check["consistent"] else "off")
        )
        note = " (extrapolated)" if check["extrapolated"] else ""
        print(
            f"FMR {check['fmr']:<7g} threshold {check['threshold']:.3f}{note}: delivers"
            f" {check['delivered']:.3g} (95 % interval {low:.3g} to {high:.3g},"
            f" {check['errors']} errors): {verdict}"
        )


def _folds(text: str) -> range:
    first, _, last = text.partition("-")
    if not (first.isdigit() and (last or first).isdigit()):
        raise argparse.ArgumentTypeError(f"{text}: expected folds as 1-5")
    return range(int(first), int(last or first) + 1)


def _detection(args: argparse.Namespace) -> dict[str, Any]:
    if not args.boxes and not args.one_face:
        raise EvaluationError("nothing to measure on: give --boxes, --one-face or both")
    with PictureRoot(existing(args.root)) as root:
        return measure_detection(
            root,
            detector=args.detector,
            boxes=existing(args.boxes) if args.boxes else None,
            only=args.only,
            one_face=args.one_face,
            reference=args.reference,
            input_size_px=parse_size(args.input_size) if args.input_size else None,
            min_face_px=args.min_face_px,
        )


def _print_detection(measured: dict[str, Any]) -> None:
    boxes, singles = measured["boxes"], measured["one_face"]
    if boxes is not None:
        width, height = measured["input_size_px"]
        print(
            f"AP at IoU 0.5    {boxes['average_precision']:.2%} over {boxes['faces']} faces of at"
            f" least {measured['min_face_px']:g} px at {width}x{height},"
            f" {boxes['pictures']} pictures"
        )
        print(
            f"recall           {boxes['recall']:.2%}, precision {boxes['precision']:.2%}"
            f" from score {boxes['score_threshold']:g}"
        )
    if singles is not None:
        print(f"one-face recall  {singles['recall']:.2%} of {singles['pictures']} pictures")
    for name in ("boxes", "one_face"):
        part = measured[name]
        if part is None or part["landmarks"] is None:
            continue
        marks = part["landmarks"]
        print(
            f"landmarks        {marks['mean_percent']:.2f} % of the eyes' distance from the"
            f" reference (median {marks['median_percent']:.2f}, 90th percentile"
            f" {marks['p90_percent']:.2f}), {marks['faces']} faces of {name},"
            f" {marks['left_out']} profiles left out"
        )
    _print_unread(measured)
    print(f"median ms        detect {measured['detect_ms']:.1f}")
