"""Compare the faces of two photographs: same person or not.

Prints similarity and thresholds. Between them the answer is "not sure": too unlike for the false
matches that are allowed, and too like for strangers. Exit code 0: the same person, 1: two people
or not sure, 2: a photograph that cannot be used.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from edgeface.cli.common import add_json, add_models, between

SAME, NOT_SAME = 0, 1
DEFAULT_FMR = 1e-4
DOUBT_FMR = 0.05
"""What fewer strangers than this reach is not said to be two people: many a pair of one person, in
other light or years apart, lies there."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Two photographs and the models."""
    parser.add_argument("a", metavar="A", help="a photograph")
    parser.add_argument("b", metavar="B", help="another photograph")
    parser.add_argument(
        "--fmr",
        type=_rate,
        default=DEFAULT_FMR,
        metavar="RATE",
        help="the share of strangers that may be taken for the same person (default 1e-4)",
    )
    add_models(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compare; raises PictureError, whose exit code is 2, for a photograph of no use."""
    from edgeface.evaluation.opener import Opener
    from edgeface.gallery.gate import Gate
    from edgeface.recognition.quality import QualityLimits

    opener = Opener()
    detector, embedder = opener.detector(args.detector), opener.embedder(args.embedder)
    calibration = embedder.package.calibration
    gate = Gate(detector, embedder, QualityLimits())
    a, b = (gate.embedding_of(Path(path)) for path in (args.a, args.b))
    similarity = float(a @ b)
    threshold = calibration.threshold_for(args.fmr)
    doubt = min(calibration.threshold_for(DOUBT_FMR).value, threshold.value)
    same = similarity >= threshold.value
    verdict = "the same person" if same else "not sure" if similarity >= doubt else "two people"
    if args.json:
        measured = {
            "similarity": similarity,
            "threshold": threshold.value,
            "threshold_extrapolated": threshold.extrapolated,
            "fmr": args.fmr,
            "doubt_threshold": doubt,
            "same": same,
            "verdict": verdict,
        }
        print(json.dumps(measured))
    else:
        note = ", beyond what the calibration's data support" if threshold.extrapolated else ""
        print(f"similarity {similarity:.3f}")
        print(f"threshold  {threshold.value:.3f} (false matches {args.fmr:g}{note})")
        if verdict == "not sure":
            print(f"{DOUBT_FMR:.0%} of strangers reach {doubt:.3f}")
        print(verdict)
    return SAME if same else NOT_SAME


def _rate(text: str) -> float:
    value = between(0, 1)(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
