"""The photo booth of `edgeface enroll`: `--camera` and `--video`."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgeface.base.clock import NS
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
from edgeface.gallery.gate import Portrait
from edgeface.gallery.likeness import Bar, most_different
from edgeface.gallery.person import MAX_TEMPLATES
from edgeface.inference.detector import Detector
from edgeface.inference.embedder import Embedder
from edgeface.recognition.frame import Frame
from edgeface.service.recognizing import rules_of
from edgeface.settings.tree import Settings
from edgeface.toolbox.photo_booth import PATIENCE_S, BoothPicture, OnePerson, take_pictures

COUNT: Final = 10
_TELL_S: Final = 1.0
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


def portraits_of(
    settings: Settings, args: argparse.Namespace, models: tuple[Detector, Embedder], bar: Bar
) -> list[Portrait]:
    """Of the person before the camera the first `--count` pictures, of a film the most different.

    Raises CameraError or PictureError for a camera or film that cannot be used, GalleryError when
    there is no usable picture, or when somebody else has taken the person's place.
    """
    if args.keep_pictures is not None:
        _check_folder(args.keep_pictures, args.count)
    same_person = -1.0 if args.force else bar.same_person
    with _opened(settings, args) as source:
        if isinstance(source, FileStreamSource):
            booth = _Booth(args.count, film=source)
            evidence, patience_s = OnePerson(sys.maxsize, same_person), math.inf
        else:
            booth = _Booth(args.count)
            evidence, patience_s = OnePerson(args.count, same_person), PATIENCE_S
        frames, rules = booth.watched(source), rules_of(settings)
        detector, embedder = models
        opened = (detector, embedder, embedder.package.calibration)
        try:
            for picture in take_pictures(frames, opened, rules, evidence, booth.tell, patience_s):
                if booth.take(picture):
                    break
        finally:
            booth.end()
    _report(booth, args)
    for number, picture in enumerate(booth.pictures if args.keep_pictures else (), 1):
        _, png = cv2.imencode(".png", picture.frame.image)
        write_file(_picture(args.keep_pictures, number), png.tobytes(), PRIVATE)
    return [picture.portrait for picture in booth.pictures]


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


def _report(booth: _Booth, args: argparse.Namespace) -> None:
    """What was taken of a film, and of film and camera what is missing."""
    for number, picture in enumerate(booth.pictures if args.video else (), 1):
        _tell_good(number, picture)
    if len(booth.pictures) < args.count:
        short = f"{len(booth.pictures)} of {counted(args.count, 'picture')}; {booth.missing}"
        if not booth.pictures:
            raise GalleryError(f"{short}; nobody was enrolled")
        warn(short)


class _Booth:
    """One session: what it has, and what it says."""

    def __init__(self, count: int, film: FileStreamSource | None = None) -> None:
        """`film`: of it the most different pictures are kept, and nobody is told anything."""
        self.pictures: list[BoothPicture] = []
        self.missing = "no frame came"
        """What the next picture should be."""
        self._count = count
        self._film = film
        self._progress = Progress("frames", film.total) if film else None
        self._now_s = self._told_s = -_TELL_S
        self._told: tuple[int, str] | None = None

    def watched(self, source: FrameSource) -> Iterator[Frame]:
        """The frames; of a film with a `Progress`."""
        for done, frame in enumerate(source.frames(_STALL_S), 1):
            self._now_s = frame.boottime_ns / NS
            yield frame
            if self._progress is not None:
                self._progress.show(done)

    def end(self) -> None:
        """Nothing more is watched."""
        if self._progress is not None:
            self._progress.end()

    def tell(self, taken: int, message: str) -> None:
        """Whoever stands before a camera is told what is missing."""
        self.missing = message
        news = (taken, message)
        if self._film or news == self._told or self._now_s - self._told_s < _TELL_S:
            return
        self._told, self._told_s = news, self._now_s
        print(f"{taken} of {self._count}   {message}", flush=True)

    def take(self, picture: BoothPicture) -> bool:
        """Whether there are enough."""
        self.pictures.append(picture)
        if self._film is None:
            _tell_good(len(self.pictures), picture)
            return len(self.pictures) == self._count
        rows = np.stack([picture.portrait.embedding for picture in self.pictures])
        kept = most_different(rows, 0, self._count).kept
        self.pictures = [self.pictures[row] for row in kept]
        return False


def _tell_good(number: int, picture: BoothPicture) -> None:
    portrait, quality = picture.portrait, picture.portrait.quality
    print(
        f"good     picture {number}, {portrait.source}: face {quality.face_px:.0f} px, sharpness "
        f"{quality.sharpness:.2f}, yaw {quality.yaw_deg:.0f} degrees",
        flush=True,
    )
