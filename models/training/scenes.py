"""Photographs for the detector: given boxes joined with the teacher's boxes and landmarks."""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SCENES, PASTED = "scenes.npz", "pasted.npz"
"""The files in the cache: photographs, and aligned faces to paste into them."""
MIRRORED = (1, 0, 2, 4, 3)
"""The order of the five landmarks in a mirror image."""


@dataclass(frozen=True)
class Scene:
    """One photograph with its faces, in pixels.

    `boxes` float32 `(n, 4)` left, top, right, bottom; `landmarks` `(n, 5, 2)`, NaN where unknown;
    `weight` `(n,)`: the score to teach in (0, 1], or 0 for a region to be left out of the loss.
    """

    name: str
    image: NDArray[np.uint8]
    boxes: Floats
    landmarks: Floats
    weight: Floats


def held_out(name: str) -> bool:
    """Whether a photograph belongs to the tested tenth (by a hash of its name, so for ever)."""
    return zlib.crc32(name.encode()) % 10 == 0


def overlap(one: Floats, other: Floats) -> Floats:
    """Intersection over union of `(n, 4)` with `(m, 4)` boxes: `(n, m)`."""
    corner = np.maximum(one[:, None, :2], other[None, :, :2])
    end = np.minimum(one[:, None, 2:], other[None, :, 2:])
    common = np.prod(np.clip(end - corner, 0, None), axis=2)
    area = [np.prod(b[:, 2:] - b[:, :2], axis=1) for b in (one, other)]
    shared: Floats = common / np.maximum(area[0][:, None] + area[1][None] - common, 1e-6)
    return shared


def teacher_faces(
    teacher: cv2.FaceDetectorYN, image: NDArray[np.uint8]
) -> tuple[Floats, Floats, Floats]:
    """Boxes `(n, 4)`, landmarks `(n, 5, 2)` and scores `(n,)`, from the picture at several sizes.

    Small faces come from the enlarged picture, large ones from the reduced one; where two sizes
    see the same face the better score stays.
    """
    rows = []
    for zoom in (0.5, 1.0, 2.0):
        sized = cv2.resize(
            image,
            None,
            fx=zoom,
            fy=zoom,
            interpolation=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR,
        )
        teacher.setInputSize((sized.shape[1], sized.shape[0]))
        found = teacher.detect(sized)[1]
        if found is not None:
            found[:, :14] /= zoom
            side = np.sqrt(found[:, 2] * found[:, 3])
            sensible = {0.5: side > 60, 1.0: side > 14, 2.0: side < 120}[zoom]
            rows.append(found[sensible])
    if not rows:
        return (
            np.zeros((0, 4), np.float32),
            np.zeros((0, 5, 2), np.float32),
            np.zeros(0, np.float32),
        )
    table = np.concatenate(rows)
    table = table[np.argsort(-table[:, 14])]
    boxes = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
    shared = overlap(boxes, boxes)
    keep: list[int] = []
    for i in range(len(table)):
        if all(shared[i, j] < 0.4 for j in keep):
            keep.append(i)
    return boxes[keep], table[keep, 4:14].reshape(-1, 5, 2), table[keep, 14]


def join(
    given: Floats,
    ignored: NDArray[np.bool_],
    boxes: Floats,
    points: Floats,
    scores: Floats,
    labelled: bool,
) -> tuple[Floats, Floats, Floats]:
    """Given boxes first, with the teacher's landmarks where it agrees; then the teacher's own.

    A face that only the teacher sees counts fully in an unlabelled photograph, and is left out of
    the loss in a labelled one.
    """
    out_boxes, out_points, weight = [], [], []
    shared = (
        overlap(given, boxes) if len(given) and len(boxes) else np.zeros((len(given), len(boxes)))
    )
    taken = set()
    for i, box in enumerate(given):
        match = int(shared[i].argmax()) if len(boxes) else -1
        agreed = match >= 0 and shared[i, match] > 0.4
        if agreed:
            taken.add(match)
        out_boxes.append(boxes[match] if agreed and scores[match] > 0.8 else box)
        out_points.append(points[match] if agreed else np.full((5, 2), np.nan))
        weight.append(0.0 if ignored[i] and not agreed else 1.0)
    for j in range(len(boxes)):
        if j not in taken:
            out_boxes.append(boxes[j])
            out_points.append(points[j])
            weight.append(float(not labelled and scores[j] > 0.7))
    return (
        np.array(out_boxes, np.float32).reshape(-1, 4),
        np.array(out_points, np.float32).reshape(-1, 5, 2),
        np.array(weight, np.float32),
    )


