"""Shows pictures and films of live faces and of attacks to the pipeline, and keeps what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import numpy as np

from edgeface.base.errors import EvaluationError, PictureError
from edgeface.evaluation.attack_rates import FUSED, LivenessTrial, SourceAnswer
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.stills import shown
from edgeface.gallery.locate import FaceProblem, find_face
from edgeface.recognition.assessment import score_faces
from edgeface.recognition.decision import Decision
from edgeface.recognition.frame import Frame
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.liveness import Liveness, fuse, passive
from edgeface.recognition.pipeline import Gallery, Pipeline
from edgeface.recognition.values import FaceDetector, Image, LivenessScorer
from edgeface.settings.camera import VIDEO_FILES

ShowFilm: TypeAlias = Callable[[Path], Liveness | None]
"""What the pipeline says of a film's face; None where there is none. Raises PictureError."""


def show_all(
    path: Path, detector: FaceDetector, scorer: LivenessScorer, show_film: ShowFilm
) -> list[LivenessTrial]:
    """Every picture of a folder or zip file, and every film of a folder, by name, with a
    `Progress`. The folder at its top names the person; what lies in none is a person of its own.

    Raises EvaluationError where there is nothing."""
    trials = []
    with PictureRoot(path) as root:
        films = dict(_films(path)) if path.is_dir() else {}
        names = sorted([*root.names(), *films])
        if not names:
            raise EvaluationError(f"{path}: no picture and no film in it")
        for name in shown(path.name, names):
            person = PurePosixPath(root.plain_name(name)).parts[0]
            liveness, trouble = None, f"{name}: no face found"
            try:
                if name in films:
                    liveness = show_film(films[name])
                else:
                    liveness = of_picture(root.read(name), detector, scorer)
            except PictureError as error:
                trouble = str(error)
            if liveness is None:
                trials.append(LivenessTrial(name, person, {}, trouble))
            else:
                trials.append(LivenessTrial(name, person, _answers(liveness)))
    return trials


def of_picture(image: Image, detector: FaceDetector, scorer: LivenessScorer) -> Liveness | None:
    """Of the face that a picture BGR uint8 `(h, w, 3)` is about: one crop is all the evidence there
    is. None where there is no face."""
    face = find_face(detector, image, doubtful=True)
    if isinstance(face, FaceProblem):
        return None
    return fuse([passive(score_faces(scorer, image, [face]), scorer.threshold, 1)])


def of_film(frames: Iterable[Frame], pipeline: Pipeline, space: str) -> Liveness | None:
    """Of the track of a film that was decided on and lasted longest, as at the door: the evidence
    that there was when it was decided. The pipeline is a fresh one, of an embedder of this space.
    None where nobody was seen."""
    nobody = Gallery(GalleryIndex.empty(space), np.zeros(0, np.bool_))
    decisions: list[Decision] = []
    last_ns = 0
    for frame in frames:
        decisions += pipeline.process(frame, nobody).decisions
        last_ns = frame.boottime_ns
    decisions += pipeline.flush(last_ns / 1e9, nobody)
    longest = max(decisions, key=lambda decision: decision.duration_s, default=None)
    return None if longest is None else longest.liveness


def _films(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        if path.suffix.lower() in VIDEO_FILES and path.is_file():
            yield path.relative_to(folder).as_posix(), path


def _answers(liveness: Liveness) -> dict[str, SourceAnswer]:
    answers = {
        str(source.name): SourceAnswer(source.live, source.score) for source in liveness.sources
    }
    return answers | {FUSED: SourceAnswer(liveness.live, liveness.score)}
