"""How often two faces of one source match: impostors harder than those of the calibration.

The pool has no identity labels, so every pair counts as an impostor pair and a person who is in a
source twice counts as a false match: the rates are upper bounds. The faces were trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import ModelError
from edgeface.inference.embedder import Embedder
from models.training.augment import random_view
from models.training.faces import MARGIN_PX, FacePool, load
from models.training.package import open_folder

FMRS = (1e-3, 1e-4, 1e-5)


@dataclass(frozen=True)
class Stress:
    """One source: its `faces`, and the share of all their pairs at or above each threshold."""

    source: str
    faces: int
    rates: tuple[float, ...]


def shares(embeddings: NDArray[np.float32], thresholds: Sequence[float]) -> tuple[float, ...]:
    """Of all pairs of the unit rows `(n, d)`, n >= 2: the share with a cosine of at least each."""
    count = len(embeddings)
    hits = np.zeros(len(thresholds), np.int64)
    for start in range(0, count, 1024):
        block = embeddings[start : start + 1024]
        cosines = block @ embeddings[start:].T
        later = np.triu(np.ones(cosines.shape, np.bool_), 1)
        hits += [int((cosines[later] >= threshold).sum()) for threshold in thresholds]
    return tuple(float(h) for h in hits / (count * (count - 1) / 2))


def stress(cache: Path, package: Path, most: int = 4000) -> list[Stress]:
    """Up to `most` random faces of every source of the pool, at the package's own thresholds.

    Raises ModelError when `package` is no calibrated embedder, FileNotFoundError without a pool.
    """
    embedder = open_folder(package)
    if not isinstance(embedder, Embedder):
        raise ModelError(f"{package}: not a face embedder")
    calibration = embedder.package.calibration
    thresholds = [calibration.threshold_for(fmr).value for fmr in FMRS]
    pool = load(cache, in_memory=False)
    sources = np.array(pool.sources)
    rng = np.random.default_rng(0)
    found = []
    for source in sorted(set(pool.sources)):
        rows = rng.permutation(np.flatnonzero(sources == source))[:most]
        vectors = embed(embedder, pool, rows)
        found.append(Stress(source, len(rows), shares(vectors, thresholds)))
    return found


def embed(embedder: Embedder, pool: FacePool, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Unit embeddings `(n, d)` of the plain faces in `rows`."""
    rng = np.random.default_rng(0)
    size = embedder.package.description.input.width
    crops = [random_view(rng, np.asarray(pool.images[r]), MARGIN_PX, size, 0.0) for r in rows]
    return embedder.embed([np.ascontiguousarray(crop[..., ::-1]) for crop in crops])


def table(found: Sequence[Stress]) -> str:
    """Markdown rows for a model card."""
    asked = " | ".join(f"at the threshold for {fmr:.0e}" for fmr in FMRS)
    rows = [f"| source | faces | {asked} |", "| --- | --- |" + " --- |" * len(FMRS)]
    for line in found:
        rates = " | ".join(f"{rate:.1e}" for rate in line.rates)
        rows.append(f"| {line.source} | {line.faces:,} | {rates} |")
    return "\n".join(rows)
