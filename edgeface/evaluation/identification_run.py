"""Measures identification on photographs of people, at several sizes of the gallery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np

from edgeface.base.errors import EvaluationError
from edgeface.evaluation.calibration import FACTOR
from edgeface.evaluation.identification import (
    GallerySplit,
    LargerGallery,
    Portraits,
    ProbeTally,
    draw_galleries,
    measure,
)
from edgeface.evaluation.operating_points import SIZES
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.stills import Progress, embed_pictures
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.thresholds import MIN_SCORE, Calibration
from edgeface.recognition.values import FaceDetector, FaceEmbedder

_DET_POINTS: Final = 60
LISTED: Final = 10
"""How many people a list names at most."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How people are made into a gallery and its visitors."""

    photographs: int = 3
    """Enrolled of each person."""
    rounds: int = 20
    """How often other people are enrolled."""
    seed: int = 1


def embed_people(
    root: PictureRoot,
    detector: FaceDetector,
    embedder: FaceEmbedder,
    *,
    only: str = "",
    wanted: Collection[str] | None = None,
) -> tuple[Portraits, dict[str, Any]]:
    """The faces of the people whose folders `root` has, and a JSON-able account of its pictures.

    Those with `only` in their names, of `wanted` people if given. Raises EvaluationError without
    any picture of a person.
    """
    folders = root.by_person(only)
    people = tuple(person for person in folders if wanted is None or person in wanted)
    names = [name for person in people for name in folders[person]]
    if not names:
        raise EvaluationError(
            f"{root.path}: has no such pictures (JPEG or PNG); expected one folder a person"
        )
    pictures = embed_pictures(root, names, detector, embedder)
    subjects = np.repeat(np.arange(len(people)), [len(folders[person]) for person in people])
    found = pictures.found
    account = {
        "pictures": len(names),
        "pictures_faceless": list(pictures.faceless),
        "pictures_unread": list(pictures.unread),
    }
    shown = tuple(name for name, one in zip(names, found, strict=True) if one)
    portraits = Portraits(
        pictures.embeddings[found], subjects[found].astype(np.int32), people, shown
    )
    return portraits, account


def drawn_sizes(
    portraits: Portraits, calibration: Calibration, rules: DecisionRules, sampling: Sampling
) -> list[dict[str, Any]]:
    """A JSON-able row for each of `SIZES`, with people drawn to be enrolled or strangers.

    At most half of the people are enrolled. Raises EvaluationError when that is less than two.
    """
    most = enrollable(portraits, sampling)
    if not most:
        fit = _enough(portraits, sampling)
        raise EvaluationError(
            f"{fit} of {len(portraits.people)} people have faces in more than"
            f" {sampling.photographs} photographs; needed are two such people, and two strangers"
        )

    def splits(size: int) -> Iterator[GallerySplit]:
        return draw_galleries(portraits, size, sampling.photographs, sampling.rounds, sampling.seed)

    progress = Progress("rounds", sampling.rounds * len(SIZES))
    return [
        _row(
            portraits,
            _counted(splits(min(size, most)), progress, number * sampling.rounds),
            (size, min(size, most)),
            calibration,
            rules,
        )
        for number, size in enumerate(SIZES)
    ]


