"""Show what the models see in a picture, a video or through a camera.

Boxes, the five landmarks, every value that a quality gate looks at beside its limit, the gate that
refuses, the aligned crop and the embedding as a curve. A video goes through the daemon's own
pipeline, every frame of it, with its tracks; drawn as PNG it is the frame with the best face.
--hog draws histograms of oriented gradients beside the crop; nothing here is detected with them.
--json prints a line for each face, with its embedding. Exit code 0: a good face, 1: every face is
refused, 2: no face, or a file that cannot be used.

examples:
  edgeface inspect visitor.jpg -o inspected.png --values 0,32,64,96,127
  edgeface inspect entrance.mp4 -o inspected.mp4 --hog
  edgeface inspect --camera 0 --seconds 20 -o inspected.mp4
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from edgeface.base.counting import counted
from edgeface.base.errors import PictureError, SettingsError
from edgeface.cli.camera_options import add_camera
from edgeface.cli.common import PICTURE_SUFFIXES, add_models, between, not_over, output_file

if TYPE_CHECKING:
    from edgeface.cli.inspect_picture import Showing
    from edgeface.toolbox.engine import Engine

FILM_SUFFIX = ".mp4"
_CAMERA_S = 10.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What is looked at, and how it is shown."""
    parser.add_argument("source", nargs="?", metavar="IMAGE|VIDEO", help="a file")
    add_camera(parser)
    parser.add_argument(
        "--seconds",
        type=between(0.1, 3600),
        default=_CAMERA_S,
        metavar="S",
        help=f"how long a camera is looked through (default {_CAMERA_S:g}); Ctrl-C ends it sooner",
    )
    parser.add_argument(
        "-o", type=_output, dest="output", metavar="OUT.png|OUT.mp4", help="what is drawn"
    )
    parser.add_argument(
        "--values",
        type=_numbers,
        default=(),
        metavar="N,N",
        help="these components of the embedding, from 0: printed, and marked on the curve",
    )
    parser.add_argument("--hog", action="store_true", help="histograms of oriented gradients too")
    parser.add_argument(
        "-c", "--config", type=Path, metavar="FILE", help="models, limits and camera from it"
    )
    add_models(parser)
    parser.set_defaults(detector=None, embedder=None)
    parser.add_argument("--json", action="store_true", help="one JSON object a face, each a line")


def run(args: argparse.Namespace) -> int:
    """Inspect; raises PictureError, whose exit code is 2, for a file of no use."""
    from edgeface.cli.inspect_picture import Showing
    from edgeface.settings.camera import VIDEO_FILES
    from edgeface.toolbox.engine import open_engine

    if (args.source is None) == (args.camera is None):
        raise SettingsError("one of IMAGE, VIDEO and --camera")
    path = None if args.source is None else Path(args.source)
    if path is not None and not path.is_file():
        what = "no regular file" if path.exists() else "no such file"
        raise PictureError(f"{path}: {'a folder' if path.is_dir() else what}")
    still = path is not None and path.suffix.lower() not in VIDEO_FILES
    if still and args.output is not None and args.output.suffix.lower() == FILM_SUFFIX:
        raise SettingsError(f"{args.output}: a picture is drawn as PNG or JPEG")
    not_over(args.output, [] if path is None else [path])
    with open_engine(args.detector, args.embedder, config=args.config) as engine:
        dimensions = engine.dimensions
        if any(number >= dimensions for number in args.values):
            raise SettingsError(f"--values: the embedding's numbers are 0 to {dimensions - 1}")
        showing = Showing(engine.limits, args.values, args.hog)
        if still:
            return _inspect_picture(engine, showing, args)
        from edgeface.cli.inspect_video import inspect_video

        return inspect_video(engine, showing, path, args)


def _inspect_picture(engine: Engine, showing: Showing, args: argparse.Namespace) -> int:
    from edgeface.cli.inspect_words import GOOD, REFUSED, about, face_lines, face_mapping

    faces = engine.faces(args.source)
    if not faces:
        raise PictureError(f"{args.source}: no face found")
    if args.output is not None:
        from edgeface.cli.inspect_picture import draw_page
        from edgeface.toolbox.marking import save_picture
        from edgeface.toolbox.picture_input import to_image

        title = f"{Path(args.source).name}: {counted(len(faces), 'face')}"
        image = to_image(args.source)
        save_picture(args.output, draw_page(title, about(engine), image, faces, showing))
    for number, face in enumerate(faces, 1):
        if args.json:
            print(json.dumps(face_mapping(face, showing, {"source": args.source, "face": number})))
        else:
            print("\n".join(face_lines(number, face, showing)))
    return GOOD if any(face.gate is None for face in faces) else REFUSED


def _output(text: str) -> Path:
    path = output_file(text)
    if path.suffix.lower() not in (*PICTURE_SUFFIXES, FILM_SUFFIX):
        raise argparse.ArgumentTypeError(f"{path}: a name that ends in .png, .jpg or .mp4 is taken")
    return path


def _numbers(text: str) -> tuple[int, ...]:
    try:
        found = tuple(int(part) for part in text.split(","))
    except ValueError:
        found = ()
    if not found or min(found) < 0:
        raise argparse.ArgumentTypeError(f"{text}: numbers from 0, with commas, such as 0,32,64")
    return found
