"""A model package of an embedder that somebody brings."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeface.base.counting import counted
from edgeface.base.errors import ModelError, PictureError
from edgeface.base.files import read_file
from edgeface.capture.picture_file import read_picture
from edgeface.cli.common import add_json
from edgeface.cli.plain import plain, warn
from edgeface.demo.photographs import COLLINS
from edgeface.evaluation.opener import Opener, existing
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.stills import shown
from edgeface.gallery.locate import FaceProblem, find_face
from edgeface.inference.edgetpu_rules import audit_model
from edgeface.inference.flatbuffer import read_model
from edgeface.inference.own_embedder import OwnEmbedder, check_absent, make_embedder, template_of
from edgeface.inference.package import MODEL_BYTES
from edgeface.recognition.alignment import ALIGNMENTS, align
from edgeface.recognition.values import Alignment, Face, FaceDetector, Image

TEXT: Final = "make a package of your own face embedder, from a TFLite or an ONNX file"
SAMPLES: Final = 100
"""Photographs at most that set the ranges of the activations: with more, extremes widen them."""
LEAST_SAMPLES: Final = 16
ONNX_BYTES: Final = 1 << 30
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
_EXAMPLES: Final = """examples:
  edgeface models new my_model --tflite arcface_int8.tflite
  edgeface models new my_model --onnx arcface.onnx --photographs pictures/ --std 128
then:
  edgeface models check my_model
  edgeface evaluate calibration --embedder my_model --write --pairs ff.csv --root pictures.zip
