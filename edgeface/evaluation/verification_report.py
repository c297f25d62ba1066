"""A verification protocol's report: from embedded pictures to every number that is printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgeface.base.errors import EvaluationError
from edgeface.evaluation.impostors import (
    PairScores,
    cross_person_scores,
    share_interval,
    true_accepts,
)
from edgeface.evaluation.operating_points import OperatingPoint
from edgeface.evaluation.protocol import Protocol
from edgeface.evaluation.rates import (
    NOT_FOUND,
    EqualError,
    Scores,
    TrueAccept,
    equal_error,
    fold_accuracy,
)
from edgeface.evaluation.stills import EmbeddedPictures

FARS = (1e-1, 1e-2, 1e-3, 1e-4)


@dataclass(frozen=True, slots=True, eq=False)
class VerificationReport:
    """What was measured."""

    eer: EqualError
    tar: list[TrueAccept]
    pairs: Scores
    """Of every pair of the protocol, float32 `(pairs,)`."""
    genuine: PairScores
    impostor: PairScores
    """The impostor pairs that EER and TAR were measured on."""
    mapping: dict[str, Any]
    """All of it, JSON-able. `tar_at_far` maps each FAR to the rate, null where it is not
    measurable; `accuracy` is null with a single fold, and `pairs_not_found` counts the pairs with
    at least one picture in which no face was found."""


def pair_scores(
    protocol: Protocol, pictures: EmbeddedPictures, others: EmbeddedPictures | None = None
) -> Scores:
    """The cosine of each pair, float32 `(pairs,)`, `NOT_FOUND` where a face is missing; with
    `others`, of the same pictures, each pair's second one is from there."""
    a, b = protocol.a, protocol.b
    second = pictures if others is None else others
    cosines = np.einsum("ij,ij->i", pictures.embeddings[a], second.embeddings[b])
    both = pictures.found[a] & second.found[b]
    return np.where(both, np.clip(cosines, NOT_FOUND, 1.0), NOT_FOUND).astype(np.float32)


def impostors_of(protocol: Protocol, pictures: EmbeddedPictures) -> PairScores:
    """Every cross-person pair with one picture of the protocol's `a` and one of its `b` side.

    Raises EvaluationError if the protocol does not say who is on each picture.
    """
    if not protocol.identities_known:
        raise EvaluationError(
            "all cross-person pairs need to know the person on every picture: in a CSV the first"
            " folder of its name"
        )
    sides = np.zeros((2, len(protocol.pictures)), dtype=np.bool_)
    sides[0, protocol.a] = True
    sides[1, protocol.b] = True
    return cross_person_scores(
        pictures.embeddings, protocol.subjects, pictures.found, (sides[0], sides[1])
    )


def report(
    protocol: Protocol,
    pictures: EmbeddedPictures,
    *,
    all_pairs: bool = False,
    points: Sequence[OperatingPoint] = (),
) -> VerificationReport:
    """Measure. With `all_pairs` EER and TAR use every cross-person pair as an impostor; `points`
    are measured besides.

    Raises EvaluationError if the protocol lacks pairs of one kind.
    """
    scores, same = pair_scores(protocol, pictures), protocol.same
    if same.all() or not same.any():
        raise EvaluationError("a protocol needs pairs of the same and of different people")
    subjects = protocol.subjects
    first, second = subjects[protocol.a], subjects[protocol.b]
    genuine = PairScores(scores[same], first[same], second[same])
    impostor = (
        impostors_of(protocol, pictures)
        if all_pairs
        else PairScores(scores[~same], first[~same], second[~same])
    )
    people = len(protocol.people)
    missing = ~pictures.found
    accuracy = fold_accuracy(scores, same, protocol.folds)
    eer = equal_error(genuine.scores, impostor.scores)
    tar = true_accepts(genuine, impostor, FARS, people)
    mapping = {
        "accuracy": None if accuracy is None else accuracy.mean,
        "accuracy_std": None if accuracy is None else accuracy.deviation,
        "accuracy_by_fold": None if accuracy is None else list(accuracy.by_fold),
        "eer": eer.rate,
        "eer_threshold": eer.threshold,
        "tar_at_far": {f"{point.far:g}": point.rate for point in tar},
        "tar_at_far_details": [_details(point) for point in tar],
        "threshold": eer.threshold if accuracy is None else accuracy.threshold,
        "pairs": len(protocol.pairs),
        "genuine_pairs": len(genuine),
        "impostor_pairs": len(impostor),
        "all_pairs": all_pairs,
        "people": people,
        "pictures": len(protocol.pictures),
        "faces_not_found": int(missing.sum()),
        "pictures_unread": list(pictures.unread),
        "pictures_faceless": list(pictures.faceless),
        "pairs_not_found": int((missing[protocol.a] | missing[protocol.b]).sum()),
        "operating_points": [at_point(point, genuine, impostor, people) for point in points],
        "stage_ms": pictures.stage_ms,
    }
    return VerificationReport(eer, tar, scores, genuine, impostor, mapping)


def at_point(
    point: OperatingPoint, genuine: PairScores, impostor: PairScores, people: int
) -> dict[str, Any]:
    """JSON-able: the shares of both kinds of pairs that reach a daemon's threshold."""
    passed = genuine.scores >= np.float32(point.threshold)
    accepted = int((impostor.scores >= np.float32(point.threshold)).sum())
    return point.mapping() | {
        "tar": float(passed.mean()),
        "tar_interval_95": share_interval(passed, genuine.a, people),
        "far": accepted / len(impostor),
        "impostors_accepted": accepted,
    }


def _details(point: TrueAccept) -> dict[str, Any]:
    return {
        "far": point.far,
        "tar": point.rate,
        "interval_95": point.interval_95,
        "threshold": point.threshold,
        "expected_errors": point.expected_errors,
        "measurable": point.rate is not None,
    }


def operating_curve(genuine: Scores, impostor: Scores) -> tuple[Scores, Scores]:
    """FAR and TAR at every threshold that a genuine score makes, both ascending, `(n,)`."""
    thresholds = np.unique(genuine[genuine > NOT_FOUND])[::-1]
    genuine, impostor = np.sort(genuine), np.sort(impostor)
    tar = 1.0 - np.searchsorted(genuine, thresholds, side="left") / len(genuine)
    far = 1.0 - np.searchsorted(impostor, thresholds, side="left") / len(impostor)
    return far.astype(np.float32), tar.astype(np.float32)
