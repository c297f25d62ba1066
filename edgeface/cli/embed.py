"""Embed every picture of a folder or zip file into one file, for NumPy and `edgeface evaluate`.

The file has names, boxes, landmarks, quality and embeddings (docs/embeddings.md). Broken off, or
with pictures added, the same command goes on where it was. Of several faces in a picture the
central and large one is taken, and the picture is named. Exit code 0; 2: no face in any picture.

examples:
  edgeface embed holidays/ -o holidays.npz
  edgeface embed lfw.zip -o lfw.npz --int8
  edgeface evaluate verification --pairs pairs.txt --embeddings lfw.npz
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from edgeface.base.counting import counted
from edgeface.cli.common import add_json, add_models, output_file, run_measurement
from edgeface.cli.plain import plain
from edgeface.evaluation.embedding_file import Origin, embed_into
from edgeface.evaluation.opener import Opener, existing
from edgeface.evaluation.pictures import PictureRoot
from edgeface.inference.detector import Detector

_NAMED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the pictures are and what is written."""
    parser.add_argument("root", metavar="FOLDER|ZIP", help="pictures, also in folders below it")
    parser.add_argument(
        "-o",
        "--output",
        required=True,
        type=output_file,
        metavar="NPZ",
        help="the file; one that is there is completed",
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="a byte a number and a scale each, as the gallery has them",
    )
    add_models(parser)
    add_json(parser)
    parser.set_defaults(run=run_measurement, measure=_measure, show=_show)


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    opener = Opener()
    with PictureRoot(existing(args.root)) as root:
        detector, embedder = opener.detector(args.detector), opener.embedder(args.embedder)
        named = detector.package.sha256 if isinstance(detector, Detector) else args.detector
        origin = Origin(embedder.space_id, named, args.int8)
        return embed_into(args.output, root, detector, embedder, origin) | {
            "file": str(args.output)
        }


def _show(found: dict[str, Any]) -> None:
    before = f", {found['kept']} pictures done before" if found["kept"] else ""
    print(
        f"{found['file']}: {counted(found['faces'], 'face')} of"
        f" {counted(found['pictures'], 'picture')}{before}"
    )
    ambiguous = [f"{n}: several faces, the central taken" for n in found["pictures_ambiguous"]]
    name_left_out(found, ambiguous)


def name_left_out(found: dict[str, Any], more: Sequence[str] = ()) -> None:
    """Which pictures were not read and which have no face, of a JSON-able account."""
    faceless = [f"{name}: no face found" for name in found.get("pictures_faceless", ())]
    name_troubles([*found["pictures_unread"], *faceless, *more])


def name_troubles(troubles: Sequence[str]) -> None:
    """What is wrong with pictures, on standard error, a line each; of many the first ones."""
    for trouble in troubles[:_NAMED]:
        print(plain(trouble), file=sys.stderr)
    if len(troubles) > _NAMED:
        print(f"and {len(troubles) - _NAMED} more (--json names all)", file=sys.stderr)
