"""The judge of one track: collects its good crops and decides, a bounded number of times."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.decision import Decision, DecisionRules, Evaluation, evaluate
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.matching import match
from edgeface.recognition.quality import Quality
from edgeface.recognition.thresholds import Calibration
from edgeface.recognition.values import Embedding

LOOK_GROWTH: Final = 2.0
"""Another look is worth taking when the kept crops weigh so many times what they did."""


@dataclass(frozen=True, slots=True, eq=False)
class _Crop:
    number: int
    embedding: Embedding
    quality: Quality
    time_s: float


class Judge:
    """Decides about one track. Not thread-safe; times are seconds of one clock, the frames'.

    When a look is taken depends on the number, the quality and the time of the crops alone, never
    on their scores, and there are at most `max_looks` of them: so the false positives per track
    stay within the target however alike or different the frames of a stranger are.

    1. The first look is taken at `min_agreeing` good crops.
    2. The next ones when at least `min_agreeing` of the kept crops are new and together they weigh
       `LOOK_GROWTH` times what they did at the look before, or `unknown_after_s` after it.
    3. The last one is held back until the track is old enough to be called unknown, so that a name
       is still possible afterwards. At the track's end it is taken if there is anything new.

    Without a name the track is called by its last look, unknown or ambiguous, once:
    `unknown_after_s` after its first good crop, or at its end.
    """

    def __init__(self, rules: DecisionRules, calibration: Calibration, started_s: float) -> None:
        self._rules = rules
        self._calibration = calibration
        self._started_s = started_s
        self._kept: list[_Crop] = []
        self._reference: NDArray[np.float32] | None = None
        self._first_good_s: float | None = None
        self._good = 0
        self._refused: Counter[str] = Counter()
        self._best_refused: Quality | None = None
        self._looks = 0
        self._look_weight = 0.0
        self._look_s = 0.0
        self._look_number = 0
        self._evaluation: Evaluation | None = None
        self._said_unnamed = False
        self._recognized = False
        self._closed = False

    @property
    def recognized(self) -> bool:
        """A name was given; nothing more is said about this track."""
        return self._recognized

    @property
    def good_frames(self) -> int:
        """Crops taken, whether or not they are still kept."""
        return self._good

    @property
    def kept_s(self) -> tuple[float, ...]:
        """When the crops that are kept were captured."""
        return tuple(crop.time_s for crop in self._kept)

    @property
    def looks(self) -> int:
        """Looks taken."""
        return self._looks

    def add(self, embedding: Embedding, quality: Quality, time_s: float) -> bool:
        """Take a good crop's embedding, float32 `(128,)` of unit length.

        False when its cosine to the track's reference is below `same_track_min`: this is another
        person, nothing was taken, and the track has to be split. The reference is the direction of
        the weighted mean of the kept crops.
        """
        if self._reference is not None:
            cosine = float(self._reference @ embedding)
            if not cosine >= self._rules.same_track_min:
                return False
        self._good += 1
        if self._first_good_s is None:
            self._first_good_s = time_s
        self._keep(_Crop(self._good, embedding, quality, time_s))
        return True

    def refuse(self, gate: str, quality: Quality | None = None) -> None:
        """Count a crop that the gate of this name refused; nothing else of it is used."""
        self._refused[gate] += 1
        best = self._best_refused
        if quality is not None and (best is None or quality.weight > best.weight):
            self._best_refused = quality

    def look(
        self, index: GalleryIndex, allowed: NDArray[np.bool_], now_s: float
    ) -> Decision | None:
        """Decide if it is time to; call it once a frame. None when there is nothing to say.

        `allowed` is the bool `(p,)` mask of the people who may be recognised now.
        """
        if self._recognized or self._closed:
            return None
        if self._due(now_s):
            evaluation = self._take_look(index, allowed, now_s)
            if evaluation.outcome == "recognized":
                return self._decision(evaluation, evaluation.person_id)
        if self._evaluation is not None and self._old_enough(now_s) and not self._said_unnamed:
            return self._unnamed(self._evaluation)
        return None

    def close(
        self, index: GalleryIndex, allowed: NDArray[np.bool_], now_s: float
    ) -> Decision | None:
        """The track has ended: its last word, or None when everything was said."""
        if self._recognized or self._closed:
            return None
        self._closed = True
        if self._fresh() and self._may_look():
            evaluation = self._take_look(index, allowed, now_s)
            if evaluation.outcome == "recognized":
                return self._decision(evaluation, evaluation.person_id)
        if self._said_unnamed:
            return None
        if self._evaluation is not None:
            return self._unnamed(self._evaluation)
        if self._good or not self._refused:
            return self._without_look("inconclusive")
        return self._without_look("rejected_quality")

    def _keep(self, crop: _Crop) -> None:
        """Keep it if it is among the best; of two equal ones the earlier stays."""
        if len(self._kept) >= self._rules.best_frames:
            worst = min(reversed(self._kept), key=lambda kept: kept.quality.weight)
            if crop.quality.weight <= worst.quality.weight:
                return
            self._kept.remove(worst)
        self._kept.append(crop)
        mean = self._weights() @ self._embeddings()
        length = float(np.linalg.norm(mean))
        if length > 0:
            self._reference = np.asarray(mean / length, dtype=np.float32)

    def _embeddings(self) -> NDArray[np.float32]:
        return np.stack([crop.embedding for crop in self._kept])

    def _weights(self) -> NDArray[np.float32]:
        weights = np.array([crop.quality.weight for crop in self._kept], dtype=np.float32)
        return weights if weights.any() else np.ones_like(weights)

    def _old_enough(self, now_s: float) -> bool:
        first_s = self._first_good_s
        return first_s is not None and now_s - first_s >= self._rules.unknown_after_s

    def _may_look(self) -> bool:
        return len(self._kept) >= self._rules.min_agreeing and self._looks < self._rules.max_looks

    def _fresh(self) -> int:
        """How many of the kept crops no look has seen."""
        return sum(crop.number > self._look_number for crop in self._kept)

    def _due(self, now_s: float) -> bool:
        if self._fresh() < self._rules.min_agreeing or not self._may_look():
            return False
        if self._looks == 0:
            return True
        if self._looks == self._rules.max_looks - 1 and not self._old_enough(now_s):
            return False
        grown = float(self._weights().sum()) >= LOOK_GROWTH * self._look_weight
        return grown or now_s - self._look_s >= self._rules.unknown_after_s

    def _take_look(
        self, index: GalleryIndex, allowed: NDArray[np.bool_], now_s: float
    ) -> Evaluation:
        weights = self._weights()
        ranking = match(self._embeddings(), weights, index, allowed)
        evaluation = evaluate(ranking, index, self._calibration, self._rules)
        self._evaluation = evaluation
        if ranking.templates == 0:
            # Nobody to be mistaken for: no look is spent, and a new index gets a fresh one.
            return evaluation
        self._looks += 1
        self._look_weight = float(weights.sum())
        self._look_s = now_s
        self._look_number = self._good
        self._recognized = evaluation.outcome == "recognized"
        return evaluation

    def _unnamed(self, evaluation: Evaluation) -> Decision:
        self._said_unnamed = True
        return self._decision(evaluation, None)

    def _decision(self, evaluation: Evaluation, person_id: str | None) -> Decision:
        needed = evaluation.threshold
        resting_on = self.kept_s
        if person_id is not None:
            named_by = zip(resting_on, evaluation.named_by.tolist(), strict=True)
            resting_on = tuple(time_s for time_s, names in named_by if names)
        return Decision(
            outcome=evaluation.outcome,
            person_id=person_id,
            display_name=None if person_id is None else evaluation.display_name,
            score=evaluation.score,
            threshold=None if needed is None else needed.value,
            extrapolated=False if needed is None else needed.extrapolated,
            margin=evaluation.margin,
            frames=evaluation.frames,
            agreeing=evaluation.agreeing,
            quality=max(self._kept, key=lambda crop: crop.quality.weight).quality,
            evidence_s=max(resting_on),
            why=self._why() | evaluation.why,
        )

    def _without_look(self, outcome: Literal["inconclusive", "rejected_quality"]) -> Decision:
        kept = [crop.quality for crop in self._kept]
        best = max(kept, key=lambda quality: quality.weight, default=self._best_refused)
        why = self._why() | {"frames": len(kept), "min_agreeing": self._rules.min_agreeing}
        if outcome == "rejected_quality":
            why["gate"] = self._refused.most_common(1)[0][0]
        newest_s = max(self.kept_s, default=None)
        return Decision(
            outcome, None, None, None, None, False, None, len(kept), 0, best, newest_s, why
        )

    def _why(self) -> dict[str, object]:
        return {
            "good_frames": self._good,
            "refused": dict(self._refused),
            "looks": self._looks,
            "max_looks": self._rules.max_looks,
            "kept": [
                {
                    "at_s": round(crop.time_s - self._started_s, 3),
                    "weight": round(crop.quality.weight, 3),
                }
                for crop in self._kept
            ],
        }