def prepare(source: Path, teacher_onnx: Path, cache: Path, limit: int | None = None) -> None:
    """Read `detector.zip` under `source`, ask the teacher, and write `cache/scenes.npz`."""
    given: dict[str, list[list[float]]] = defaultdict(list)
    with (source / "detector_boxes.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            given[row["image"]].append([float(row[k]) for k in ("x", "y", "w", "h", "ignore")])
    teacher = cv2.FaceDetectorYN.create(str(teacher_onnx), "", (320, 320), 0.6, 0.3, 500)
    names, pictures, starts = [], [], [0]
    boxes, points, weights = [], [], []
    with zipfile.ZipFile(source / "detector.zip") as archive:
        entries = [e for e in archive.namelist() if e.endswith((".jpg", ".png"))][:limit]
        for entry in entries:
            data = np.frombuffer(archive.read(entry), np.uint8)
            image = cv2.imdecode(data, cv2.IMREAD_COLOR)
            if image is None:
                raise ValueError(f"detector.zip:{entry}: not a picture")
            table = np.array(given.get(entry, []), np.float32).reshape(-1, 5)
            known = np.concatenate([table[:, :2], table[:, :2] + table[:, 2:4]], axis=1)
            joined = join(known, table[:, 4] > 0, *teacher_faces(teacher, image), entry in given)
            names.append(entry)
            pictures.append(data)
            starts.append(starts[-1] + len(joined[0]))
            for store, part in zip((boxes, points, weights), joined, strict=True):
                store.append(part)
    cache.mkdir(parents=True, exist_ok=True)
    np.savez(
        cache / SCENES,
        names=np.array(names),
        data=np.concatenate(pictures),
        ends=np.cumsum([len(p) for p in pictures]),
        starts=np.array(starts),
        boxes=np.concatenate(boxes),
        landmarks=np.concatenate(points),
        weight=np.concatenate(weights),
    )


def aligned_face(
    teacher: cv2.FaceDetectorYN, image: NDArray[np.uint8]
) -> tuple[Floats, Floats] | None:
    """Box `(1, 4)` and landmarks `(1, 5, 2)` of the face of an aligned square, or None.

    Its template says where they should be, the teacher where they are: the mean over the face and
    its mirror image, enlarged; None where the two differ by more than a twentieth of the eyes'
    distance, or the teacher is not sure.
    """
    border = image.shape[0] // 4
    wide = cv2.copyMakeBorder(image, *[border] * 4, cv2.BORDER_REPLICATE)
    zoom = 200 / image.shape[0]
    wide = cv2.resize(wide, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)
    height, width = wide.shape[:2]
    teacher.setInputSize((width, height))
    looks = []
    for mirrored in (False, True):
        found = teacher.detect(np.ascontiguousarray(wide[:, ::-1]) if mirrored else wide)[1]
        if found is None:
            return None
        row = found[0]
        corners = np.array([row[:2], row[:2] + row[2:4]])
        points = row[4:14].reshape(5, 2)
        if mirrored:
            corners[:, 0] = width - corners[::-1, 0]
            points = (points * (-1, 1) + (width, 0))[list(MIRRORED)]
        looks.append(np.concatenate([corners, points]))
    apart = float(np.linalg.norm(looks[0][2:] - looks[1][2:], axis=1).mean())
    both = np.mean(looks, axis=0).astype(np.float32) / np.float32(zoom) - border
    if row[14] < 0.7 or apart / zoom > 0.05 * float(np.linalg.norm(both[2] - both[3])):
        return None
    return both[:2].reshape(1, 4), both[None, 2:]


def prepare_pasted(source: Path, teacher_onnx: Path, cache: Path, limit: int | None = None) -> None:
    """Ask the teacher about the aligned faces of `faces_*.zip` and `diverse.zip`, and write
    `cache/pasted.npz`, a file as `prepare`'s."""
    teacher = cv2.FaceDetectorYN.create(str(teacher_onnx), "", (320, 320), 0.5, 0.3, 5)
    names, pictures, boxes, points = [], [], [], []
    for path in sorted([*source.glob("faces_*.zip"), *source.glob("diverse.zip")]):
        with zipfile.ZipFile(path) as archive:
            for entry in [e for e in archive.namelist() if e.endswith(".jpg")][:limit]:
                data = np.frombuffer(archive.read(entry), np.uint8)
                image = cv2.imdecode(data, cv2.IMREAD_COLOR)
                if image is None:
                    raise ValueError(f"{path.name}:{entry}: not a picture")
                face = aligned_face(teacher, image)
                if face is not None:
                    names.append(f"{path.stem}/{entry}")
                    pictures.append(data)
                    boxes.append(face[0])
                    points.append(face[1])
    np.savez(
        cache / PASTED,
        names=np.array(names),
        data=np.concatenate(pictures),
        ends=np.cumsum([len(p) for p in pictures]),
        starts=np.arange(len(names) + 1),
        boxes=np.concatenate(boxes),
        landmarks=np.concatenate(points),
        weight=np.ones(len(names), np.float32),
    )


class Scenes(Sequence[Scene]):
    """What `prepare` or `prepare_pasted` wrote; a photograph is decoded when it is asked for."""

    def __init__(self, path: Path, trained: bool | None = None) -> None:
        """`trained`: only those that are, or (False) are not, trained on.

        Raises FileNotFoundError when nothing was prepared.
        """
        stored = np.load(path)
        self._data, self._ends = stored["data"], stored["ends"]
        self._starts, self._boxes = stored["starts"], stored["boxes"]
        self._points, self._weight = stored["landmarks"], stored["weight"]
        self._names = [str(name) for name in stored["names"]]
        self._rows = [
            i for i, n in enumerate(self._names) if trained is None or held_out(n) != trained
        ]

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Scene: ...

    @overload
    def __getitem__(self, index: slice) -> list[Scene]: ...

    def __getitem__(self, index: int | slice) -> Scene | list[Scene]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        i = self._rows[index]
        begin = self._ends[i - 1] if i else 0
        image = cv2.imdecode(self._data[begin : self._ends[i]], cv2.IMREAD_COLOR)
        rows = slice(self._starts[i], self._starts[i + 1])
        return Scene(
            self._names[i],
            np.asarray(image, np.uint8),
            self._boxes[rows],
            self._points[rows],
            self._weight[rows],
        )
