"""The judge of one track: collects its good crops and decides, a bounded number of times."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.assessment import Assessment
from edgeface.recognition.crops import BestCrops, Crop
from edgeface.recognition.decision import Decision, DecisionRules, Evaluation, Outcome, evaluate
from edgeface.recognition.frame import Moment
from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.liveness import NOT_ASSESSED, Liveness, Source
from edgeface.recognition.matching import match
from edgeface.recognition.pad_backoff import PadBackoff
from edgeface.recognition.quality import Quality
from edgeface.recognition.thresholds import Calibration
from edgeface.recognition.values import Face, Image

LOOK_GROWTH: Final = 2.0
"""Another look is worth taking when the kept crops weigh so many times what they did."""
RECHECK_S: Final = 0.5
"""A track that has all it needs is embedded this often, to notice that somebody else has stepped
into it."""


class Judge:
    """Decides about one track. Not thread-safe; times are seconds of one clock, the frames'.

    When a look is taken depends on the number, the quality and the time of the crops alone, never
    on their scores, and there are at most `max_looks` of them: so the false positives per track
    stay within the target however alike or different the frames of a stranger are.

    1. The first look is taken at `min_agreeing` good crops; where a name may be refused for want of
       liveness, once that evidence has had its time.
    2. The next ones when at least `min_agreeing` of the kept crops are new and together they weigh
       `LOOK_GROWTH` times what they did at the look before, or `unknown_after_s` after it.
    3. The last one is held back until the track is old enough to be called unknown, so that a name
       is still possible afterwards. At the track's end it is taken if there is anything new.

    Without a name the track is called by its last look, unknown or ambiguous, once:
    `unknown_after_s` after its first good crop, or at its end. Unknown takes a look at
    `min_agreeing` clear crops (`Quality.clear`); without one the track ends inconclusive.
    """

    def __init__(
        self,
        track_id: int,
        rules: DecisionRules,
        calibration: Calibration,
        start: Moment,
        assessment: Assessment | None = None,
        backoff: PadBackoff | None = None,
    ) -> None:
        """`assessment`: the evidence of liveness, where any is looked for. `backoff`: what came of
        it before, on any track."""
        self.track_id: Final = track_id
        self.last_seen = start
        """The newest frame with this face."""
        self.looks = 0
        """Looks taken."""
        self.recognized = False
        """A name was given; nothing more is said about this track."""
        self.withheld = False
        """A name was withheld, as it may be an attack; nothing more is said either."""
        self._assessment = assessment
        self._backoff = backoff or PadBackoff(0)
        self._refused_by: tuple[Source, ...] = ()
        self._rules = rules
        self._calibration = calibration
        self._started = start
        self._crops = BestCrops(rules.best_frames, rules.same_track_min)
        self._embedded_s: float | None = None
        self._first_good_s: float | None = None
        self._refused: Counter[str] = Counter()
        self._best_refused: Quality | None = None
        self._look_weight = 0.0
        self._look_s = 0.0
        self._looked_at: tuple[Crop, ...] = ()
        self._clear = 0
        self._evaluation: Evaluation | None = None
        self._said_unnamed = False
        self._closed = False

    @property
    def settled(self) -> bool:
        """Nothing more is said about this track."""
        return self.recognized or self.withheld or self._closed

    @property
    def accusing(self) -> tuple[Source, ...]:
        """The evidence that the track is an attack: what a name was withheld for, or what there is
        by now."""
        return self._refused_by or self._liveness().refusing

    def observe(
        self, image_bgr: Image, face: Face, time_s: float, accusing: Sequence[Source] = ()
    ) -> None:
        """Take the face in a frame, BGR uint8 `(h, w, 3)`: how it moves, and what else calls it an
        attack. Also after a name was said, as claims go by it. Only of good crops, as whose face it
        is, is looked at every `RECHECK_S` in these alone."""
        if self._assessment is not None:
            self._assessment.observe(image_bgr, face, time_s, accusing)

    def wants(self, quality: Quality, now_s: float) -> bool:
        """Whether the embedding of a good crop can still change anything."""
        if self._embedded_s is None or now_s - self._embedded_s >= RECHECK_S:
            return True
        if self.settled or self.looks >= self._rules.max_looks:
            return False
        return self._crops.improved_by(quality)

    def add(self, crop: Crop) -> bool:
        """Take a good crop.

        False when it shows another person than those before: nothing was taken, and the track has
        to be split.
        """
        self._embedded_s = crop.at.time_s
        if not self._crops.shows(crop.embedding):
            return False
        if self._first_good_s is None:
            self._first_good_s = crop.at.time_s
        self._crops.add(crop)
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

        `allowed` is the bool `(p,)` mask of the people who may be recognized now.
        """
        if self.settled:
            return None
        if self._due(now_s) and (name := self._take_look(index, allowed, now_s)) is not None:
            return name
        evaluation = self._evaluation
        if evaluation is None or self._said_unnamed or not self._old_enough(now_s):
            return None
        return None if self._is_vague(evaluation) else self._unnamed(evaluation)

    def close(
        self, index: GalleryIndex, allowed: NDArray[np.bool_], now_s: float
    ) -> Decision | None:
        """The track has ended: its last word, or None when everything was said."""
        if self.settled:
            return None
        self._closed = True
        last_look = self._fresh() > 0 and self._may_look()
        if last_look and (name := self._take_look(index, allowed, now_s)) is not None:
            return name
        if self._said_unnamed:
            return None
        if self._evaluation is not None:
            return self._unnamed(self._evaluation)
        return self._without_look()

    def _is_vague(self, evaluation: Evaluation) -> bool:
        """Whether the look saw too little to say that it is a stranger."""
        return evaluation.outcome == "unknown" and self._clear < self._rules.min_agreeing

    def _old_enough(self, now_s: float) -> bool:
        first_s = self._first_good_s
        return first_s is not None and now_s - first_s >= self._rules.unknown_after_s

    def _may_look(self) -> bool:
        return (
            len(self._crops.kept) >= self._rules.min_agreeing and self.looks < self._rules.max_looks
        )

    def _fresh(self) -> int:
        """How many of the kept crops no look has seen."""
        return sum(crop not in self._looked_at for crop in self._crops.kept)

    def _due(self, now_s: float) -> bool:
        if self._fresh() < self._rules.min_agreeing or not self._may_look():
            return False
        if self.looks == 0:
            return not self._awaits_evidence(now_s)
        if self.looks == self._rules.max_looks - 1 and not self._old_enough(now_s):
            return False
        grown = float(self._crops.weights().sum()) >= LOOK_GROWTH * self._look_weight
        return grown or now_s - self._look_s >= self._rules.unknown_after_s

    def _awaits_evidence(self, now_s: float) -> bool:
        first_s, assessment = self._first_good_s, self._assessment
        if first_s is None or assessment is None:
            return False
        return assessment.may_wait(now_s - first_s)

    def _liveness(self) -> Liveness:
        if self._assessment is None:
            return NOT_ASSESSED
        return self._assessment.evidence(self._crops.kept, self._rules.min_agreeing)

    def _take_look(
        self, index: GalleryIndex, allowed: NDArray[np.bool_], now_s: float
    ) -> Decision | None:
        """Put what is kept to the test; the decision if it is a name, given or withheld."""
        weights = self._crops.weights()
        ranking = match(self._crops.embeddings(), weights, index, allowed)
        evaluation = evaluate(ranking, index, self._calibration, self._rules)
        self._evaluation = evaluation
        self._clear = self._crops.clear
        if ranking.templates == 0:
            # Nobody to be mistaken for: no look is spent, and a new index gets a fresh one.
            return None
        self.looks += 1
        self._look_weight = float(weights.sum())
        self._look_s = now_s
        self._looked_at = tuple(self._crops.kept)
        if evaluation.outcome != "recognized":
            return None
        assert evaluation.person_id is not None
        liveness = self._backoff.judge(self._liveness(), evaluation.person_id, now_s)
        self.withheld = liveness.refusal is not None
        self.recognized = not self.withheld
        self._refused_by = liveness.refusing if self.withheld else ()
        return self._decision(evaluation, liveness)

    def _unnamed(self, evaluation: Evaluation) -> Decision:
        self._said_unnamed = True
        return self._decision(evaluation, self._liveness())

    def _decision(self, evaluation: Evaluation, liveness: Liveness) -> Decision:
        needed = evaluation.threshold
        outcome: Outcome = "inconclusive" if self._is_vague(evaluation) else evaluation.outcome
        named_by = evaluation.named_by.tolist() if outcome == "recognized" else None
        why = self._why() | evaluation.why
        if self.withheld:
            outcome, why["pad"] = "rejected_pad", liveness.trace
        return Decision(
            track_id=self.track_id,
            outcome=outcome,
            person_id=evaluation.person_id if outcome == "recognized" else None,
            display_name=evaluation.display_name if outcome == "recognized" else None,
            score=evaluation.score,
            threshold=None if needed is None else needed.value,
            extrapolated=False if needed is None else needed.extrapolated,
            margin=evaluation.margin,
            frames=evaluation.frames,
            agreeing=evaluation.agreeing,
            quality=self._crops.best,
            basis=self._crops.newest(named_by) or self.last_seen,
            duration_s=self._duration_s,
            liveness=liveness,
            why=why,
        )

    def _without_look(self) -> Decision:
        kept = len(self._crops.kept)
        why = self._why() | {"frames": kept, "min_agreeing": self._rules.min_agreeing}
        rejected = bool(self._refused) and not self._crops.taken
        if rejected:
            why["gate"] = self._refused.most_common(1)[0][0]
        return Decision(
            track_id=self.track_id,
            outcome="rejected_quality" if rejected else "inconclusive",
            frames=kept,
            quality=self._crops.best or self._best_refused,
            basis=self._crops.newest() or self.last_seen,
            duration_s=self._duration_s,
            liveness=self._liveness(),
            why=why,
        )

    @property
    def _duration_s(self) -> float:
        return max(0.0, self.last_seen.time_s - self._started.time_s)

    def _why(self) -> dict[str, object]:
        return {
            "good_frames": self._crops.taken,
            "refused": dict(self._refused),
            "clear_frames": self._crops.clear,
            "looks": self.looks,
            "max_looks": self._rules.max_looks,
            "kept": [
                {
                    "at_s": round(crop.at.time_s - self._started.time_s, 3),
                    "weight": round(crop.quality.weight, 3),
                }
                for crop in self._crops.kept
            ],
        }