def enrollable(portraits: Portraits, sampling: Sampling) -> int:
    """How many people can be enrolled at most, half of all; 0 when that is less than two."""
    most = min(_enough(portraits, sampling), len(portraits.people) // 2)
    return most if most >= 2 else 0


def _enough(portraits: Portraits, sampling: Sampling) -> int:
    return sum(len(rows) > sampling.photographs for rows in portraits.rows())


def gallery_sizes(
    gallery: Portraits, probes: Portraits, calibration: Calibration, rules: DecisionRules
) -> list[dict[str, Any]]:
    """A JSON-able row for a gallery with the photographs of its people and for each of `SIZES` that
    is larger; people of `probes` whom it lacks are strangers.

    Raises EvaluationError when fewer than two people of it have a face.
    """
    people = tuple(dict.fromkeys((*gallery.people, *probes.people)))
    place = {person: number for number, person in enumerate(people)}
    subjects = [place[side.people[own]] for side in (gallery, probes) for own in side.subjects]
    everybody = Portraits(
        np.concatenate([gallery.embeddings, probes.embeddings]),
        np.array(subjects, dtype=np.int32),
        people,
        gallery.pictures + probes.pictures,
    )
    first = len(gallery.embeddings)
    enrolled = {person: own[own < first] for person, own in enumerate(everybody.rows())}
    split = GallerySplit(
        {person: own for person, own in enrolled.items() if len(own)},
        {person: own[own >= first] for person, own in enumerate(everybody.rows())},
    )
    size = len(split.enrolled)
    if size < 2:
        raise EvaluationError("the gallery has faces of fewer than two people")
    sizes = (size, *(larger for larger in SIZES if larger > size))
    progress = Progress("sizes", len(sizes))
    return [
        _row(
            everybody, _counted(iter((split,)), progress, done), (larger, size), calibration, rules
        )
        for done, larger in enumerate(sizes)
    ]


def _counted(
    splits: Iterator[GallerySplit], progress: Progress, done: int
) -> Iterator[GallerySplit]:
    for number, split in enumerate(splits, 1):
        yield split
        progress.show(done + number)


def _row(
    portraits: Portraits,
    splits: Iterator[GallerySplit],
    size: tuple[int, int],
    calibration: Calibration,
    rules: DecisionRules,
) -> dict[str, Any]:
    """Identified with `size[1]` people, at the threshold of `size[0]`."""
    people, enrolled = size
    times = people / enrolled
    values = {entry.name: getattr(calibration, entry.name) for entry in fields(calibration)}
    larger = LargerGallery(**values, times=times)
    found = measure(portraits, splits, larger, rules)
    threshold = larger.identification_threshold(rules.target_fpir, rules.max_looks, found.templates)
    per_look = rules.target_fpir / rules.max_looks
    return {
        "people": people,
        "enrolled": enrolled,
        "scaled": people != enrolled,
        "templates": round(found.templates * times),
        "threshold": threshold.value,
        "threshold_extrapolated": threshold.extrapolated,
        "still": _rates(found.stills, per_look, times),
        "track": _rates(found.tracks, rules.target_fpir, times),
        "missed_most": _missed(found.stills, found.tracks, portraits.people),
        "strangers_named": _taken(found.stills.taken + found.tracks.taken, portraits.people),
        "hardest": _hardest(found.stills, portraits),
    }


def _hardest(stills: ProbeTally, portraits: Portraits) -> dict[str, list[dict[str, Any]]]:
    """The pictures of own people that are the least like them, of strangers the most like one."""
    if not portraits.pictures:
        return {"own": [], "strangers": []}
    own, strangers = (
        sorted((*found, row) for row, found in kind.items()) for kind in stills.hardest
    )
    return {
        kind: [
            {
                "picture": portraits.pictures[row],
                "person": portraits.people[portraits.subjects[row]],
                "nearest": portraits.people[nearest],
                "score": score,
            }
            for score, nearest, row in rows[:LISTED]
        ]
        for kind, rows in (("own", own), ("strangers", strangers[::-1]))
    }


def _rates(tally: ProbeTally, asked: float, times: float) -> dict[str, Any]:
    """`fpir` and its interval are for a gallery `times` as large as the one measured with: so many
    more people to be taken for. It is `kept` up to `FACTOR` times what was asked for, and `proven`
    where the interval ends there."""
    named_95, fpir_95 = tally.intervals()
    measured = tally.fpir()
    fpir = None if measured is None else _enlarged(measured, times)
    return {
        "probes": int(tally.shown.sum()),
        "named": tally.share(tally.named),
        "named_interval_95": named_95,
        "misnamed": tally.share(tally.misnamed),
        "rank_1": tally.share(tally.first),
        "stranger_probes": int(np.sum(tally.strangers)),
        "false_names": tally.taken.total(),
        "fpir_asked": asked,
        "fpir": fpir,
        "fpir_interval_95": fpir_95 and tuple(_enlarged(end, times) for end in fpir_95),
        "kept": fpir is not None and fpir <= asked * FACTOR,
        "proven": fpir_95 is not None and _enlarged(fpir_95[1], times) <= asked * FACTOR,
        "within_factor_two": fpir is not None and asked / FACTOR <= fpir <= asked * FACTOR,
        "det": _curve(tally, times),
    }


def _curve(tally: ProbeTally, times: float) -> list[dict[str, float]]:
    """What other thresholds would give, ascending: FNIR (not nearest, or below) and FPIR, for the
    nearest person alone, without what else the daemon asks of a name."""
    mated, others = np.sort(tally.mated), np.sort(tally.non_mated)
    if not len(mated) or not len(others):
        return []
    scores = np.unique(np.concatenate([others, mated[mated > MIN_SCORE]]))
    shares = np.linspace(0, 1, _DET_POINTS // 2)
    thresholds = np.unique(
        [*np.linspace(scores[0], scores[-1], _DET_POINTS // 2), *np.quantile(others, shares**0.1)]
    )
    missed = np.searchsorted(mated, thresholds, side="left") / len(mated)
    named = 1 - np.searchsorted(others, thresholds, side="left") / len(others)
    return [
        {"threshold": float(t), "fnir": float(m), "fpir": _enlarged(float(n), times)}
        for t, m, n in zip(thresholds, missed, named, strict=True)
    ]


def _enlarged(rate: float, times: float) -> float:
    return float(-np.expm1(np.log1p(-min(rate, 1 - 1e-12)) * times))


def _missed(stills: ProbeTally, tracks: ProbeTally, people: Sequence[str]) -> list[dict[str, Any]]:
    """Enrolled people whose own name was given least often, by still and then by track."""
    by_still, by_track = (
        (tally.shown - tally.named) / np.maximum(tally.shown, 1) for tally in (stills, tracks)
    )
    order = np.lexsort((-by_track, -by_still))
    return [
        {
            "person": people[person],
            "stills": int(stills.shown[person]),
            "stills_missed": float(by_still[person]),
            "tracks": int(tracks.shown[person]),
            "tracks_missed": float(by_track[person]),
        }
        for person in order[:LISTED].tolist()
        if by_still[person] > 0 or by_track[person] > 0
    ]


def _taken(taken: Counter[tuple[int, int]], people: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {"person": people[stranger], "as": people[person], "times": times}
        for (stranger, person), times in taken.most_common(LISTED)
    ]
