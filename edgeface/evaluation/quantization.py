"""What the stored form of an embedding, 128 bytes, costs against float32: on pairs of pictures.

At a door a template of bytes is compared with a float32 embedding of the camera; two rows of
`edgeface embed --int8` are bytes both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from edgeface.base.errors import EvaluationError
from edgeface.evaluation.operating_points import OperatingPoint
from edgeface.evaluation.protocol import Protocol
from edgeface.evaluation.rates import NOT_FOUND, Scores, equal_error, fold_accuracy
from edgeface.evaluation.stills import EmbeddedPictures
from edgeface.evaluation.verification_report import pair_scores
from edgeface.recognition.templates import decode_codes, encode_rows

FORMS: Final = ("float32", "bytes and float32", "bytes")


def measure_quantization(
    protocol: Protocol, pictures: EmbeddedPictures, points: Sequence[OperatingPoint]
) -> dict[str, Any]:
    """JSON-able: accuracy and EER of each of `FORMS`, and for those with bytes how far the scores
    of the pairs with two faces move and how many verdicts change at each of `points`.

    Raises EvaluationError if the protocol lacks pairs of one kind, or no pair has two faces.
    """
    same = protocol.same
    if same.all() or not same.any():
        raise EvaluationError("a protocol needs pairs of the same and of different people")
    bytes_alone = replace(pictures, embeddings=_as_stored(pictures))
    scores = dict(
        zip(
            FORMS,
            (
                pair_scores(protocol, pictures),
                pair_scores(protocol, bytes_alone, pictures),
                pair_scores(protocol, bytes_alone),
            ),
            strict=True,
        )
    )
    compared = scores["float32"] > NOT_FOUND
    if not compared.any():
        raise EvaluationError("no pair has a face in both pictures")
    return {
        "pairs": len(protocol.pairs),
        "compared": int(compared.sum()),
        "forms": [
            _form(name, of, scores["float32"], compared, protocol, points)
            for name, of in scores.items()
        ],
        "pictures": len(protocol.pictures),
        "pictures_unread": list(pictures.unread),
        "pictures_faceless": list(pictures.faceless),
    }


def _as_stored(pictures: EmbeddedPictures) -> Scores:
    rows = pictures.embeddings.copy()
    rows[pictures.found] = decode_codes(encode_rows(rows[pictures.found]))
    return rows


def _form(
    name: str,
    scores: Scores,
    exact: Scores,
    compared: np.ndarray[Any, np.dtype[np.bool_]],
    protocol: Protocol,
    points: Sequence[OperatingPoint],
) -> dict[str, Any]:
    same = protocol.same
    accuracy = fold_accuracy(scores, same, protocol.folds)
    moved = np.abs(scores[compared].astype(np.float64) - exact[compared])
    bars = [np.float32(point.threshold) for point in points]
    return {
        "form": name,
        "accuracy": None if accuracy is None else accuracy.mean,
        "accuracy_std": None if accuracy is None else accuracy.deviation,
        "eer": equal_error(scores[same], scores[~same]).rate,
        "difference_mean": float(moved.mean()),
        "difference_max": float(moved.max()),
        "operating_points": [
            point.mapping()
            | {
                "tar": float(np.mean(scores[same] >= bar)),
                "verdicts_changed": int(((scores >= bar) != (exact >= bar)).sum()),
            }
            for point, bar in zip(points, bars, strict=True)
        ],
    }