"""


def add_new(verbs: Any) -> None:
    """`new`, beside the other verbs of `edgeface models`."""
    sub = verbs.add_parser(
        "new",
        help=TEXT,
        description=f"{TEXT}. It has no thresholds before it is calibrated.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sub.add_argument("folder", metavar="FOLDER", type=Path, help="the package; must not exist")
    source = sub.add_mutually_exclusive_group(required=True)
    source.add_argument("--tflite", metavar="FILE", help="the network; full int8 is what is fast")
    source.add_argument(
        "--onnx", metavar="FILE", help="the network, made full int8 (the extra 'onnx')"
    )
    sub.add_argument(
        "--photographs",
        metavar="DIR|ZIP",
        help=f"people's pictures, for --onnx: {LEAST_SAMPLES} or more, the first {SAMPLES} count",
    )
    sub.add_argument("--name", help="default: the folder's")
    sub.add_argument(
        "--alignment",
        metavar="TEMPLATE",
        type=_alignment,
        help="arcface-112 or retail-128 (scaled to the input), or ten numbers X,Y,X,Y,...: both "
        "eyes, nose, mouth corners, in pixels of the input (default: by the input's size)",
    )
    sub.add_argument("--channels", choices=("RGB", "BGR"), default="RGB", help="default: RGB")
    for option, text in (("--mean", "subtracted from a pixel"), ("--std", "then divided by")):
        sub.add_argument(
            option,
            type=_channels,
            default=(127.5,),
            metavar="N[,N,N]",
            help=f"{text}; default 127.5",
        )
    sub.add_argument("--model-version", default="1", metavar="TEXT", help="default: 1")
    sub.add_argument("--licence", default="unknown", metavar="TEXT", help="of the weights")
    sub.add_argument("--training-data", default="unknown", metavar="TEXT")
    add_json(sub)
    sub.set_defaults(run=new_model)


def _numbers(text: str) -> tuple[float, ...]:
    try:
        found = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: numbers with commas between are taken") from None
    if not np.isfinite(found).all():
        raise argparse.ArgumentTypeError(f"{text}: not finite")
    return found


def _channels(text: str) -> tuple[float, ...]:
    found = _numbers(text)
    if len(found) not in (1, 3):
        raise argparse.ArgumentTypeError(f"{text}: one number, or three in the order of --channels")
    return found


def _alignment(text: str) -> str | tuple[float, ...]:
    if text in ALIGNMENTS:
        return text
    if "," not in text:
        raise argparse.ArgumentTypeError(f"{text}: {' or '.join(ALIGNMENTS)}, or ten numbers")
    found = _numbers(text)
    if len(found) != 10:
        raise argparse.ArgumentTypeError(f"{text}: {len(found)} numbers; five points have ten")
    return found


def new_model(args: argparse.Namespace) -> int:
    """Make the package, say what it is and what is left to do. Raises ModelError."""
    own = _own(args)
    check_absent(args.folder)
    detector = Opener().detector()
    file = existing(args.tflite or args.onnx)
    try:
        content = read_file(file, MODEL_BYTES if args.tflite else ONNX_BYTES)
    except OSError as error:
        raise ModelError(f"{file}: cannot be read: {error.strerror or error}") from error
    try:
        if args.onnx:
            content = _converted(args, own, content, detector)
        image, face = _portrait(detector)
        package = make_embedder(args.folder, content, own, image, face.landmarks)
    except ModelError as error:
        raise ModelError(f"{file}: {error}") from error
    faults = audit_model(read_model(content))
    description = package.description
    made = {
        "folder": str(package.folder),
        "name": description.name,
        "input": [description.input.width, description.input.height],
        "channels": description.input.channels,
        "mean": description.input.mean,
        "std": description.input.std,
        "alignment": description.model_dump()["alignment"],
        "dimensions": package.dimensions,
        "space_id": package.space_id,
        "faults": faults,
    }
    print(json.dumps(made)) if args.json else _tell(made)
    return 0


def _own(args: argparse.Namespace) -> OwnEmbedder:
    name = args.name or args.folder.resolve().name
    if _NAME.fullmatch(name) is None:
        raise ModelError(
            f"{name}: no name for a model: small letters, digits, '_', '.' and '-'; give another "
            "with --name"
        )
    if any(value <= 0 for value in args.std):
        raise ModelError("--std: numbers above 0 are needed")
    named = isinstance(args.alignment, str) or args.alignment is None
    return OwnEmbedder(
        name=name,
        alignment=args.alignment if named else None,
        points=() if named else args.alignment,
        channels=args.channels,
        mean=args.mean,
        std=args.std,
        version=args.model_version,
        licence=args.licence,
        training_data=args.training_data,
    )


def _portrait(detector: FaceDetector) -> tuple[Image, Face]:
    """The golden run shows nobody of the user's: the photograph that ships is of the public
    domain."""
    image = read_picture(COLLINS)
    face = find_face(detector, image)
    assert not isinstance(face, FaceProblem)
    return image, face


def _converted(
    args: argparse.Namespace, own: OwnEmbedder, content: bytes, detector: FaceDetector
) -> bytes:
    from edgeface.inference.onnx_conversion import convert_onnx, image_side

    if args.photographs is None:
        raise ModelError(
            "--photographs DIR is needed with --onnx: int8 has to know what faces do to the network"
        )
    side = image_side(content)
    with PictureRoot(existing(args.photographs)) as root:
        crops = list(_crops(root, detector, template_of(own, side)))
    if len(crops) < LEAST_SAMPLES:
        raise ModelError(
            f"{args.photographs}: {counted(len(crops), 'usable photograph')}; {LEAST_SAMPLES} are "
            "needed, some hundred of different people are better"
        )
    pixels = np.stack(crops) if own.channels == "RGB" else np.stack(crops)[..., ::-1]
    samples = ((pixels - np.array(own.mean)) / np.array(own.std)).astype(np.float32)
    print("onnx2tf converts and quantizes, which takes minutes", file=sys.stderr)
    return convert_onnx(content, samples)


def _crops(root: PictureRoot, detector: FaceDetector, to: Alignment) -> Iterator[Image]:
    """Aligned faces of the first pictures that have one; what is left out is named."""
    left_out: list[str] = []
    for name in shown("photographs", root.names()[:SAMPLES]):
        try:
            image = root.read(name)
            face = find_face(detector, image)
            if isinstance(face, FaceProblem):
                left_out.append(f"{name}: {face}")
            else:
                yield align(image, face.landmarks, to)
        except (PictureError, ValueError) as error:
            left_out.append(str(error))
    for line in left_out:
        warn(f"left out: {plain(line)}")


def _tell(made: dict[str, Any]) -> None:
    width, height = made["input"]
    print(f"{made['folder']}: made, its golden run passes")
    scaled = f"(pixel - {made['mean']}) / {made['std']}"
    print(f"  input      {width}x{height} {made['channels']}, {scaled}")
    print(f"  alignment  {made['alignment']}")
    print(f"  embedding  {made['dimensions']} numbers, space {made['space_id'][:16]}")
    for fault in made["faults"]:
        print(f"  not for an Edge TPU, or slow: {plain(fault)}")
    print(
        f"next, for its thresholds: edgeface evaluate calibration --embedder {made['folder']} "
        "--write --pairs ... --root ..."
    )
