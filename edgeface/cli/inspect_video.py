"""`edgeface inspect` on a video or a camera: every frame through the daemon's pipeline."""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkstemp
from typing import Final, Self

import cv2

from edgeface.base.clock import NS
from edgeface.base.counting import counted
from edgeface.base.errors import PictureError, StateError
from edgeface.capture.factory import make_backend
from edgeface.capture.source import FrameSource
from edgeface.capture.stream import USUAL_FPS, FileStreamSource
from edgeface.cli.camera_options import camera_of, open_video
from edgeface.cli.common import PICTURE_SUFFIXES
from edgeface.cli.inspect_picture import Showing, draw_frame, draw_page
from edgeface.cli.inspect_words import GOOD, REFUSED, about, chosen_values, face_mapping
from edgeface.cli.plain import plain
from edgeface.evaluation.stills import Progress
from edgeface.recognition.frame import Frame
from edgeface.recognition.values import Image
from edgeface.service.recognizing import rules_of
from edgeface.settings.loading import load_settings
from edgeface.toolbox.engine import Engine
from edgeface.toolbox.marking import save_picture
from edgeface.toolbox.seen_face import SeenFace

_STALL_S: Final = 5.0
_GOOD: Final = "good"


class Film:
    """An MP4 file that is there when everything went well. Pictures are taken by their time, so
    that it plays as fast as what was seen, whatever was left out."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path, self._fps = path, fps
        self._draft: Path | None = None
        self._writer = cv2.VideoWriter()
        self._size = (0, 0)
        self._first_ns = self._written = 0

    def add(self, picture: Image, at_ns: int) -> None:
        """The picture from that time on. Raises StateError."""
        if self._draft is None:
            self._size, self._first_ns = (picture.shape[1], picture.shape[0]), at_ns
            self._open()
        if picture.shape[1::-1] != self._size:
            picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        due = round((at_ns - self._first_ns) / NS * self._fps) + 1
        while self._written < due:
            self._writer.write(picture)
            self._written += 1

    def _open(self) -> None:
        try:
            handle, name = mkstemp(self._path.suffix, f".{self._path.stem}-", self._path.parent)
        except OSError as error:
            raise StateError(f"{self._path}: cannot be written: {error.strerror}") from error
        os.close(handle)
        self._draft = Path(name)
        code = cv2.VideoWriter.fourcc(*"mp4v")
        if not self._writer.open(name, code, self._fps, self._size):
            raise StateError(f"{self._path}: this OpenCV writes no MP4 (MPEG-4); draw a PNG")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._writer.release()
        if self._draft is None:
            return
        if kind is None:
            self._draft.chmod(0o644)
            self._draft.replace(self._path)
        else:
            self._draft.unlink(missing_ok=True)


class BestFrame:
    """The frame whose face counts most, to be drawn at the end."""

    def __init__(self) -> None:
        self.frame: Frame | None = None
        self.faces: list[SeenFace] = []
        self._weight = -1.0

    def see(self, frame: Frame, faces: list[SeenFace]) -> None:
        """Take it if it is better: a good face rather than a refused one."""
        weights = [face.quality.weight + (face.gate is None) for face in faces]
        if max(weights, default=-1.0) > self._weight:
            self._weight, self.frame, self.faces = max(weights), frame, faces


class Tracks:
    """How often each track was seen, and what refused it."""

    def __init__(self) -> None:
        self.frames = 0
        self._seen: dict[int, tuple[int, int, Counter[str]]] = {}
        """Track -> its first and last frame, and how often it was good or refused by which gate."""

    @property
    def faces(self) -> int:
        """Of all frames together."""
        return sum(counts.total() for _, _, counts in self._seen.values())

    @property
    def good(self) -> int:
        """Those that no gate refused."""
        return sum(counts[_GOOD] for _, _, counts in self._seen.values())

    def see(self, frame: Frame, faces: Sequence[SeenFace]) -> None:
        """Count the faces of a frame."""
        self.frames += 1
        for face in faces:
            number = face.track_id or 0
            start = (frame.sequence, frame.sequence, Counter[str]())
            first, _, counts = self._seen.get(number, start)
            counts[face.gate or _GOOD] += 1
            self._seen[number] = first, frame.sequence, counts

    def lines(self, name: str) -> Iterator[str]:
        """For a person."""
        tracks = counted(len(self._seen), "track")
        frames, faces = counted(self.frames, "frame"), counted(self.faces, "face")
        yield f"{plain(name)}: {frames}, {tracks}, {self.good} of {faces} good"
        for number, (first, last, counts) in self._seen.items():
            refused = ", ".join(
                f"{gate} {count}" for gate, count in counts.most_common() if gate != _GOOD
            )
            yield f"track {number}: frames {first} to {last}, {counts[_GOOD]} good" + (
                f", refused: {refused}" if refused else ""
            )


def inspect_video(
    engine: Engine, showing: Showing, path: Path | None, args: argparse.Namespace
) -> int:
    """Print and draw; the exit code. Raises PictureError for a file that is no video or shows no
    face, CameraError for a camera that cannot be used, StateError for what cannot be written."""
    settings = None if args.config is None else load_settings(args.config)
    rules = None if settings is None else rules_of(settings)
    best, tracks = BestFrame(), Tracks()
    with ExitStack() as stack:
        source: FrameSource
        if path is None:
            camera = camera_of(args.camera, settings)
            source, fps = (
                stack.enter_context(make_backend(camera)),
                getattr(camera, "fps", USUAL_FPS),
            )
            frames = _of_camera(source, args.seconds)
        else:
            source = video = stack.enter_context(open_video(path))
            fps, frames = video.fps, _of_file(video)
        film = None
        if args.output is not None and args.output.suffix.lower() not in PICTURE_SUFFIXES:
            film = stack.enter_context(Film(args.output, fps))
        try:
            for frame, faces in engine.track(frames, rules):
                tracks.see(frame, faces)
                best.see(frame, faces)
                _print(frame, faces, showing, args)
                if film is not None:
                    line = f"frame {frame.sequence}, {counted(len(faces), 'face')}"
                    film.add(draw_frame(frame.image, line, faces, showing), frame.boottime_ns)
        except KeyboardInterrupt:
            if path is not None:
                raise
        name = args.source or f"camera {source.name}"
        if best.frame is None:
            raise PictureError(f"{name}: no face in {counted(tracks.frames, 'frame')}")
    if args.output is not None and film is None:
        count = counted(len(best.faces), "face")
        title = f"{Path(name).name}, frame {best.frame.sequence}: {count}"
        page = draw_page(title, about(engine), best.frame.image, best.faces, showing)
        save_picture(args.output, page)
    if not args.json:
        print("\n".join(tracks.lines(name)))
    return GOOD if tracks.good else REFUSED


def _of_file(video: FileStreamSource) -> Iterator[Frame]:
    progress = Progress("frames", video.total)
    for done, frame in enumerate(video.frames(_STALL_S), 1):
        yield frame
        progress.show(done)
    progress.end()


def _of_camera(source: FrameSource, seconds: float) -> Iterator[Frame]:
    progress = Progress("seconds", round(seconds))
    first_ns = None
    for frame in source.frames(_STALL_S):
        first_ns = frame.boottime_ns if first_ns is None else first_ns
        passed_s = (frame.boottime_ns - first_ns) / NS
        if passed_s > seconds:
            break
        yield frame
        progress.show(int(passed_s))
    progress.end()


def _print(
    frame: Frame, faces: Sequence[SeenFace], showing: Showing, args: argparse.Namespace
) -> None:
    for face in faces:
        if args.json:
            first = {"source": frame.source, "frame": frame.sequence, "track": face.track_id}
            print(json.dumps(face_mapping(face, showing, first)))
        elif showing.components:
            values = chosen_values(face, showing)
            print(f"frame {frame.sequence} track {face.track_id}  {values}")
