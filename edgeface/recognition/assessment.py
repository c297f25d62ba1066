"""The evidence of liveness about one track, gathered while it is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgeface.base.errors import ModelError
from edgeface.recognition.crops import Crop
from edgeface.recognition.liveness import Liveness, Policy, Source, against, fuse, passive
from edgeface.recognition.planarity import Planarity
from edgeface.recognition.second_look import with_surroundings
from edgeface.recognition.values import Face, Image, LivenessScorer


@dataclass(frozen=True, slots=True)
class AssessmentRules:
    """What the evidence changes."""

    policy: Policy = "report"
    wait_s: float = 2.0
    """So long after the first good frame a name is held back for evidence that takes time, under
    any policy but `report`."""
    back_off_s: float = 30.0
    """Nobody passes for so long at most as somebody who was refused as an attack, see `PadBackoff`;
    0: at once."""

    def require(self, scorer: LivenessScorer | None) -> None:
        """Raises ValueError where the policy refuses and there is nothing to go by."""
        if self.policy != "report" and scorer is None:
            raise ValueError(f"{self.policy}: nobody can be refused without a scorer")


def score_faces(scorer: LivenessScorer, image_bgr: Image, faces: Sequence[Face]) -> list[float]:
    """The scorer's of each face of the image BGR uint8 `(h, w, 3)`, in its pixels. Raises what the
    scorer raises, and ModelError when it gives anything but a score in [0, 1] for each."""
    parts = [with_surroundings(image_bgr, face.box, scorer.surroundings) for face in faces]
    scores = [float(score) for score in np.ravel(scorer.score(parts))]
    if len(scores) != len(faces) or not all(0 <= score <= 1 for score in scores):
        given = ", ".join(f"{score:g}" for score in scores[:5]) or "nothing"
        raise ModelError(f"scores of {len(faces)} faces in [0, 1] are needed, not {given}")
    return scores


def try_scores(
    scorer: LivenessScorer, image_bgr: Image, faces: Sequence[Face]
) -> tuple[Sequence[float | None], str | None]:
    """As `score_faces`; where that fails None of each, and why: it ends no recognition."""
    try:
        return score_faces(scorer, image_bgr, faces), None
    except (ValueError, RuntimeError) as error:  # a ModelError is a ValueError
        return [None] * len(faces), str(error) or type(error).__name__


class Assessment:
    """Of one track: its crops' scores and its motion. Not thread-safe; times are seconds of the
    frames' clock."""

    def __init__(self, rules: AssessmentRules, threshold: float) -> None:
        """`threshold` is that of the scorer of single crops."""
        self._rules = rules
        self._threshold = threshold
        self._motion = Planarity()
        self._moments = 0
        self._accusing: Sequence[Source] = ()

    def observe(
        self, image_bgr: Image, face: Face, time_s: float, accusing: Sequence[Source] = ()
    ) -> None:
        """Take the face in the next frame, BGR uint8 `(h, w, 3)`. `accusing`: what else calls the
        same face an attack by now."""
        self._motion.observe(image_bgr, face, time_s)
        self._moments += 1
        self._accusing = accusing

    def evidence(self, crops: Sequence[Crop], least: int, *others: Source) -> Liveness:
        """What is known by now: of the scores of the best `crops`, of which `least` are needed, of
        the motion, and of what `others` say."""
        scores = [crop.liveness for crop in crops]
        sources = [passive(scores, self._threshold, least)] if scores else []
        if self._moments:
            sources.append(self._motion.verdict())
        return against(fuse([*sources, *others], self._rules.policy), self._accusing)

    def may_wait(self, since_first_s: float) -> bool:
        """Whether a name has to wait for what the motion says, so long after the first good
        frame."""
        waits = self._rules.policy != "report" and since_first_s < self._rules.wait_s
        return waits and self._motion.verdict().live is None
