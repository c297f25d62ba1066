"""Compare the faces of two photographs: same person or not.

Prints similarity (cosine), Euclidean distance and threshold. Between the thresholds the answer is
"not sure": too unlike for the false matches that are allowed, and too like for strangers. Exit
code 0: the same person, 1: two people or not sure, 2: a photograph that cannot be used.

  edgeface compare passport.jpg visitor.jpg
  edgeface compare group.jpg visitor.jpg --face 3 -o beside.png
"""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from edgeface.base.errors import PictureError
from edgeface.cli.common import add_json, add_models, at_least, between, not_over, output_picture
from edgeface.recognition.thresholds import COMPARISON_FMR, DOUBT_FMR

if TYPE_CHECKING:
    from edgeface.toolbox.answered import FaceComparison
    from edgeface.toolbox.engine import Engine
    from edgeface.toolbox.seen_face import SeenFace

SAME, NOT_SAME = 0, 1
VERDICTS = {"same": "the same person", "unsure": "not sure", "different": "two people"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Two photographs and the models."""
    parser.add_argument("a", metavar="A", help="a photograph")
    parser.add_argument("b", metavar="B", help="another photograph")
    parser.add_argument(
        "--fmr",
        type=_rate,
        default=COMPARISON_FMR,
        metavar="RATE",
        help="the share of strangers that may be taken for the same person (default 1e-4)",
    )
    parser.add_argument(
        "--face",
        type=at_least(1),
        action="append",
        metavar="N",
        help="of several faces in a photograph the Nth from the left; twice: for A and for B",
    )
    parser.add_argument(
        "-o", type=output_picture, dest="output", metavar="OUT.png", help="both crops side by side"
    )
    add_models(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Compare; raises PictureError, whose exit code is 2, for a photograph of no use."""
    from edgeface.toolbox.engine import open_engine

    numbers = args.face or [None]
    if len(numbers) > 2:
        raise PictureError("--face: once for both photographs, or twice, for A and for B")
    not_over(args.output, [args.a, args.b])
    with open_engine(args.detector, args.embedder) as engine:
        faces = [_face(engine, args.a, numbers[0]), _face(engine, args.b, numbers[-1])]
        found = engine.compare(faces[0], faces[1], fmr=args.fmr)
    lines = _lines(found)
    if args.output is not None:
        from edgeface.toolbox.marking import save_picture, side_by_side

        save_picture(args.output, side_by_side(faces, lines))
    print(json.dumps(_mapping(found)) if args.json else "\n".join(lines))
    return SAME if found.verdict == "same" else NOT_SAME


def _face(engine: Engine, photograph: str, number: int | None) -> SeenFace:
    """The one that the photograph is about, or of several the one of this number."""
    if number is None:
        try:
            return engine.face(photograph)
        except PictureError as error:
            if len(engine.faces(photograph)) < 2:
                raise
            raise PictureError(f"{error}, or choose one with --face N, from the left") from error
    faces = engine.faces(photograph)
    if len(faces) <= 1:
        return engine.face(photograph)
    if number > len(faces):
        raise PictureError(f"{photograph}: {len(faces)} faces, so there is no face {number}")
    return faces[number - 1]


def _lines(found: FaceComparison) -> list[str]:
    note = ", beyond what the calibration's data support" if found.extrapolated else ""
    lines = [
        f"similarity {found.similarity:z.3f}",
        f"distance   {found.distance:.3f}",
        f"threshold  {found.threshold:.3f} (false matches {found.fmr:g}{note})",
    ]
    if found.verdict == "unsure":
        lines.append(f"{DOUBT_FMR:.0%} of strangers reach {found.doubt_threshold:.3f}")
    return [*lines, VERDICTS[found.verdict]]


def _mapping(found: FaceComparison) -> dict[str, object]:
    return {
        "similarity": found.similarity,
        "distance": found.distance,
        "threshold": found.threshold,
        "threshold_extrapolated": found.extrapolated,
        "fmr": found.fmr,
        "doubt_threshold": found.doubt_threshold,
        "same": found.verdict == "same",
        "verdict": VERDICTS[found.verdict],
    }


def _rate(text: str) -> float:
    value = between(0, 1)(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
