"""What a track's evidence amounts to: the rules, the test of one look and its trace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.frame import Moment
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.liveness import NOT_ASSESSED, Liveness
from edgeface.recognition.matching import NOBODY, Ranking
from edgeface.recognition.quality import Quality
from edgeface.recognition.thresholds import Calibration, Threshold

Outcome: TypeAlias = Literal[
    "recognized", "ambiguous", "unknown", "inconclusive", "rejected_quality", "rejected_pad"
]


@dataclass(frozen=True, slots=True)
class DecisionRules:
    """When a track is a person. Raises ValueError when the numbers contradict one another."""

    max_looks: int = 3
    """How often a track's evidence is put to the test at most; each may go wrong once."""
    min_agreeing: int = 3
    """Frames that have to name the same person; fewer good ones than that decide nothing."""
    min_margin: float = 0.06
    """The least lead over the second-best person, as a difference of cosines."""
    target_fpir: float = 1e-3
    """The share of strangers' tracks that may be taken for somebody of the gallery."""
    unknown_after_s: float = 2.0
    """From the first good frame; then a track without a name is called unknown."""
    same_track_min: float = 0.3
    """A crop whose cosine to the track's reference is below it is another person's."""
    cool_down_s: float = 2.0
    """The same person in an overlapping or split track is not announced again so soon."""
    best_frames: int = 8
    """The best crops of a track that are kept and fused."""

    def __post_init__(self) -> None:
        faults = {
            "max_looks is below 1": self.max_looks < 1,
            "min_agreeing is below 1": self.min_agreeing < 1,
            "best_frames is below min_agreeing": self.best_frames < self.min_agreeing,
            "min_margin leaves [0, 1]": not 0 <= self.min_margin <= 1,
            "target_fpir leaves (0, 1)": not 0 < self.target_fpir < 1,
            "unknown_after_s is not positive": not self.unknown_after_s > 0,
            "same_track_min leaves [-1, 1]": not -1 <= self.same_track_min <= 1,
            "cool_down_s is negative": not self.cool_down_s >= 0,
        }
        for fault, found in faults.items():
            if found:
                raise ValueError(f"decision rules: {fault}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What was decided about a track, and why."""

    track_id: int
    outcome: Outcome
    person_id: str | None = None
    """None unless recognized."""
    display_name: str | None = None
    """None unless recognized and named."""
    score: float | None = None
    """Fused cosine of the best person; None where nobody could match."""
    threshold: float | None = None
    """What the score had to reach; None where nobody could match."""
    extrapolated: bool = False
    """The threshold lies beyond what the calibration's data support."""
    margin: float | None = None
    """Lead over the second-best person; the score itself when there is nobody else."""
    frames: int
    """Good frames that were fused."""
    agreeing: int = 0
    """How many of them name the best person."""
    quality: Quality | None
    """Of the best frame, good or refused; None where there was none."""
    basis: Moment
    """The newest frame that it rests on, from which its validity counts: of a name the newest that
    names the person, else the newest good one kept, else the newest with this face."""
    duration_s: float
    """From the first to the newest frame of the track."""
    liveness: Liveness = NOT_ASSESSED
    """The evidence that it is a live person."""
    why: dict[str, Any]
    """The trace, ready for JSON."""


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """The result of one look."""

    outcome: Literal["recognized", "ambiguous", "unknown"]
    person_id: str | None
    """The best person's, whatever the outcome; None where nobody could match."""
    display_name: str | None
    score: float | None
    threshold: Threshold | None
    margin: float | None
    frames: int
    named_by: NDArray[np.bool_]
    """Bool `(frames,)`: the frames that name the best person."""
    why: dict[str, Any]

    @property
    def agreeing(self) -> int:
        """How many frames name the best person."""
        return int(np.count_nonzero(self.named_by))


def evaluate(
    ranking: Ranking, index: GalleryIndex, calibration: Calibration, rules: DecisionRules
) -> Evaluation:
    """Put the fused evidence of a track to the test, once.

    Recognized: at least `min_agreeing` frames name the best person, the fused score reaches the
    threshold for as many templates as could match, and the lead is at least `min_margin`.
    Ambiguous: the score reaches it and the lead does not. Unknown: everything else. A frame names
    its top person when that cosine reaches the threshold for one template. `index` is the one the
    ranking was made from.
    """
    frames = len(ranking.frame_people)
    if ranking.best_score is None:
        trace = {"templates": 0, "frames": frames, "near": []}
        nobody = np.zeros(frames, dtype=np.bool_)
        return Evaluation("unknown", None, None, None, None, None, frames, nobody, trace)
    needed = calibration.identification_threshold(
        rules.target_fpir, rules.max_looks, ranking.templates
    )
    per_frame = calibration.identification_threshold(rules.target_fpir, rules.max_looks, 1)
    names = ranking.frame_scores >= per_frame.value
    named_by = names & (ranking.frame_people == ranking.best)
    agreeing = int(np.count_nonzero(named_by))
    alone = ranking.second_score is None
    margin = ranking.best_score - (ranking.second_score or 0.0)
    gates = {
        "agreeing": agreeing >= rules.min_agreeing,
        "score": ranking.best_score >= needed.value,
        "margin": alone or margin >= rules.min_margin,
    }
    outcome: Literal["recognized", "ambiguous", "unknown"] = "unknown"
    if all(gates.values()):
        outcome = "recognized"
    elif gates["score"] and not gates["margin"] and frames >= rules.min_agreeing:
        outcome = "ambiguous"
    trace = {
        "templates": ranking.templates,
        "score": _short(ranking.best_score),
        "threshold": _short(needed.value),
        "threshold_extrapolated": needed.extrapolated,
        "frame_threshold": _short(per_frame.value),
        "margin": _short(margin),
        "min_margin": rules.min_margin,
        "frames": frames,
        "agreeing": agreeing,
        "min_agreeing": rules.min_agreeing,
        "gates": gates,
    }
    return Evaluation(
        outcome,
        index.people[ranking.best],
        index.display_names[ranking.best],
        ranking.best_score,
        needed,
        margin,
        frames,
        named_by,
        trace | _compared(ranking, index.people, names),
    )


def _compared(
    ranking: Ranking, people: Sequence[str], names: NDArray[np.bool_]
) -> dict[str, list[dict[str, object]]]:
    """The part of the trace that says who was near; `names`: the frames that name their top
    person."""
    by_frame = zip(
        ranking.frame_people.tolist(), ranking.frame_scores.tolist(), names.tolist(), strict=True
    )
    return {
        "near": [
            {"person_id": people[person], "score": _short(score)}
            for person, score in ranking.people
        ],
        "frame_scores": [
            {"person_id": people[person], "score": _short(score), "names": named}
            for person, score, named in by_frame
            if person != NOBODY
        ],
    }


def _short(value: float) -> float:
    """Four decimals are more than a cosine of 8-bit codes holds."""
    return round(float(value), 4)
