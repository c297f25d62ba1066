"""Embeds every picture of a protocol once, with the pipeline that ships, and times its stages."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import EvaluationError, PictureError
from edgeface.evaluation.pictures import PictureRoot
from edgeface.gallery.locate import FaceProblem, find_face
from edgeface.recognition.alignment import align
from edgeface.recognition.values import Face, FaceDetector, FaceEmbedder, Image

PROGRESS_EVERY_S = 10.0
STAGES = ("decode", "find", "align", "embed")


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddedPictures:
    """The embeddings of a list of pictures."""

    embeddings: NDArray[np.float32]
    """float32 `(n, d)` unit rows; zeros where no face was found."""
    found: NDArray[np.bool_]
    """bool `(n,)`."""
    unread: tuple[str, ...]
    """What is wrong with each of those that are missing or cannot be decoded; not found either."""
    faceless: tuple[str, ...]
    """The names of those in which there is no face."""
    stage_ms: dict[str, float]
    """Median milliseconds per picture of each stage of `STAGES`."""


class Progress:
    """A line on standard error: rewritten on a terminal, else printed every ten seconds."""

    def __init__(self, label: str, total: int, stream: TextIO | None = None) -> None:
        self._label, self._total = label, total
        self._stream = sys.stderr if stream is None else stream
        self._live = self._stream.isatty()
        self._started_s = self._shown_s = time.monotonic()

    def show(self, done: int) -> None:
        """Say that `done` of the total are ready; cheap to call for each one."""
        now_s = time.monotonic()
        last = done == self._total
        if not last and now_s - self._shown_s < (0.2 if self._live else PROGRESS_EVERY_S):
            return
        self._shown_s = now_s
        rate = done / max(now_s - self._started_s, 1e-9)
        text = f"{self._label} {done}/{self._total}, {rate:.0f}/s"
        end = "\n" if last or not self._live else ""
        self._stream.write(("\r" if self._live else "") + text + end)
        self._stream.flush()


def shown(label: str, names: Sequence[str]) -> Iterator[str]:
    """The names one by one, with a `Progress`."""
    progress = Progress(label, len(names))
    for done, name in enumerate(names, 1):
        yield name
        progress.show(done)


def embed_pictures(
    root: PictureRoot,
    names: Sequence[str],
    detector: FaceDetector,
    embedder: FaceEmbedder,
) -> EmbeddedPictures:
    """Decode, find the one face that counts, align and embed each picture.

    Of several faces the central and large one counts. A picture that is missing or cannot be
    decoded is counted in `unread`; raises EvaluationError when that is so of all.
    """
    unread: list[str] = []
    faceless: list[str] = []
    rows: list[NDArray[np.float32] | None] = []
    spent: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for name in shown("pictures", names):
        clock = [time.perf_counter()]
        try:
            image = root.read(name)
        except PictureError as error:
            unread.append(str(error))
            rows.append(None)
            continue
        clock.append(time.perf_counter())
        face = find_face(detector, image, doubtful=True)
        clock.append(time.perf_counter())
        crop = None if isinstance(face, FaceProblem) else _crop(image, face, embedder)
        if crop is None:
            faceless.append(name)
            rows.append(None)
        else:
            clock.append(time.perf_counter())
            rows.append(embedder.embed([crop])[0])
            clock.append(time.perf_counter())
        for stage, start, end in zip(STAGES, clock, clock[1:], strict=False):
            spent[stage].append((end - start) * 1e3)
    require_some(unread, names)
    width = next((len(row) for row in rows if row is not None), 128)
    embeddings = np.zeros((len(rows), width), dtype=np.float32)
    for index, row in enumerate(rows):
        if row is not None:
            embeddings[index] = row
    found = np.array([row is not None for row in rows], dtype=np.bool_)
    medians = {stage: float(np.median(values)) for stage, values in spent.items() if values}
    return EmbeddedPictures(embeddings, found, tuple(unread), tuple(faceless), medians)


def require_some(unread: Sequence[str], names: Sequence[str]) -> None:
    """Raises EvaluationError when not one of the pictures `names` could be read."""
    if len(unread) == len(names):
        raise EvaluationError(f"none of {len(names)} pictures can be read; {unread[0]}")


def _crop(image: Image, face: Face, embedder: FaceEmbedder) -> Image | None:
    """None when the landmarks lie on one point or are not finite: no usable face."""
    try:
        return align(image, face.landmarks, embedder.alignment)
    except ValueError:
        return None
