"""Measure error rates on labeled pictures.

verification: same person or not. quantization: what templates of 128 bytes cost. conditions: the
same pairs in bad light, with covered, turned, small and blurred faces. identification: who of many,
or nobody, as the daemon decides. calibration: which thresholds give which false match rate, checked
on other people. detection: how well faces are found. liveness: which prints and screens pass for a
live face, and which live faces for an attack. Each writes with --report one page with tables,
curves and pictures, which needs no network and no script.

examples:
  edgeface evaluate verification --pairs pairs.txt --root lfw
  edgeface evaluate verification --pairs pairs.csv --root pictures.zip --report pairs.html
  edgeface evaluate verification --pairs pairs.txt --embeddings lfw.npz --all-pairs
  edgeface evaluate quantization --pairs pairs.txt --embeddings lfw.npz
  edgeface evaluate conditions --pairs pairs.csv --root pictures.zip --folds 6-10
  edgeface evaluate identification --people pictures.zip --only frontal
  edgeface evaluate identification --gallery staff/ --probes visitors/
  edgeface evaluate calibration --pairs ff.csv --pairs fp.csv --root pictures.zip
  edgeface evaluate calibration --pairs ff.csv --root pictures.zip --embedder mine --write
  edgeface evaluate detection --boxes boxes.csv --root pictures.zip --reference yunet:yunet.onnx
  edgeface evaluate liveness --live staff/ --attack print=prints/ --attack phone=phones/
"""

from __future__ import annotations

import argparse
from typing import Any

from edgeface.base.counting import people
from edgeface.base.errors import EvaluationError
from edgeface.cli.common import add_json, add_kind, add_models, between, output_named
from edgeface.cli.conditions import add_conditions
from edgeface.cli.embed import name_left_out
from edgeface.cli.identification import add_identification
from edgeface.cli.liveness import add_liveness
from edgeface.cli.verification import add_quantization, add_verification
from edgeface.evaluation.calibration_run import calibrate
from edgeface.evaluation.detection import measure_detection
from edgeface.evaluation.opener import EMBEDDER, Opener, existing, model_facts, parse_size
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.protocol import read_protocol
from edgeface.inference.package import find_package
from edgeface.inference.package_files import check_writable, write_calibration


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Seven measurements, each with its own arguments."""
    kinds = parser.add_subparsers(dest="kind", metavar="KIND", required=True)
    pairs = (add_verification(kinds), add_quantization(kinds), add_conditions(kinds, _folds))
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
    halves.add_argument(
        "--write", action="store_true", help="into the model.yaml of --embedder FOLDER as well"
    )
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
    for kind in (*pairs, people_named, halves, faces, add_liveness(kinds)):
        kind.add_argument(
            "--report",
            type=output_named(".html", ".htm"),
            metavar="OUT.html",
            help="write a page to look at",
        )
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


def _calibration(args: argparse.Namespace) -> dict[str, Any]:
    if args.write and args.embedder == EMBEDDER:
        raise EvaluationError("--write: name your own package with --embedder FOLDER")
    if args.write:
        check_writable(find_package(args.embedder))
    protocols = [read_protocol(existing(path)) for path in args.pairs]
    opener = Opener()
    detector, embedder = opener.detector(args.detector), opener.embedder(args.embedder)
    with PictureRoot(existing(args.root)) as root:
        measured = calibrate(
            root,
            protocols,
            detector,
            embedder,
            fit_folds=args.fit_folds,
            check_folds=args.check_folds,
        )
    measured["models"] = [
        model_facts(detector, args.detector),
        model_facts(embedder, args.embedder),
    ]
    if args.write:
        parts = (measured["calibration"], measured["identification"])
        write_calibration(find_package(args.embedder), *parts)
    if args.report:
        from edgeface.evaluation.tables_page import calibration_page

        calibration_page(measured).write(args.report)
    return measured


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
    named = measured["identification"]
    for size in named["sizes"] if named else ():
        print(
            f"{size['people']:6,} of other people enrolled, threshold {size['threshold']:.3f}:"
            f" {size['still']:.1%} named by a still, {size['track']:.1%} by a track"
        )
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
    name_left_out(measured)


def _folds(text: str) -> range:
    first, _, last = text.partition("-")
    if not (first.isdigit() and (last or first).isdigit()):
        raise argparse.ArgumentTypeError(f"{text}: expected folds as 1-5")
    return range(int(first), int(last or first) + 1)


def _detection(args: argparse.Namespace) -> dict[str, Any]:
    if not args.boxes and not args.one_face:
        raise EvaluationError("nothing to measure on: give --boxes, --one-face or both")
    with PictureRoot(existing(args.root)) as root:
        measured = measure_detection(
            root,
            detector=args.detector,
            boxes=existing(args.boxes) if args.boxes else None,
            only=args.only,
            one_face=args.one_face,
            reference=args.reference,
            input_size_px=parse_size(args.input_size) if args.input_size else None,
            min_face_px=args.min_face_px,
        )
    if args.report:
        from edgeface.evaluation.tables_page import detection_page

        detection_page(measured).write(args.report)
    return measured


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
    print(f"median ms        detect {measured['detect_ms']:.1f}")
    name_left_out(measured)
