"""Compare the faces of a folder, zip file or some photographs, each with every other, in a picture.

Faces are drawn on both axes, each cell holds how like two of them are, and green cells reach the
threshold of `edgeface compare`. "Stands out" says by how many standard deviations a face is less
like the others than the faces are on average. Of several faces in a picture the central and large
one is taken, and the picture is named. Exit code 0; 2: fewer than two faces.

examples:
  edgeface matrix holidays/ -o matrix.png
  edgeface matrix a.jpg b.jpg c.jpg -o matrix.png --metric euclidean --csv matrix.csv
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeface.base.counting import counted
from edgeface.base.files import write_file
from edgeface.cli.common import (
    add_json,
    run_measurement,
)
from edgeface.cli.embed import name_troubles
from edgeface.cli.picture_set import add_picture_set, labels_of, look_at_pictures
from edgeface.evaluation.similarity import SimilarityMatrix, clustered, in_metric
from edgeface.evaluation.stills import StillFace

MOST_DRAWN: Final = 100
_MODE: Final = 0o644


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The pictures, and what is made of them."""
    add_picture_set(parser, MOST_DRAWN, "all values")
    parser.add_argument(
        "--metric", choices=("cosine", "euclidean"), default="cosine", help="default: cosine"
    )
    parser.add_argument(
        "--order",
        choices=("cluster", "name"),
        default="cluster",
        help="like faces side by side (default), or by name",
    )
    add_json(parser)
    parser.set_defaults(run=run_measurement, measure=_measure, show=_show)


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    from edgeface.cli.matrix_picture import draw_matrix
    from edgeface.recognition.thresholds import COMPARISON_FMR

    found = look_at_pictures(args, MOST_DRAWN, "two are needed to compare")
    faces, calibration = found.faces, found.calibration
    matrix, names = _ordered(faces, args)
    threshold = calibration.threshold_for(COMPARISON_FMR)
    doubt = calibration.doubt_below(threshold)
    if args.output:
        crops = [faces[name].crop for name in names]
        draw_matrix(matrix, labels_of(names), crops, (doubt, threshold.value), args.output)
    if args.csv:
        _write_csv(args.csv, names, matrix)
    limits = in_metric(np.array([threshold.value, doubt], np.float32), args.metric)
    return {
        "metric": args.metric,
        "threshold": float(limits[0]),
        "doubt_threshold": float(limits[1]),
        "threshold_extrapolated": threshold.extrapolated,
        "fmr": COMPARISON_FMR,
        "faces": [
            {
                "name": name,
                "mean": float(matrix.means[row]),
                "stands_out": float(matrix.stands_out[row]),
                "nearest": names[matrix.nearest[row]],
                "nearest_value": float(matrix.values[row, matrix.nearest[row]]),
            }
            for row, name in enumerate(names)
        ],
        "values": matrix.values.tolist(),
        "troubles": found.troubles,
    }


def _ordered(
    faces: dict[str, StillFace], args: argparse.Namespace
) -> tuple[SimilarityMatrix, list[str]]:
    names = sorted(faces)
    rows = np.stack([faces[name].embedding for name in names])
    cosines = np.clip(rows @ rows.T, -1, 1).astype(np.float32)
    order = clustered(cosines) if args.order == "cluster" else list(range(len(names)))
    matrix = SimilarityMatrix(cosines[np.ix_(order, order)], args.metric)
    return matrix, [names[place] for place in order]


def _write_csv(path: Path, names: Sequence[str], matrix: SimilarityMatrix) -> None:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["name", "mean", "stands_out", *names])
    for row, name in enumerate(names):
        values = [matrix.means[row], matrix.stands_out[row], *matrix.values[row]]
        table.writerow([name, *(f"{value:z.4f}" for value in values)])
    write_file(path, text.getvalue().encode("utf-8", "surrogateescape"), _MODE, replace=True)


def _show(found: dict[str, Any]) -> None:
    way = "from" if found["metric"] == "cosine" else "up to"
    print(
        f"{counted(len(found['faces']), 'face')}, {found['metric']}: the same person {way}"
        f" {found['threshold']:.3f} (false matches {found['fmr']:g})"
    )
    for number, face in enumerate(found["faces"], 1):
        print(
            f"{number:3d}  {face['name']}: mean {face['mean']:z.3f}, stands out"
            f" {face['stands_out']:+z.1f}, nearest {face['nearest']} {face['nearest_value']:z.3f}"
        )
    name_troubles(found["troubles"])
