"""1:1: is this the person whose card was presented?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.matching import match
from edgeface.recognition.thresholds import Calibration


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer to one claim."""

    outcome: Literal["match", "no_match", "inconclusive", "not_enrolled"]
    """Inconclusive: too few good frames, or no match and too few clear ones. Not enrolled: no
    template of this person may match now."""
    score: float | None
    """Fused cosine to the claimed person; None where nothing was compared."""
    threshold: float | None
    extrapolated: bool
    frames: int
    agreeing: int
    """Frames that reach the threshold for one template by themselves: they name the person."""
    named_by: tuple[bool, ...]
    """Which they are, in the order of the frames; empty where nothing was compared."""
    why: dict[str, Any]
    """The trace, ready for JSON."""


def verify(
    embeddings: NDArray[np.float32],
    weights: NDArray[np.float32],
    clear: int,
    person_id: str,
    index: GalleryIndex,
    allowed: NDArray[np.bool_],
    calibration: Calibration,
    verify_fmr: float,
    rules: DecisionRules,
) -> Verification:
    """Compare the good frames of one face, `(k, d)` and `(k,)`, with one person alone.

    The threshold is that of identification with N = the person's templates and the target
    `verify_fmr`, the share of wrong people that may pass per claim, shared out over `max_looks`:
    the caller may ask again with more frames so many times. As there, `min_agreeing` frames have to
    agree. "No" takes as many `clear` frames (`Quality.clear`); with fewer it is inconclusive. Who
    else is in the gallery does not matter. Raises ValueError as `match` does.
    """
    frames = len(embeddings)
    claimed = np.array([person == person_id for person in index.people], dtype=np.bool_) & allowed
    templates = index.templates_allowed(claimed)
    why: dict[str, Any] = {"person_id": person_id, "templates": templates, "frames": frames}
    if templates == 0:
        return Verification("not_enrolled", None, None, False, frames, 0, (), why)
    needed = calibration.identification_threshold(verify_fmr, rules.max_looks, templates)
    why |= {
        "threshold": round(needed.value, 4),
        "threshold_extrapolated": needed.extrapolated,
        "min_agreeing": rules.min_agreeing,
    }
    if frames < rules.min_agreeing:
        return Verification(
            "inconclusive", None, needed.value, needed.extrapolated, frames, 0, (), why
        )
    ranking = match(embeddings, weights, index, claimed)
    per_frame = calibration.identification_threshold(verify_fmr, rules.max_looks, 1)
    named_by = tuple(bool(score >= per_frame.value) for score in ranking.frame_scores)
    agreeing = sum(named_by)
    score = ranking.best_score
    assert score is not None
    gates = {"agreeing": agreeing >= rules.min_agreeing, "score": score >= needed.value}
    why |= {"score": round(score, 4), "agreeing": agreeing, "clear_frames": clear, "gates": gates}
    no: Literal["no_match", "inconclusive"] = (
        "no_match" if clear >= rules.min_agreeing else "inconclusive"
    )
    return Verification(
        "match" if all(gates.values()) else no,
        score,
        needed.value,
        needed.extrapolated,
        frames,
        agreeing,
        named_by,
        why,
    )
