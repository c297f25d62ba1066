"""How often two faces of one group match: impostors harder than those of the calibration.

The pools have no identity labels, so every pair counts as an impostor pair and a person who is in a
group twice counts as a false match: the rates are upper bounds. The faces were trained on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import ModelError
from edgeface.inference.embedder import Embedder
from models.training.faces import POOLS, FacePool, load
from models.training.package import open_folder
from models.training.views import random_view

FMRS = (1e-3, 1e-4, 1e-5)
FEWEST = 30
"""A group of fewer faces is left out."""
AGES = ((0, 2), (3, 12), (13, 19), (20, 39), (40, 59), (60, 120))
ADULT = 20
"""Sex and origin are compared among adults: children, who match each other most, would hide it."""
SEXES = ("male", "female")
ORIGINS = ("White", "Black", "Asian", "Indian", "other")
"""As UTKFace codes them."""


@dataclass(frozen=True)
class Stress:
    """One group: its `faces`, and the share of all their pairs at or above each threshold."""

    group: str
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


def groups_of(label: str) -> Iterator[str]:
    """The groups that a label `age_sex_group` belongs to; none for one that is not known."""
    try:
        age, sex, origin = (int(part) for part in label.split("_"))
        groups = [f"age {low} to {high}" for low, high in AGES if low <= age <= high]
        if age >= ADULT:
            groups += [f"adults, {SEXES[sex]}", f"adults, {ORIGINS[origin]}"]
    except (ValueError, IndexError):
        return
    yield from groups


def stress(cache: Path, package: Path, most: int = 4000) -> tuple[list[Stress], list[Stress]]:
    """At the package's own thresholds: every source of both pools by up to `most` random faces, and
    every group that labels allow; each list has the worst first.

    Raises ModelError when `package` is no calibrated embedder, FileNotFoundError without a pool.
    """
    embedder = open_folder(package)
    if not isinstance(embedder, Embedder):
        raise ModelError(f"{package}: not a face embedder")
    calibration = embedder.package.calibration
    thresholds = [calibration.threshold_for(fmr).value for fmr in FMRS]
    rng = np.random.default_rng(0)
    by_source, by_group = [], []
    for name in POOLS:
        pool = load(cache, name, in_memory=False)
        sources = np.array(pool.sources)
        for source in sorted(set(pool.sources)):
            rows = rng.permutation(np.flatnonzero(sources == source))[:most]
            labels = [list(groups_of(pool.labels[row])) for row in rows]
            groups = sorted({group for found in labels for group in found})
            if len(rows) < FEWEST:
                continue
            vectors = embed(embedder, pool, rows)
            by_source.append(Stress(source, len(rows), shares(vectors, thresholds)))
            for group in groups:
                chosen = np.array([group in found for found in labels])
                if chosen.sum() >= FEWEST:
                    rates = shares(vectors[chosen], thresholds)
                    by_group.append(Stress(group, int(chosen.sum()), rates))
    return worst_first(by_source), worst_first(by_group)


def worst_first(found: Sequence[Stress]) -> list[Stress]:
    """By the share at the middle threshold."""
    return sorted(found, key=lambda line: line.rates[len(line.rates) // 2], reverse=True)


def embed(embedder: Embedder, pool: FacePool, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Unit embeddings `(n, d)` of the plain faces in `rows`."""
    rng = np.random.default_rng(0)
    crops = [random_view(rng, np.asarray(pool.images[row]), 0.0, 0.0) for row in rows]
    return embedder.embed([np.ascontiguousarray(crop[..., ::-1]) for crop in crops])


def table(found: Sequence[Stress], head: str) -> str:
    """Markdown rows for a model card."""
    asked = " | ".join(f"at the threshold for {fmr:.0e}" for fmr in FMRS)
    rows = [f"| {head} | faces | {asked} |", "| --- | --- |" + " --- |" * len(FMRS)]
    for line in found:
        rates = " | ".join(f"{rate:.1e}" for rate in line.rates)
        rows.append(f"| {line.group} | {line.faces:,} | {rates} |")
    return "\n".join(rows)
