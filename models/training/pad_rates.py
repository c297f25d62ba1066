"""How often the attack detector errs on whom it was not trained on, and the thresholds from that.

The words are ISO/IEC 30107-3's: BPCER, the share of live (bona fide) presentations that are called
attacks; APCER, of each species of attack, the share that is called live.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import ModelError
from edgeface.inference.package_files import write_calibration
from edgeface.inference.passive_liveness import PassiveLiveness
from models.training import pad_pool
from models.training.package import open_folder
from models.training.pad_pool import LIVE, PadPool
from models.training.train_pad import float_scores, load_pad

Floats = NDArray[np.float32]

BPCERS: Final = (0.01, 0.02, 0.05, 0.1, 0.2)
TRACK: Final = 3
"""Pictures of a track, whose mean is judged."""


@dataclass(frozen=True)
class Rate:
    """Errors on one kind of one source at one threshold, of single pictures and of tracks."""

    source: str
    kind: str
    pictures: int
    people: int
    of_pictures: float
    of_tracks: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 % of the tracks' share (Wilson 1927), as if each person were one observation: what
        varies is the people."""
        return wilson(self.of_tracks, self.people)


def wilson(share: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval of a share that was seen in `count` observations."""
    scale = 1 + z * z / count
    middle = (share + z * z / (2 * count)) / scale
    half = z / scale * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return max(0.0, middle - half), min(1.0, middle + half)


def tracks(pool: PadPool, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The rows of each person, three by three in the order they were taken; fewer where there are
    fewer."""
    made = []
    for person in np.unique(pool.people[rows]):
        own = rows[pool.people[rows] == person]
        count = max(1, len(own) // TRACK)
        made += np.array_split(own, count)
    return made


def rates(pool: PadPool, scores: Floats, rows: NDArray[np.bool_], threshold: float) -> list[Rate]:
    """Errors on those rows of the pool, by source and kind."""
    made = []
    for source in np.unique(pool.sources[rows]):
        for kind in sorted(set(pool.kinds[rows & (pool.sources == source)]), key=_live_first):
            own = np.flatnonzero(rows & (pool.sources == source) & (pool.kinds == kind))
            means = np.array([scores[track].mean() for track in tracks(pool, own)])
            wrong = [
                float(np.mean((part < threshold) == (kind == LIVE)))
                for part in (scores[own], means)
            ]
            people = len(np.unique(pool.people[own]))
            made.append(Rate(str(source), str(kind), len(own), people, *wrong))
    return made


def _live_first(kind: str) -> tuple[bool, str]:
    return kind != LIVE, kind


def calibration(
    pool: PadPool, scores: Floats, rows: NDArray[np.bool_], targets: Sequence[float] = BPCERS
) -> dict[str, Any]:
    """The thresholds at which each share of the live people among those rows is refused, by single
    pictures of them: the mean over a track varies less, so fewer are."""
    live = np.flatnonzero(rows & pool.live)
    means = np.array([scores[live[pool.people[live] == one]].mean() for one in _people(pool, live)])
    return {
        "people": len(means),
        "thresholds": [
            # The quantile that is surely not above: a score that was seen.
            {"bpcer": target, "threshold": float(np.quantile(means, target, method="lower"))}
            for target in targets
        ],
    }


def _people(pool: PadPool, rows: NDArray[np.int64]) -> NDArray[np.str_]:
    return np.unique(pool.people[rows])


def package_scores(folder: Path, pool: PadPool) -> Floats:
    """Scores of every row by the int8 package. Raises ModelError for one of another task."""
    model = open_folder(folder)
    if not isinstance(model, PassiveLiveness):
        raise ModelError(f"{folder}: {model.package.description.task}, not an attack detector")
    return model.score(list(pool.images))


def fold_scores(out: Path, pool: PadPool) -> Floats:
    """Scores of every row by the float network that was not trained on its person: of the five
    runs in `out/fold-0` to `out/fold-4`."""
    scores = np.zeros(len(pool), np.float32)
    for fold in range(pad_pool.FOLDS):
        rows = pool.folds == fold
        model = load_pad(out / f"fold-{fold}" / "pad.pt")
        scores[rows] = float_scores(model, pool.images[rows])
    return scores


def measure(
    cache: Path, out: Path, package: Path | None, left_out: Sequence[str], folds: bool, write: bool
) -> str:
    """Markdown: errors on whom was not trained on, at each BPCER of the calibration on the live
    photographs among them. `write` puts that into the package.

    Raises FileNotFoundError without the pool or a checkpoint, ModelError on a package.
    """
    pool = pad_pool.load(cache)
    rows = ~pad_pool.trained_rows(pool, left_out)
    if package is not None:
        scores = package_scores(package, pool)
    elif folds:
        scores, rows = fold_scores(out, pool), np.ones(len(pool), bool)
    else:
        scores = float_scores(load_pad(out / "pad.pt"), pool.images)
    table = calibration(pool, scores, rows & pool.photographs)
    if write and package is not None:
        write_calibration(package, table)
    return "\n\n".join(
        f"BPCER {point['bpcer']:.0%} of {table['people']} photographed people: threshold "
        f"{point['threshold']:.3f}\n\n"
        + markdown(rates(pool, scores, rows, float(point["threshold"])))
        for point in table["thresholds"]
    )


def markdown(rows: Sequence[Rate]) -> str:
    """Rows for the model card."""
    lines = [
        "| source | kind | pictures, people | wrong of the pictures | of the tracks | 95 % |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        low, high = row.interval
        lines.append(
            f"| {row.source} | {row.kind} | {row.pictures}, {row.people} | {row.of_pictures:.1%} "
            f"| {row.of_tracks:.1%} | {low:.0%} to {high:.0%} |"
        )
    return "\n".join(lines)
