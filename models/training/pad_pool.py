"""Faces with their surroundings, live and attacks: the pool of the presentation attack detector."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.second_look import with_surroundings
from edgeface.recognition.values import Box
from models.training.scenes import SCENES, Scenes, held_out

POOL = "pad.npz"
"""The file in the cache."""
PICTURE_PX = 128
SURROUNDINGS = 2.7
"""Side of a picture over the longer side of the face's box in its middle."""
LIVE = "live"
LEAST_PX = 36
"""Smaller faces of the photographs are not taken."""
NOT_LIVE = frozenset(
    Path(__file__).with_name("not_live.txt").read_text(encoding="utf-8").splitlines()
)
"""Photographs of posters, paintings, advertisements and collages, found by looking at them."""
FOLDS = 5
LEFT_OUT = ("mask", "msu")
"""Sources that what ships was not trained on."""


@dataclass(frozen=True)
class PadPool:
    """`images` uint8 BGR `(n, 128, 128, 3)`; of each row its source, its person within the source,
    and its kind: `live`, or the species of the attack."""

    images: NDArray[np.uint8]
    sources: NDArray[np.str_]
    people: NDArray[np.str_]
    kinds: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.images)

    @property
    def live(self) -> NDArray[np.bool_]:
        """Of each row, whether it shows a live person."""
        return np.asarray(self.kinds == LIVE)

    @property
    def photographs(self) -> NDArray[np.bool_]:
        """Of each row, if it is of the detector's photographs: each a person of its own."""
        return np.asarray(np.char.find(self.people, "/") >= 0)

    @property
    def folds(self) -> NDArray[np.int64]:
        """Of each row the fold of its person, 0 to 4; the people of a source are dealt out."""
        folds = np.zeros(len(self), np.int64)
        for source in np.unique(self.sources):
            rows = self.sources == source
            _, place = np.unique(self.people[rows], return_inverse=True)
            folds[rows] = place % FOLDS
        return folds

    def only(self, rows: NDArray[np.bool_]) -> PadPool:
        """The pool of those rows."""
        return PadPool(self.images[rows], self.sources[rows], self.people[rows], self.kinds[rows])


def cut_out(image: NDArray[np.uint8], box: Box) -> NDArray[np.uint8]:
    """What the daemon shows to an attack detector of a face, as `(128, 128, 3)`."""
    square = with_surroundings(image, box, SURROUNDINGS)
    mode = cv2.INTER_AREA if len(square) > PICTURE_PX else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(square, (PICTURE_PX, PICTURE_PX), interpolation=mode), np.uint8)


def _photographed(cache: Path) -> list[tuple[NDArray[np.uint8], str, str, str]]:
    """The two largest faces of each of the detector's photographs, at most half of whose
    surroundings lie outside of it: they are taken for live."""
    rows = []
    for scene in Scenes(cache / SCENES):
        if scene.name in NOT_LIVE:
            continue
        size = scene.boxes[:, 2:] - scene.boxes[:, :2]
        for face in np.argsort(-size.max(axis=1, initial=0))[:2]:
            box, side = scene.boxes[face], float(size[face].max())
            middle, half = (box[:2] + box[2:]) / 2, SURROUNDINGS * side / 2
            limits = np.array(scene.image.shape[1::-1])
            seen = np.minimum(middle + half, limits) - np.maximum(middle - half, 0)
            if scene.weight[face] < 1 or side < LEAST_PX or seen.prod() < 2 * half * half:
                continue
            picture = cut_out(scene.image, Box(*box.tolist()))
            rows.append((picture, scene.name.split("/")[0], scene.name, LIVE))
    return rows


def prepare(source: Path, cache: Path, limit: int | None = None) -> None:
    """Write `cache/pad.npz` from `pad/pad.zip` under `source` and from the detector's photographs.

    Raises FileNotFoundError without the photographs that `scenes.prepare` wrote, ValueError on a
    picture of another size.
    """
    rows = _photographed(cache)
    with (source / "pad" / "pad.csv").open(newline="") as stream:
        table = list(csv.DictReader(stream))[:limit]
    with zipfile.ZipFile(source / "pad" / "pad.zip") as archive:
        for row in table:
            data = np.frombuffer(archive.read(row["image"]), np.uint8)
            picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
            if picture is None or picture.shape != (PICTURE_PX, PICTURE_PX, 3):
                raise ValueError(f"pad.zip:{row['image']}: not a {PICTURE_PX} px picture")
            rows.append((np.asarray(picture, np.uint8), row["source"], row["person"], row["kind"]))
    images, sources, people, kinds = zip(*rows, strict=True)
    np.savez(
        cache / POOL,
        images=np.stack(images),
        sources=np.array(sources),
        people=np.array(people),
        kinds=np.array(kinds),
    )


def load(cache: Path) -> PadPool:
    """The pool that `prepare` wrote. Raises FileNotFoundError when it did not."""
    stored = np.load(cache / POOL)
    return PadPool(stored["images"], stored["sources"], stored["people"], stored["kinds"])


def trained_rows(
    pool: PadPool, left_out: Sequence[str] = LEFT_OUT, fold: int | None = None
) -> NDArray[np.bool_]:
    """The rows to train on: none of the sources `left_out`, of the people of a `fold`, or of the
    photographs that are held out for ever."""
    rows = ~np.isin(pool.sources, left_out)
    if fold is not None:
        rows &= pool.folds != fold
    tested = np.array([held_out(person) for person in pool.people])
    return np.asarray(rows & ~(tested & pool.photographs))
