"""Embeds every picture of a protocol once, with the pipeline that ships, and times its stages."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TextIO

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import EvaluationError, PictureError
from edgeface.gallery.locate import FaceProblem, choose_face, find_doubtful_faces, find_faces
from edgeface.recognition.alignment import align
from edgeface.recognition.quality import Quality, assess
from edgeface.recognition.second_look import look_again
from edgeface.recognition.values import Embedding, Face, FaceDetector, FaceEmbedder, Image

PROGRESS_EVERY_S = 10.0
_SHOWN_EVERY_S = 0.2
_BAR = 24
STAGES = ("decode", "find", "align", "embed")


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedPictures:
    """The embeddings of a list of pictures."""

    embeddings: NDArray[np.float32]
    """float32 `(n, d)` unit rows; zeros where no face was found."""
    found: NDArray[np.bool_]
    """bool `(n,)`."""
    quality: tuple[Quality | None, ...]
    """n; None where no face was found."""
    unread: tuple[str, ...]
    """What is wrong with each of those that are missing or cannot be decoded; not found either."""
    faceless: tuple[str, ...]
    """The names of those in which there is no face."""
    stage_ms: dict[str, float]
    """Median milliseconds per picture of each stage of `STAGES`."""


class Pictures(Protocol):
    """Where pictures come from by their names; a `PictureRoot` is one."""

    def read(self, name: str) -> Image:
        """BGR uint8 `(h, w, 3)`. Raises PictureError."""


class Progress:
    """On standard error: a bar on a terminal, else a line every ten seconds."""

    def __init__(self, label: str, total: int, stream: TextIO | None = None) -> None:
        self._label, self._total = label, total
        self._stream = sys.stderr if stream is None else stream
        self._live = self._stream.isatty()
        self._started_s = self._shown_s = time.monotonic()
        self._open = False
        """Whether the line has no end yet."""

    def show(self, done: int) -> None:
        """Say that `done` of the total are ready; cheap to call for each one."""
        now_s = time.monotonic()
        last = done == self._total
        if not last and now_s - self._shown_s < (
            _SHOWN_EVERY_S if self._live else PROGRESS_EVERY_S
        ):
            return
        self._shown_s = now_s
        rate = done / max(now_s - self._started_s, 1e-9)
        text = f"{self._label} {done}/{self._total}, {rate:.0f}/s"
        if self._live:
            filled = round(_BAR * min(1.0, done / max(self._total, 1)))
            left_s = round(max(self._total - done, 0) / max(rate, 1e-9))
            bar = "#" * filled + "-" * (_BAR - filled)
            text = f"[{bar}] {text}, {left_s // 60}:{left_s % 60:02} left "
        end = "\n" if last or not self._live else ""
        self._stream.write(("\r" if self._live else "") + text + end)
        self._stream.flush()
        self._open = not end

    def end(self) -> None:
        """There is no more, though the total was not reached."""
        if self._open:
            self._stream.write("\n")
            self._open = False


def shown(label: str, names: Sequence[str]) -> Iterator[str]:
    """The names one by one, with a `Progress`."""
    progress = Progress(label, len(names))
    for done, name in enumerate(names, 1):
        yield name
        progress.show(done)


@dataclass(frozen=True, slots=True, eq=False)
class StillFace:
    """The one face of a picture that counts: the central and large one."""

    face: Face
    """In pixels of the picture."""
    quality: Quality
    crop: Image
    """RGB uint8 `(s, s, 3)`, aligned for the embedder."""
    embedding: Embedding
    rivals: int
    """How many other faces there are, where none clearly dominates: whom it shows is a guess."""


@dataclass(frozen=True, slots=True, eq=False)
class StillPicture:
    """What was found in one picture."""

    name: str
    face: StillFace | None
    unread: str | None = None
    """What is wrong with a picture that is missing or cannot be decoded."""

    @property
    def trouble(self) -> str | None:
        """One line for a person: it was not read, has no face, or has several."""
        if self.unread is not None:
            return self.unread
        if self.face is None:
            return f"{self.name}: no face found"
        if self.face.rivals:
            count = self.face.rivals + 1
            return f"{self.name}: {count} faces, and none clearly dominates; the central was taken"
        return None


def each_picture(
    root: Pictures,
    names: Sequence[str],
    detector: FaceDetector,
    embedder: FaceEmbedder,
    spent: Mapping[str, list[float]] | None = None,
) -> Iterator[StillPicture]:
    """Decode, find the face that counts, align and embed each picture, with a `Progress`.

    `spent` collects the milliseconds of each stage of `STAGES`.
    """
    for name in shown("pictures", names):
        clock = [time.perf_counter()]
        try:
            image = root.read(name)
        except PictureError as error:
            yield StillPicture(name, None, str(error))
            continue
        clock.append(time.perf_counter())
        found = _face_of(image, detector, embedder, clock)
        for stage, start, end in zip(STAGES, clock, clock[1:], strict=False):
            if spent is not None:
                spent[stage].append((end - start) * 1e3)
        yield StillPicture(name, found)


def crops_by_name(
    root: Pictures, names: Sequence[str], detector: FaceDetector, embedder: FaceEmbedder
) -> dict[str, Image]:
    """The faces of these pictures, RGB uint8 `(s, s, 3)`, where there is one."""
    found = each_picture(root, list(dict.fromkeys(names)), detector, embedder)
    return {one.name: one.face.crop for one in found if one.face is not None}


def _face_of(
    image: Image, detector: FaceDetector, embedder: FaceEmbedder, clock: list[float]
) -> StillFace | None:
    faces = find_faces(detector, image) or find_doubtful_faces(detector, image)
    face = choose_face(faces, image)
    if not isinstance(face, FaceProblem):
        face = look_again(detector, image, face)
    clock.append(time.perf_counter())
    crop = None if isinstance(face, FaceProblem) else _crop(image, face, embedder)
    if crop is None or isinstance(face, FaceProblem):
        return None
    clock.append(time.perf_counter())
    embedding = embedder.embed([crop])[0]
    clock.append(time.perf_counter())
    quality = assess(face, align(image, face.landmarks), (image.shape[1], image.shape[0]))
    dominant = isinstance(choose_face(faces, image, "dominant"), Face)
    return StillFace(face, quality, crop, embedding, 0 if dominant else len(faces) - 1)


def embed_pictures(
    root: Pictures,
    names: Sequence[str],
    detector: FaceDetector,
    embedder: FaceEmbedder,
) -> EmbeddedPictures:
    """The embeddings of these pictures.

    A picture that is missing or cannot be decoded is counted in `unread`; raises EvaluationError
    when that is so of all.
    """
    unread: list[str] = []
    faceless: list[str] = []
    rows: list[tuple[Embedding, Quality] | None] = []
    spent: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for picture in each_picture(root, names, detector, embedder, spent):
        face = picture.face
        rows.append(None if face is None else (face.embedding, face.quality))
        if picture.unread is not None:
            unread.append(picture.unread)
        elif picture.face is None:
            faceless.append(picture.name)
    medians = {stage: float(np.median(values)) for stage, values in spent.items() if values}
    return gather(rows, unread, faceless, medians)


def gather(
    rows: Sequence[tuple[Embedding, Quality] | None],
    unread: Sequence[str],
    faceless: Sequence[str],
    stage_ms: dict[str, float],
) -> EmbeddedPictures:
    """One row for each picture, None where there is no embedding.

    Raises EvaluationError when not one could be read.
    """
    require_some(unread, rows)
    width = next((len(row[0]) for row in rows if row is not None), 0)
    embeddings = np.zeros((len(rows), width), dtype=np.float32)
    for index, row in enumerate(rows):
        if row is not None:
            embeddings[index] = row[0]
    found = np.array([row is not None for row in rows], dtype=np.bool_)
    quality = tuple(None if row is None else row[1] for row in rows)
    return EmbeddedPictures(embeddings, found, quality, tuple(unread), tuple(faceless), stage_ms)


def require_some(unread: Sequence[str], names: Sequence[object]) -> None:
    """Raises EvaluationError when not one of the pictures `names` could be read."""
    if len(unread) == len(names):
        raise EvaluationError(f"none of {len(names)} pictures can be read; {unread[0]}")


def _crop(image: Image, face: Face, embedder: FaceEmbedder) -> Image | None:
    """None when the landmarks lie on one point or are not finite: no usable face."""
    try:
        return align(image, face.landmarks, embedder.alignment)
    except ValueError:
        return None
