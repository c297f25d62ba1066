"""The pools of aligned training faces, and the teacher's embedding of each face of the first."""

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
"""The first pool's pictures: ArcFace's crop with a margin on each side."""
DIVERSE_PX = 152
DIVERSE_MARGIN_PX = 12.0
"""The second pool's: the embedder's own crop with a margin."""
POOLS = {"faces": FACE_PX, "diverse": DIVERSE_PX}
"""Each pool is `<name>.csv` and `<name>*.zip`, with pictures of this many pixels."""


@dataclass(frozen=True)
class FacePool:
    """Aligned faces: `images` uint8 BGR `(n, s, s, 3)`, and of each row its source and its label.

    A label is `age_sex_group` as UTKFace codes it, or empty.
    """

    images: NDArray[np.uint8]
    sources: tuple[str, ...]
    labels: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Bank:
    """What the teacher says of the first pool.

    `targets` float32 `(n, d)`, unit rows; `axes` float32 `(256, d)`, its principal axes.
    """

    targets: NDArray[np.float32]
    axes: NDArray[np.float32]


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
    """Decode both pools under `source` once into arrays under `cache`, and make the bank.

    Raises FileNotFoundError when a file of a pool is missing, ValueError on a picture of another
    size.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for name, side in POOLS.items():
        decode(source, cache, name, side, limit)
    raw = np.load(source / "faces_teacher.npy")[:limit].astype(np.float32)
    axes = principal_axes(unit_rows(raw), dimensions)
    np.savez(cache / "bank.npz", targets=unit_rows(unit_rows(raw) @ axes), axes=axes)


def decode(source: Path, cache: Path, name: str, side: int, limit: int | None) -> None:
    """Write `cache/<name>.npy` and `cache/<name>.npz` from one pool."""
    with (source / f"{name}.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))[:limit]
    images = np.lib.format.open_memmap(
        cache / f"{name}.npy", "w+", np.uint8, (len(rows), side, side, 3)
    )
    place = {Path(row["image"]).name: i for i, row in enumerate(rows)}
    for archive in sorted(source.glob(f"{name}*.zip")):
        with zipfile.ZipFile(archive) as pictures:
            for entry in pictures.namelist():
                at = place.get(Path(entry).name)
                if at is None:
                    continue
                data = np.frombuffer(pictures.read(entry), np.uint8)
                picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
                if picture is None or picture.shape != (side, side, 3):
                    raise ValueError(f"{archive.name}:{entry}: not a {side}x{side} picture")
                images[at] = picture
    images.flush()
    np.savez(
        cache / f"{name}.npz",
        sources=np.array([row["source"] for row in rows]),
        labels=np.array([row.get("age_sex_group") or "" for row in rows]),
    )


def load(cache: Path, name: str = "faces", in_memory: bool = True) -> FacePool:
    """A pool that `prepare` wrote. Raises FileNotFoundError when it did not."""
    images = np.load(cache / f"{name}.npy", mmap_mode=None if in_memory else "r")
    facts = np.load(cache / f"{name}.npz")
    return FacePool(images, tuple(facts["sources"]), tuple(facts["labels"]))


def load_bank(cache: Path) -> Bank:
    """The bank that `prepare` wrote. Raises FileNotFoundError when it did not."""
    stored = np.load(cache / "bank.npz")
    return Bank(stored["targets"], stored["axes"])
