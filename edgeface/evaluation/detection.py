"""How well a detector finds faces, over annotated pictures and over pictures of one face each:
average precision, recall, and the distance of the landmarks."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import EvaluationError, PictureError
from edgeface.base.files import TEXT_FILE_BYTES, read_file
from edgeface.evaluation.opener import DETECTOR, Opener, model_facts
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.reference import YuNet
from edgeface.evaluation.stills import require_some, shown
from edgeface.inference.detector import Detector
from edgeface.recognition.values import Box, Face, Image

IOU = 0.5
MIN_FACE_PX = 24
"""Shorter side of the box at the detector's input size."""
PROFILE_EYES = 0.15
"""Eyes closer than this share of the box's width give no meaningful percentage: left out."""


@dataclass(frozen=True, slots=True)
class Annotation:
    """One annotated face."""

    box: Box
    ignore: bool


@dataclass(frozen=True, slots=True)
class Precision:
    """Average precision and recall over a set of pictures."""

    average_precision: float
    """Area under the interpolated precision-recall curve, all points (PASCAL VOC 2010)."""
    recall: float
    """Share of the faces found with a score of at least `score_threshold`."""
    precision: float
    """At `score_threshold`; 1 when nothing was found."""
    score_threshold: float
    faces: int
    pictures: int


@dataclass(frozen=True, slots=True)
class LandmarkDistance:
    """Mean distance of the five landmarks to a reference, percent of its inter-ocular distance."""

    mean_percent: float
    median_percent: float
    p90_percent: float
    faces: int
    left_out: int
    """Profiles whose eyes nearly coincide in the reference."""


@dataclass(slots=True)
class Matches:
    """Collects the detections of picture after picture."""

    found: list[tuple[float, bool]] = field(default_factory=list)
    """The score of each, and whether it is a face."""
    faces: int = 0
    pictures: int = 0

    def add(
        self, found: Sequence[Face], annotated: Sequence[Annotation], min_side_px: float
    ) -> None:
        """Match one picture's detections, best score first, to its annotated faces.

        Each face is matched once, at IoU >= 0.5, to the best that is left. Annotations marked
        ignore or with a shorter side below `min_side_px` (pixels of the picture) are neither
        demanded nor counted as errors when found; nor are unmatched detections that small.
        """
        wanted = [a.box for a in annotated if not a.ignore and _side(a.box) >= min_side_px]
        other = [a.box for a in annotated if a.ignore or _side(a.box) < min_side_px]
        free = set(range(len(wanted)))
        for face in sorted(found, key=lambda face: -face.score):
            best = max(free, key=lambda index: face.box.iou(wanted[index]), default=None)
            if best is not None and face.box.iou(wanted[best]) >= IOU:
                free.remove(best)
                self.found.append((face.score, True))
            elif _side(face.box) >= min_side_px and not any(_covers(b, face.box) for b in other):
                self.found.append((face.score, False))
        self.faces += len(wanted)
        self.pictures += 1

    def result(self, score_threshold: float) -> Precision:
        """Raises EvaluationError if no face was demanded."""
        if not self.faces:
            raise EvaluationError("no annotated face is large enough to be measured")
        ranked = sorted(self.found, key=lambda item: -item[0])
        hits = np.array([hit for _, hit in ranked], dtype=np.bool_)
        above = np.array([score >= score_threshold for score, _ in ranked], dtype=np.bool_)
        found, alarms = int(hits[above].sum()), int((~hits[above]).sum())
        return Precision(
            average_precision(hits, self.faces),
            found / self.faces,
            found / (found + alarms) if found + alarms else 1.0,
            score_threshold,
            self.faces,
            self.pictures,
        )


def average_precision(hits: NDArray[np.bool_], faces: int) -> float:
    """Area under precision over recall, precision made monotone from the right.

    `hits` bool `(n,)`: for each detection, highest score first, whether it is a face.
    """
    true = np.cumsum(hits)
    precision = true / np.maximum(np.arange(1, len(hits) + 1), 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(envelope[hits]) / faces)


def landmark_distance(pairs: Sequence[tuple[Face, Face]]) -> LandmarkDistance | None:
    """Over (detected, reference) faces; None if none of them can be measured."""
    values: list[float] = []
    left_out = 0
    for face, reference in pairs:
        eyes = float(np.linalg.norm(reference.landmarks[0] - reference.landmarks[1]))
        if eyes < PROFILE_EYES * reference.box.width:
            left_out += 1
            continue
        distances = np.linalg.norm(face.landmarks - reference.landmarks, axis=1)
        values.append(float(distances.mean()) / eyes * 100)
    if not values:
        return None
    median, p90 = np.percentile(values, [50, 90])
    return LandmarkDistance(
        float(np.mean(values)), float(median), float(p90), len(values), left_out
    )


def pair_faces(
    found: Sequence[Face], reference: Sequence[Face], min_side_px: float
) -> list[tuple[Face, Face]]:
    """Each reference face of at least that size with the detected face that overlaps it most."""
    pairs: list[tuple[Face, Face]] = []
    for wanted in reference:
        best = max(found, key=lambda face: face.box.iou(wanted.box), default=None)
        if best is None or _side(wanted.box) < min_side_px:
            continue
        if best.box.iou(wanted.box) >= IOU:
            pairs.append((best, wanted))
    return pairs


