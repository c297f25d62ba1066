"""The faces of a folder, a zip file or some photographs, for a verb that shows them all."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from edgeface.base.counting import counted
from edgeface.base.errors import EvaluationError
from edgeface.capture.picture_file import PICTURES
from edgeface.cli.common import add_models, not_over, output_named, output_picture
from edgeface.evaluation.opener import Opener, existing
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.stills import StillFace, each_picture
from edgeface.recognition.thresholds import Calibration


@dataclass(frozen=True)
class PictureSet:
    """Faces by the names of their pictures, and what became of the other pictures."""

    root: PictureRoot
    names: Sequence[str]
    """Of all pictures."""
    faces: dict[str, StillFace]
    troubles: list[str]
    calibration: Calibration


def add_picture_set(parser: argparse.ArgumentParser, most_drawn: int, table: str) -> None:
    """The pictures, the models, `-o` of at most so many faces and `--csv` of what `table` says."""
    parser.add_argument(
        "pictures", nargs="+", metavar="FOLDER|PHOTO", help="one folder or zip, or photographs"
    )
    parser.add_argument(
        "-o",
        "--output",
        type=output_picture,
        metavar="OUT.png",
        help=f"of at most {most_drawn} faces",
    )
    parser.add_argument(
        "--csv", type=output_named(".csv"), metavar="OUT.csv", help=f"{table}, as a table"
    )
    add_models(parser)


def look_at_pictures(args: argparse.Namespace, most_drawn: int, why_two: str) -> PictureSet:
    """Find and embed the face of each picture, by the arguments of `add_picture_set`.

    Raises EvaluationError where there are fewer than two, which is `why_two`, or too many to draw;
    SettingsError where `-o` would take the place of one.
    """
    root, names = _pictures_of(args.pictures, args.output)
    with root:
        if not names:
            raise EvaluationError(f"{root.path}: has no pictures (JPEG or PNG)")
        if args.output and len(names) > most_drawn:
            raise EvaluationError(
                f"{counted(len(names), 'picture')}: at most {most_drawn} are drawn; --csv "
                "without -o takes more"
            )
        opener = Opener()
        detector, embedder = opener.detector(args.detector), opener.embedder(args.embedder)
        found = list(each_picture(root, names, detector, embedder))
    faces = {picture.name: picture.face for picture in found if picture.face is not None}
    troubles = [picture.trouble for picture in found if picture.trouble is not None]
    if len(faces) < 2:
        raise EvaluationError("\n".join([f"{counted(len(faces), 'face')}: {why_two}", *troubles]))
    return PictureSet(root, names, faces, troubles, embedder.package.calibration)


def labels_of(names: Sequence[str]) -> list[str]:
    """The file names alone, where those differ."""
    stems = [PurePosixPath(name).stem for name in names]
    return stems if len(set(stems)) == len(stems) else list(names)


def _pictures_of(given: Sequence[str], output: Path | None) -> tuple[PictureRoot, list[str]]:
    root, names = _root_of(given)
    not_over(output, (root.path / name for name in names))
    return root, names


def _root_of(given: Sequence[str]) -> tuple[PictureRoot, list[str]]:
    paths = [Path(path) for path in given]
    if len(paths) == 1 and paths[0].suffix.lower() not in PICTURES:
        root = PictureRoot(existing(given[0]))
        return root, root.names()
    folders = [path for path in paths if path.is_dir()]
    if folders:
        raise EvaluationError(f"{folders[0]}: a folder; give one alone, or photographs")
    return PictureRoot(Path()), list(dict.fromkeys(given))
