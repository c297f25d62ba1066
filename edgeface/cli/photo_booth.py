"""The photo booth of `edgeface enroll`: `--camera` and `--video`."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgeface.base.counting import counted
from edgeface.base.errors import GalleryError, PictureError, SettingsError
from edgeface.base.files import PRIVATE, own_folder, write_file
from edgeface.capture.factory import make_backend
from edgeface.capture.source import FrameSource
from edgeface.capture.stream import FileStreamSource
from edgeface.cli.camera_options import add_camera, camera_of, open_video
from edgeface.cli.common import at_least
from edgeface.cli.plain import warn
from edgeface.evaluation.stills import Progress
from edgeface.gallery.likeness import Bar, most_different
from edgeface.gallery.person import MAX_TEMPLATES
from edgeface.inference.detector import Detector
from edgeface.inference.embedder import Embedder
from edgeface.recognition.frame import Frame
from edgeface.service.recognizing import rules_of
from edgeface.settings.tree import Settings
from edgeface.toolbox.photo_booth import BoothPicture, OnePerson, PhotoBooth

COUNT: Final = 10
_STALL_S: Final = 5.0


def add_booth_options(parser: argparse.ArgumentParser) -> None:
    """`--camera`, `--video`, `--count`, `--keep-pictures`."""
    add_camera(parser)
    parser.add_argument(
        "--video", type=Path, metavar="FILE", help="take the pictures from a film of the person"
    )
    parser.add_argument(
        "--count",
        type=_count,
        default=COUNT,
        metavar="N",
        help=f"good and different pictures that --camera and --video take (default {COUNT})",
    )
    parser.add_argument(
        "--keep-pictures",
        type=Path,
        metavar="DIR",
        help="what --camera and --video took, as PNG; without it no picture is kept",
    )


def _count(text: str) -> int:
    count = at_least(1)(text)
    if count > MAX_TEMPLATES:
        raise argparse.ArgumentTypeError(f"{text}: a person has at most {MAX_TEMPLATES} templates")
    return count


def pictures_of(
    settings: Settings, args: argparse.Namespace, models: tuple[Detector, Embedder], bar: Bar
) -> list[BoothPicture]:
    """Of the person before the camera the first `--count` pictures, of a film the most different.

    Raises CameraError or PictureError for a camera or film that cannot be used, GalleryError when
    there is no usable picture, or when somebody else has taken the person's place.
    """
    if args.keep_pictures is not None:
        _check_folder(args.keep_pictures, args.count)
    same_person = -1.0 if args.force else bar.same_person
    detector, embedder = models
    opened, rules = (detector, embedder, embedder.package.calibration), rules_of(settings)
    with _opened(settings, args) as source:
        if isinstance(source, FileStreamSource):
            booth = PhotoBooth(
                opened, rules, OnePerson(sys.maxsize, same_person), _silent, math.inf
            )
            pictures = _most_different(booth, source, args.count)
        else:
            tell = partial(_tell, args.count)
            booth = PhotoBooth(opened, rules, OnePerson(args.count, same_person), tell)
            pictures = list(_as_taken(booth, source, args.count))
    if len(pictures) < args.count:
        short = f"{len(pictures)} of {counted(args.count, 'picture')}; {booth.missing}"
        if not pictures:
            raise GalleryError(f"{short}; nobody was enrolled")
        warn(short)
    return pictures


def keep_pictures(folder: Path | None, pictures: Sequence[BoothPicture]) -> None:
    """Write them into the folder, if one was asked for: of a person who has been enrolled."""
    if folder is None:
        return
    for number, picture in enumerate(pictures, 1):
        _, png = cv2.imencode(".png", picture.frame.image)
        write_file(_picture(folder, number), png.tobytes(), PRIVATE)


def _opened(settings: Settings, args: argparse.Namespace) -> FrameSource:
    if args.video is None:
        return make_backend(camera_of(args.camera, settings))
    if not args.video.is_file():
        raise PictureError(f"{args.video}: no such file")
    return open_video(args.video)


def _check_folder(folder: Path, count: int) -> None:
    own_folder(folder, "folder of pictures")
    taken = [path for number in range(count) if (path := _picture(folder, number + 1)).exists()]
    if taken:
        raise SettingsError(f"{taken[0]} is there already; give --keep-pictures another folder")


def _picture(folder: Path, number: int) -> Path:
    return folder / f"picture-{number:02d}.png"


def _as_taken(booth: PhotoBooth, source: FrameSource, count: int) -> Iterator[BoothPicture]:
    pictures = islice(booth.pictures(source.frames(_STALL_S)), count)
    for number, picture in enumerate(pictures, 1):
        _tell_good(number, picture)
        yield picture


def _most_different(booth: PhotoBooth, film: FileStreamSource, count: int) -> list[BoothPicture]:
    """Of the whole film, with a `Progress`; told at its end."""
    progress = Progress("frames", film.total)

    def frames() -> Iterator[Frame]:
        for done, frame in enumerate(film.frames(_STALL_S), 1):
            yield frame
            progress.show(done)

    kept: list[BoothPicture] = []
    try:
        for picture in booth.pictures(frames()):
            kept.append(picture)
            rows = np.stack([one.portrait.embedding for one in kept])
            kept = [kept[row] for row in most_different(rows, 0, count).kept]
    finally:
        progress.end()
    for number, picture in enumerate(kept, 1):
        _tell_good(number, picture)
    return kept


def _silent(_taken: int, _message: str) -> None:
    """A film can be told nothing."""


def _tell(count: int, taken: int, message: str) -> None:
    print(f"{taken} of {count}   {message}", flush=True)


def _tell_good(number: int, picture: BoothPicture) -> None:
    portrait, quality = picture.portrait, picture.portrait.quality
    print(
        f"good     picture {number}, {portrait.source}: face {quality.face_px:.0f} px, sharpness "
        f"{quality.sharpness:.2f}, yaw {quality.yaw_deg:z.0f} degrees",
        flush=True,
    )