def read_boxes(path: Path) -> dict[str, list[Annotation]]:
    """Annotations by picture from a CSV `image,x,y,w,h,ignore`. Raises EvaluationError."""
    boxes: dict[str, list[Annotation]] = {}
    try:
        text = read_file(path, TEXT_FILE_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{path}: cannot be read: {error}") from error
    reader = csv.DictReader(text.splitlines())
    for row in reader:
        try:
            x, y, w, h = (float(row[key]) for key in ("x", "y", "w", "h"))
            boxes.setdefault(row["image"], []).append(
                Annotation(Box(x, y, x + w, y + h), row["ignore"] == "1")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluationError(
                f"{path}:{reader.line_num}: expected image,x,y,w,h,ignore"
            ) from error
    if not boxes:
        raise EvaluationError(f"{path}: has no boxes")
    return boxes


def _side(box: Box) -> float:
    return min(box.width, box.height)


def _covers(ignored: Box, found: Box) -> bool:
    """An ignored region may be a crowd, larger than the detection: overlap with the latter."""
    if found.area <= 0:
        return True
    return ignored.iou(found) >= IOU or ignored.intersect(found).area / found.area >= IOU


LOWEST_SCORE = 0.02
"""Average precision needs the whole curve, so detections far below the threshold count too."""
MAX_FACES = 300
REFERENCE_SCORE = 0.8
"""Landmarks are compared with faces that the reference is sure of."""


def measure_detection(
    root: PictureRoot,
    *,
    detector: str = DETECTOR,
    boxes: Path | None = None,
    only: str = "",
    one_face: str | None = None,
    reference: str | None = None,
    input_size_px: tuple[int, int] | None = None,
    min_face_px: float = MIN_FACE_PX,
) -> dict[str, Any]:
    """What `edgeface evaluate detection` prints, JSON-able.

    `boxes` is the annotations' CSV, of which the pictures with `only` in their names count;
    pictures of `root` with `one_face` in their names show one face each. Faces count from
    `min_face_px` at `input_size_px` (default: the detector's input) on. The landmarks are compared
    with those of `reference`, run at the pictures' own resolution.

    Raises EvaluationError, ModelError or RuntimeMissingError.
    """
    run = _Run(detector, reference, input_size_px, min_face_px)
    return {
        "detector": detector,
        "models": run.models,
        "reference": reference,
        "input_size_px": run.size_px,
        "min_face_px": min_face_px,
        "boxes": run.annotated(root, boxes, only) if boxes is not None else None,
        "one_face": run.singles(root, one_face) if one_face else None,
        "pictures_unread": run.unread,
        "detect_ms": float(np.median(run.spent_ms)),
    }


class _Run:
    """One detector and its reference, over several sets of pictures."""

    def __init__(
        self,
        detector: str,
        reference: str | None,
        size_px: tuple[int, int] | None,
        min_face_px: float,
    ) -> None:
        opener = Opener()
        self._detector: Detector | YuNet = opener.detector(
            detector, score_threshold=LOWEST_SCORE, max_faces=MAX_FACES
        )
        self.models = [model_facts(self._detector, detector)]
        self._threshold = self._detector.usual_score
        self._reference = (
            opener.detector(reference, score_threshold=REFERENCE_SCORE) if reference else None
        )
        self.size_px = size_px or self._detector.input_size_px or (320, 240)
        self._min_face_px = min_face_px
        self._pairs: list[tuple[Face, Face]] = []
        self.spent_ms: list[float] = []
        self.unread: list[str] = []

    def annotated(self, root: PictureRoot, boxes: Path, only: str) -> dict[str, Any]:
        """Average precision, recall and landmarks over the annotated pictures."""
        annotations = read_boxes(boxes)
        names = [name for name in annotations if only in name]
        if not names:
            raise EvaluationError(f"{boxes}: no picture has {only!r} in its name")
        matches = Matches()
        self._pairs = []
        for name, image in self._pictures("annotated pictures", root, names):
            found = self._detect(image)
            smallest = self._smallest_px(image)
            matches.add(found, annotations[name], smallest)
            self._compare(image, found, smallest)
        return asdict(matches.result(self._threshold)) | {"landmarks": self._landmarks()}

    def singles(self, root: PictureRoot, one_face: str) -> dict[str, Any]:
        """The share of pictures in which any face is found, and landmarks."""
        names = root.names(one_face)
        if not names:
            raise EvaluationError(f"no picture has {one_face!r} in its name")
        self._pairs = []
        missed: list[str] = []
        read = 0
        for name, image in self._pictures("pictures of one face", root, names):
            read += 1
            found = [face for face in self._detect(image) if face.score >= self._threshold]
            if not found:
                missed.append(name)
            self._compare(image, found, self._smallest_px(image))
        return {
            "pictures": read,
            "recall": 1 - len(missed) / read,
            "missed": missed,
            "landmarks": self._landmarks(),
        }

    def _pictures(
        self, label: str, root: PictureRoot, names: Sequence[str]
    ) -> Iterator[tuple[str, Image]]:
        """Those that can be read, by name. Raises EvaluationError when there are none."""
        unread: list[str] = []
        for name in shown(label, names):
            try:
                yield name, root.read(name)
            except PictureError as error:
                unread.append(str(error))
        require_some(unread, names)
        self.unread += unread

    def _detect(self, image: Image) -> list[Face]:
        started = time.perf_counter()
        found = self._detector.detect(image)
        self.spent_ms.append((time.perf_counter() - started) * 1e3)
        return found

    def _smallest_px(self, image: Image) -> float:
        """The smallest face that counts, in pixels of the picture."""
        height, width = image.shape[:2]
        fit = min(self.size_px[0] / width, self.size_px[1] / height)
        return float(self._min_face_px / fit)

    def _compare(self, image: Image, found: Sequence[Face], smallest_px: float) -> None:
        if self._reference is None:
            return
        sure = [face for face in found if face.score >= self._threshold]
        self._pairs += pair_faces(sure, self._reference.detect(image), smallest_px)

    def _landmarks(self) -> dict[str, Any] | None:
        distance = landmark_distance(self._pairs)
        return None if distance is None else asdict(distance)
