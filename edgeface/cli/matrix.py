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
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np

from edgeface.base.counting import counted
from edgeface.base.errors import EvaluationError
from edgeface.base.files import write_file
from edgeface.cli.common import (
    add_json,
    add_models,
    not_over,
    output_named,
    output_picture,
    run_measurement,
)
from edgeface.cli.embed import name_troubles
from edgeface.evaluation.opener import Opener, existing
from edgeface.evaluation.pictures import SUFFIXES, PictureRoot
from edgeface.evaluation.similarity import SimilarityMatrix, clustered, in_metric
from edgeface.evaluation.stills import StillFace, each_picture

MOST_DRAWN: Final = 100
_MODE: Final = 0o644


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The pictures, and what is made of them."""
    parser.add_argument(
        "pictures", nargs="+", metavar="FOLDER|PHOTO", help="one folder or zip, or photographs"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=output_picture,
        metavar="OUT.png",
        help=f"of at most {MOST_DRAWN} faces",
    )
    parser.add_argument(
        "--csv", type=output_named(".csv"), metavar="OUT.csv", help="all values, as a table"
    )
    parser.add_argument(
        "--metric", choices=("cosine", "euclidean"), default="cosine", help="default: cosine"
    )
    parser.add_argument(
        "--order",
        choices=("cluster", "name"),
        default="cluster",
        help="like faces side by side (default), or by name",
    )
    add_models(parser)
    add_json(parser)
    parser.set_defaults(run=run_measurement, measure=_measure, show=_show)


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    from edgeface.cli.matrix_picture import draw_matrix
    from edgeface.recognition.thresholds import COMPARISON_FMR

    root, names = pictures_of(args.pictures, args.output)
    with root:
        if args.output and len(names) > MOST_DRAWN:
            raise EvaluationError(
                f"{counted(len(names), 'picture')}: at most {MOST_DRAWN} are drawn; use --csv"
            )
        opener = Opener()
        detector, embedder = opener.detector(args.detector), opener.embedder(args.embedder)
        found = list(each_picture(root, names, detector, embedder))
    faces = {picture.name: picture.face for picture in found if picture.face is not None}
    troubles = [picture.trouble for picture in found if picture.trouble is not None]
    if len(faces) < 2:
        raise EvaluationError(
            "\n".join([f"{counted(len(faces), 'face')}: two are needed to compare", *troubles])
        )
    matrix, names = _ordered(faces, args)
    calibration = embedder.package.calibration
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
        "troubles": troubles,
    }


def pictures_of(given: Sequence[str], output: Path | None) -> tuple[PictureRoot, list[str]]:
    """Where they are, and their names there. Raises EvaluationError, and SettingsError where
    `output` would take the place of one."""
    root, names = _root_of(given)
    not_over(output, (root.path / name for name in names))
    return root, names


def _root_of(given: Sequence[str]) -> tuple[PictureRoot, list[str]]:
    paths = [Path(path) for path in given]
    if len(paths) == 1 and paths[0].suffix.lower() not in SUFFIXES:
        root = PictureRoot(existing(given[0]))
        return root, root.names()
    folders = [path for path in paths if path.is_dir()]
    if folders:
        raise EvaluationError(f"{folders[0]}: a folder; give one alone, or photographs")
    return PictureRoot(Path()), list(dict.fromkeys(given))


def _ordered(
    faces: dict[str, StillFace], args: argparse.Namespace
) -> tuple[SimilarityMatrix, list[str]]:
    names = sorted(faces)
    rows = np.stack([faces[name].embedding for name in names])
    cosines = np.clip(rows @ rows.T, -1, 1).astype(np.float32)
    order = clustered(cosines) if args.order == "cluster" else list(range(len(names)))
    matrix = SimilarityMatrix(cosines[np.ix_(order, order)], args.metric)
    return matrix, [names[place] for place in order]


def labels_of(names: Sequence[str]) -> list[str]:
    """The file names alone, where those differ."""
    stems = [PurePosixPath(name).stem for name in names]
    return stems if len(set(stems)) == len(stems) else list(names)


def _write_csv(path: Path, names: Sequence[str], matrix: SimilarityMatrix) -> None:
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(["name", "mean", "stands_out", *names])
    for row, name in enumerate(names):
        values = [matrix.means[row], matrix.stands_out[row], *matrix.values[row]]
        table.writerow([name, *(f"{value:.4f}" for value in values)])
    write_file(path, text.getvalue().encode("utf-8", "surrogateescape"), _MODE, replace=True)


def _show(found: dict[str, Any]) -> None:
    way = "from" if found["metric"] == "cosine" else "up to"
    print(
        f"{counted(len(found['faces']), 'face')}, {found['metric']}: the same person {way}"
        f" {found['threshold']:.3f} (false matches {found['fmr']:g})"
    )
    for number, face in enumerate(found["faces"], 1):
        print(
            f"{number:3d}  {face['name']}: mean {face['mean']:.3f}, stands out"
            f" {face['stands_out']:+.1f}, nearest {face['nearest']} {face['nearest_value']:.3f}"
        )
    name_troubles(found["troubles"])
