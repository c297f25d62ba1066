"""Calibrates an embedder on one half of a protocol's people and checks it on the other half."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from edgeface.base.errors import EvaluationError
from edgeface.evaluation.calibration import check_calibration, fit_calibration
from edgeface.evaluation.identification import Portraits
from edgeface.evaluation.identification_run import Sampling, drawn_sizes, enrollable
from edgeface.evaluation.impostors import PairScores, cross_person_scores
from edgeface.evaluation.pictures import PictureRoot
from edgeface.evaluation.protocol import Protocol
from edgeface.evaluation.stills import EmbeddedPictures, embed_pictures
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.quality import QualityLimits, refusal
from edgeface.recognition.thresholds import Calibration
from edgeface.recognition.values import FaceDetector, FaceEmbedder


def calibrate(
    root: PictureRoot,
    protocols: Sequence[Protocol],
    detector: FaceDetector,
    embedder: FaceEmbedder,
    *,
    fit_folds: Iterable[int],
    check_folds: Iterable[int],
) -> dict[str, Any]:
    """Fit on every cross-person pair of the pictures of `fit_folds`, check on `check_folds`.

    JSON-able. `calibration` and `identification` are what goes into `model.yaml`; `checks` says
    what the calibration delivers on people it has not seen, `identification` how many of those are
    named, by pictures that the quality gate lets pass; None where they are too few. Several
    protocols over the same pictures are taken together. Raises EvaluationError if the two parts
    share a person, or a protocol does not say who is on its pictures.
    """
    fit_people = _people(protocols, fit_folds)
    check_people = _people(protocols, check_folds)
    shared = set(fit_people.values()) & set(check_people.values())
    if shared:
        raise EvaluationError(f"{len(shared)} people are in both parts: {min(shared)}, ...")
    everything = fit_people | check_people
    names = list(everything)
    pictures = embed_pictures(root, names, detector, embedder)
    fit = fit_calibration(_impostors(names, fit_people, pictures))
    other = _impostors(names, check_people, pictures)
    return {
        "calibration": fit.calibration.to_mapping(),
        "identification": _named(names, check_people, pictures, fit.calibration),
        "fitted_tail": asdict(fit.tail),
        "impostors": fit.impostors,
        "people": fit.people,
        "check_impostors": len(other),
        "checks": [
            asdict(check)
            | {"within_factor_two": check.within_factor_two, "consistent": check.consistent}
            for check in check_calibration(fit.calibration, other)
        ],
        "pictures": len(names),
        "faces_not_found": int((~pictures.found).sum()),
        "pictures_unread": list(pictures.unread),
        "pictures_faceless": list(pictures.faceless),
    }


def _people(protocols: Sequence[Protocol], folds: Iterable[int]) -> dict[str, str]:
    """The person on each picture of these folds."""
    wanted = tuple(folds)
    people: dict[str, str] = {}
    for protocol in protocols:
        if not protocol.identities_known:
            raise EvaluationError("a calibration needs to know the person on every picture")
        part = protocol.part(wanted)
        owners = (part.people[number] for number in part.subject_of)
        people |= dict(zip(part.pictures, owners, strict=True))
    return people


def _named(
    names: Sequence[str],
    people: dict[str, str],
    pictures: EmbeddedPictures,
    calibration: Calibration,
) -> dict[str, Any] | None:
    limits = QualityLimits()
    usable = [
        quality is not None and refusal(quality, limits) is None for quality in pictures.quality
    ]
    rows = [row for row, name in enumerate(names) if name in people and usable[row]]
    everybody = tuple(dict.fromkeys(people[names[row]] for row in rows))
    place = {person: number for number, person in enumerate(everybody)}
    subjects = np.array([place[people[names[row]]] for row in rows], dtype=np.int32)
    portraits = Portraits(pictures.embeddings[rows], subjects, everybody)
    sampling = Sampling()
    if not enrollable(portraits, sampling):
        return None
    return {
        "people": len(everybody),
        "photographs": sampling.photographs,
        "sizes": [
            {
                "people": row["people"],
                "threshold": row["threshold"],
                "still": row["still"]["named"],
                "track": row["track"]["named"],
            }
            for row in drawn_sizes(portraits, calibration, DecisionRules(), sampling)
        ],
    }


def _impostors(
    names: Sequence[str], people: dict[str, str], pictures: EmbeddedPictures
) -> PairScores:
    rows = [row for row, name in enumerate(names) if name in people]
    numbers = {person: number for number, person in enumerate(dict.fromkeys(people.values()))}
    subjects = np.array([numbers[people[names[row]]] for row in rows], dtype=np.int32)
    found = pictures.found[rows]
    return cross_person_scores(pictures.embeddings[rows][found], subjects[found])
