"""The photo booth: good and different pictures of one person who stands before a camera.

Which frames are good and different is what an enrollment at a door goes by
(`service/commanding/posing.py`); that it is one person, what an enrollment from photographs does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from edgeface.base.clock import NS
from edgeface.base.errors import GalleryError
from edgeface.gallery.gate import Portrait
from edgeface.gallery.likeness import find_strays
from edgeface.recognition.crops import Crop
from edgeface.recognition.frame import Frame
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.pipeline import Gallery, Pipeline, PipelineRules
from edgeface.recognition.thresholds import Calibration
from edgeface.recognition.values import FaceDetector, FaceEmbedder
from edgeface.service.commanding.evidence import Evidence
from edgeface.service.commanding.peephole import View
from edgeface.service.commanding.posing import Posing

PATIENCE_S: Final = 30.0
"""The booth at a camera closes so long after the last picture that it took."""
MOST_STRAYS: Final = 3
"""So many frames in a row that do not show the person end it."""

TELL_EVERY_S: Final = 1.0
Tell: TypeAlias = Callable[[int, str], None]
"""Told at most so often how many pictures were taken, and what the next one should be."""


@dataclass(frozen=True, slots=True, eq=False)
class BoothPicture:
    """A picture that was taken."""

    portrait: Portrait
    frame: Frame


class OnePerson(Evidence):
    """The pictures of one person, however often they leave; of anybody else none is taken."""

    def __init__(self, most: int, same_person: float) -> None:
        """`same_person`: the cosine that pictures of one person are expected to reach
        (`Bar.same_person`); -1 takes what looks odd."""
        super().__init__(most, -1.0)
        self._same_person = same_person
        self.strays = 0
        """Frames in a row that do not show the person."""
        self.stray_score = 0.0
        """The best cosine of the last one of them to the pictures."""

    def is_another(self, crop: Crop, track_id: int) -> bool:
        """Whether the crop shows somebody else, by the rule of photographs; the track does not
        matter."""
        del track_id
        rows = crop.embedding[np.newaxis]
        strays = find_strays(rows, self.embeddings(), self._same_person) if self.kept else ()
        self.stray_score = strays[0].score if strays else 0.0
        return bool(strays)

    def take(self, crop: Crop, track_id: int) -> bool:
        """Take a crop; False, and one stray more, where it shows somebody else."""
        if self.is_another(crop, track_id):
            self.strays += 1
            return False
        self.strays = 0
        self.add(crop)
        return True


class PhotoBooth:
    """One session."""

    def __init__(
        self,
        models: tuple[FaceDetector, FaceEmbedder, Calibration],
        rules: PipelineRules,
        evidence: OnePerson,
        tell: Tell,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`evidence` holds as many pictures as are asked for, or more."""
        detector, self._embedder, calibration = models
        self.missing = "no frame came"
        """What the next picture should be."""
        self._rules = rules
        self._pipeline = Pipeline(detector, self._embedder, calibration, rules)
        self._evidence = evidence
        self._posing = Posing(evidence)
        self._tell = tell
        self._told: tuple[int, str] | None = None
        self._told_ns = 0
        self._patience_s = patience_s

    def pictures(self, frames: Iterable[Frame]) -> Iterator[BoothPicture]:
        """The pictures as they are taken, up to the end of the frames or the end of patience;
        whoever has enough stops asking.

        Raises GalleryError when somebody else has taken the person's place.
        """
        evidence, taken_ns = self._evidence, None
        nobody = Gallery(GalleryIndex.empty(), np.zeros(0, np.bool_))
        for frame in frames:
            taken_ns = frame.boottime_ns if taken_ns is None else taken_ns
            before = evidence.taken
            result = self._pipeline.process(frame, nobody)
            view = View(frame, result, self._embedder, self._rules, None)
            _, self.missing = self._posing.take(view)
            if evidence.strays >= MOST_STRAYS:
                raise GalleryError(
                    f"somebody else stands before the camera after {before} pictures (best score "
                    f"{evidence.stray_score:.2f}): nobody was enrolled; it takes one person alone"
                )
            if evidence.taken > before:
                taken_ns = frame.boottime_ns
                (sight,), crop = view.sights, evidence.kept[-1]
                name = f"frame {frame.sequence}"
                yield BoothPicture(Portrait(name, sight.face, crop.quality, crop.embedding), frame)
            elif (frame.boottime_ns - taken_ns) / NS > self._patience_s:
                return
            self._say(frame)

    def _say(self, frame: Frame) -> None:
        news = (self._evidence.taken, self.missing)
        if news != self._told and frame.boottime_ns - self._told_ns >= TELL_EVERY_S * NS:
            self._told, self._told_ns = news, frame.boottime_ns
            self._tell(*news)
