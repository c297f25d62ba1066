"""The pool of aligned training faces and the teacher's embedding of each."""

from __future__ import annotations

import csv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

FACE_PX = 120
MARGIN_PX = 4.0


@dataclass(frozen=True)
class FacePool:
    """Aligned faces with their targets.

    `images` uint8 BGR `(n, 120, 120, 3)`; `targets` float32 `(n, 128)`, unit rows; `axes` float32
    `(256, 128)`, the teacher's principal axes; `sources` one name a row.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float32]
    axes: NDArray[np.float32]
    sources: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


def principal_axes(teacher: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """The `count` leading right singular vectors of the `(n, d)` rows, as columns `(d, count)`."""
    moment = teacher.T.astype(np.float64) @ teacher
    values, vectors = np.linalg.eigh(moment)
    return np.ascontiguousarray(vectors[:, np.argsort(values)[::-1][:count]], dtype=np.float32)


def unit_rows(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows scaled to length one."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.maximum(length, 1e-12)).astype(np.float32)


def prepare(source: Path, cache: Path, dimensions: int = 128, limit: int | None = None) -> None:
    """Decode `faces_*.zip` under `source` once into arrays under `cache`.

    Raises FileNotFoundError when a file of the pool is missing, ValueError on a picture that is
    not 120x120.
    """
    with (source / "faces.csv").open(newline="") as stream:
        rows = [(row["image"], row["source"]) for row in csv.DictReader(stream)][:limit]
    raw = np.load(source / "faces_teacher.npy")[: len(rows)].astype(np.float32)
    axes = principal_axes(unit_rows(raw), dimensions)
    cache.mkdir(parents=True, exist_ok=True)
    images = np.lib.format.open_memmap(
        cache / "images.npy", "w+", np.uint8, (len(rows), FACE_PX, FACE_PX, 3)
    )
    place = {name: i for i, (name, _) in enumerate(rows)}
    for archive in sorted(source.glob("faces_*.zip")):
        with zipfile.ZipFile(archive) as pictures:
            for entry in pictures.namelist():
                row = place.get(Path(entry).name)
                if row is None:
                    continue
                data = np.frombuffer(pictures.read(entry), np.uint8)
                picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
                if picture is None or picture.shape != (FACE_PX, FACE_PX, 3):
                    raise ValueError(f"{archive.name}:{entry}: not a {FACE_PX}x{FACE_PX} picture")
                images[row] = picture
    images.flush()
    np.savez(
        cache / "targets.npz",
        targets=unit_rows(unit_rows(raw) @ axes),
        axes=axes,
        sources=np.array([source for _, source in rows]),
    )


def load(cache: Path, in_memory: bool = True) -> FacePool:
    """The pool that `prepare` wrote. Raises FileNotFoundError when it did not."""
    images = np.load(cache / "images.npy", mmap_mode=None if in_memory else "r")
    targets = np.load(cache / "targets.npz")
    return FacePool(images, targets["targets"], targets["axes"], tuple(targets["sources"]))
