"""How a pipeline fares in bad light, with covered, turned, small and blurred faces: the same pairs,
one picture of each as it is and the other degraded in one way after another.

What is drawn follows from the picture's name: the same at each run.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import EvaluationError
from edgeface.evaluation.coverings import against_the_light, cap, glasses, mask, near_infrared
from edgeface.evaluation.impostors import PairScores, share_interval
from edgeface.evaluation.operating_points import OperatingPoint
from edgeface.evaluation.protocol import Protocol
from edgeface.evaluation.rates import NOT_FOUND
from edgeface.evaluation.stills import (
    EmbeddedPictures,
    Pictures,
    each_picture,
    embed_pictures,
    gather,
)
from edgeface.evaluation.verification_report import at_point
from edgeface.recognition.quality import QualityLimits, refusal
from edgeface.recognition.values import Face, FaceDetector, FaceEmbedder, Image

Degradation: TypeAlias = Callable[[np.random.Generator, Image, Face], Image]
"""A new picture, BGR, made of one with this face."""

SMALL_PX: Final = 40.0
TURN_DEG: Final = 20.0
_BLOCK: Final = 512
_PAIR_COLUMNS: Final = ("scores", "a", "b")


def _gray(_: np.random.Generator, image: Image, __: Face) -> Image:
    return np.repeat(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)


def _dark(rng: np.random.Generator, image: Image, _: Face) -> Image:
    """A sixth of the light, raised again by the camera together with its noise."""
    light = image.astype(np.float32) / 6
    seen = rng.poisson(light * 0.8) / 0.8 + rng.normal(0, 1.5, image.shape)
    return np.clip(seen * 2, 0, 255).astype(np.uint8)


def _backlit(rng: np.random.Generator, image: Image, _: Face) -> Image:
    return against_the_light(rng, image)


def _blurred(_: np.random.Generator, image: Image, face: Face) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 0.07 * _eyes(face)), np.uint8)


def _small(_: np.random.Generator, image: Image, face: Face) -> Image:
    side = max(1.0, min(face.box.width, face.box.height))
    if side <= SMALL_PX:
        return image
    scale = SMALL_PX / side
    return np.asarray(
        cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8
    )


def _turned(rng: np.random.Generator, image: Image, face: Face) -> Image:
    angle = TURN_DEG if rng.random() < 0.5 else -TURN_DEG
    middle = face.box.center
    size = (image.shape[1], image.shape[0])
    turn = cv2.getRotationMatrix2D(middle, angle, 1.0)
    return np.asarray(cv2.warpAffine(image, turn, size, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _masked(rng: np.random.Generator, image: Image, face: Face) -> Image:
    covered = image.copy()
    mask(rng, covered, face.landmarks)
    return covered


def _sunglasses(rng: np.random.Generator, image: Image, face: Face) -> Image:
    covered = image.copy()
    glasses(rng, covered, face.landmarks, dark=True)
    return covered


def _cap(rng: np.random.Generator, image: Image, face: Face) -> Image:
    covered = image.copy()
    cap(rng, covered, face.landmarks, reach=1.3)
    return covered


def _near_infrared(rng: np.random.Generator, image: Image, _: Face) -> Image:
    return near_infrared(rng, image)


def _eyes(face: Face) -> float:
    return max(1.0, math.dist(*face.landmarks[:2].tolist()))


CLEAN: Final = "as it is"
CONDITIONS: Final[Mapping[str, tuple[Degradation, str]]] = {
    "gray": (_gray, "without color"),
    "dark": (_dark, "a sixth of the light, raised again with the camera's noise"),
    "backlit": (_backlit, "a dark face, glare from one side or above"),
    "blurred": (_blurred, "out of focus by 7 % of the eyes' distance"),
    "40 px": (_small, "the picture scaled until the face's shorter side has 40 pixels"),
    "turned": (_turned, "the picture turned by 20 degrees"),
    "masked": (_masked, "a mask drawn over nose, mouth and chin"),
    "sunglasses": (_sunglasses, "dark lenses drawn over the eyes"),
    "cap": (_cap, "a cap drawn down to the brows"),
    "near infrared": (_near_infrared, "as a night camera sees: gray, skin bright, pupils dark"),
}
"""What is done to a picture, and in words."""


class DegradedPictures:
    """The pictures of a source, each degraded in one way."""

    def __init__(self, source: Pictures, faces: Mapping[str, Face], condition: str) -> None:
        """`faces` are those of the pictures as they are, by name."""
        self._source, self._faces = source, faces
        self._degrade = CONDITIONS[condition][0]
        self._salt = condition

    def read(self, name: str) -> Image:
        """BGR uint8 `(h, w, 3)`. Raises PictureError."""
        seed = zlib.crc32(f"{self._salt} {name}".encode())
        rng = np.random.default_rng(seed)
        return np.ascontiguousarray(self._degrade(rng, self._source.read(name), self._faces[name]))


@dataclass(frozen=True, slots=True, eq=False)
class ConditionResults:
    """What was measured, and the picture that stands for each condition."""

    mapping: dict[str, Any]
    """JSON-able."""
    examples: tuple[tuple[str, Image], ...]
    """Conditions and RGB pictures."""


def measure_conditions(
    source: Pictures,
    protocol: Protocol,
    detector: FaceDetector,
    embedder: FaceEmbedder,
    points: Sequence[OperatingPoint],
    limits: QualityLimits,
) -> ConditionResults:
    """Of the protocol's pairs, the first picture as it is and the second degraded.

    Pairs in which a face is missing when nothing is done are left out; a face that is not found
    any more counts as rejected. Impostors are all cross-person pairs of a first and a second
    picture where the protocol knows the people, else its own. Raises EvaluationError without a pair
    of one person.
    """
    clean, faces = _as_they_are(source, protocol.pictures, detector, embedder)
    names = [name for name in dict.fromkeys(pair.b for pair in protocol.pairs) if name in faces]
    if not any(pair.same and pair.a in faces and pair.b in faces for pair in protocol.pairs):
        raise EvaluationError("no pair of one person has a face in both pictures")
    place = {name: row for row, name in enumerate(protocol.pictures)}
    rows = [place[name] for name in names]
    undone = EmbeddedPictures(
        clean.embeddings[rows],
        clean.found[rows],
        tuple(clean.quality[row] for row in rows),
        (), (), {},
    )  # fmt: skip
    measured = [_condition(CLEAN, names, undone, clean, protocol, (points, limits))]
    examples = [(CLEAN, _example(source, names[0]))]
    for condition in CONDITIONS:
        degraded = DegradedPictures(source, faces, condition)
        found = embed_pictures(degraded, names, detector, embedder)
        measured.append(_condition(condition, names, found, clean, protocol, (points, limits)))
        examples.append((condition, _example(degraded, names[0])))
    return ConditionResults(
        {
            "conditions": measured,
            "pairs": len(protocol.pairs),
            "pictures": len(protocol.pictures),
            "pictures_degraded": len(names),
            "pictures_unread": list(clean.unread),
            "pictures_faceless": list(clean.faceless),
        },
        tuple(examples),
    )


def _example(source: Pictures, name: str) -> Image:
    return np.asarray(cv2.cvtColor(source.read(name), cv2.COLOR_BGR2RGB), np.uint8)


def _as_they_are(
    source: Pictures, names: Sequence[str], detector: FaceDetector, embedder: FaceEmbedder
) -> tuple[EmbeddedPictures, dict[str, Face]]:
    found = list(each_picture(source, names, detector, embedder))
    faces = {one.name: one.face.face for one in found if one.face is not None}
    rows = [None if one.face is None else (one.face.embedding, one.face.quality) for one in found]
    unread = [one.unread for one in found if one.unread is not None]
    faceless = [one.name for one in found if one.face is None and one.unread is None]
    return gather(rows, unread, faceless, {}), faces


def _condition(
    name: str,
    names: Sequence[str],
    found: EmbeddedPictures,
    clean: EmbeddedPictures,
    protocol: Protocol,
    rules: tuple[Sequence[OperatingPoint], QualityLimits],
) -> dict[str, Any]:
    points, limits = rules
    people = len(protocol.people)
    owners = dict(zip(protocol.pictures, protocol.subject_of, strict=True))
    subjects = np.array([owners[one] for one in names], dtype=np.int32)
    gates = [None if q is None else refusal(q, limits) for q in found.quality]
    passed = np.array(
        [q is not None and gate is None for q, gate in zip(found.quality, gates, strict=True)]
    )
    refused = [gate for gate in gates if gate is not None]
    genuine, impostor = _scores(names, found, clean, protocol)
    return {
        "condition": name,
        "found": float(found.found.mean()),
        "found_interval_95": share_interval(found.found, subjects, people),
        "gate_passed": float(passed.mean()),
        "gate_passed_interval_95": share_interval(passed, subjects, people),
        "gates": {gate: refused.count(gate) for gate in sorted(set(refused))},
        "genuine_pairs": len(genuine),
        "impostor_pairs": len(impostor),
        "operating_points": [at_point(point, genuine, impostor, people) for point in points],
    }


def _scores(
    names: Sequence[str], found: EmbeddedPictures, clean: EmbeddedPictures, protocol: Protocol
) -> tuple[PairScores, PairScores]:
    """Genuine and impostor scores of clean first and degraded second pictures."""
    row_of = {name: row for row, name in enumerate(names)}
    kept = [
        (first, row_of[pair.b], pair.same)
        for first, pair in zip(protocol.a.tolist(), protocol.pairs, strict=True)
        if clean.found[first] and pair.b in row_of
    ]
    a, b, marks = (np.array(column) for column in zip(*kept, strict=True))
    same = marks.astype(np.bool_)
    place = {name: row for row, name in enumerate(protocol.pictures)}
    owners = protocol.subjects[[place[name] for name in names]]

    def block(firsts: NDArray[np.int64]) -> NDArray[np.float32]:
        if not found.found.any():  # then they are of no length
            return np.full((len(firsts), len(names)), NOT_FOUND, np.float32)
        cosines = np.clip(clean.embeddings[firsts] @ found.embeddings.T, NOT_FOUND, 1)
        return np.where(found.found, cosines, np.float32(NOT_FOUND)).astype(np.float32)

    parts: dict[bool, list[PairScores]] = {True: [], False: []}
    firsts = np.unique(a)
    for start in range(0, len(firsts), _BLOCK):
        some = firsts[start : start + _BLOCK]
        scores, subjects = block(some), protocol.subjects[some]
        for kind in (True, False):
            if kind or not protocol.identities_known:
                own = np.isin(a, some) & (same == kind)
                row, second = np.searchsorted(some, a[own]), b[own]
            else:
                row, second = np.nonzero(subjects[:, None] != owners)
            parts[kind].append(PairScores(scores[row, second], subjects[row], owners[second]))
    genuine, impostor = (
        PairScores(*(np.concatenate([getattr(p, n) for p in parts[kind]]) for n in _PAIR_COLUMNS))
        for kind in (True, False)
    )
    return genuine, impostor
