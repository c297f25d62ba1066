"""The evidence of liveness about one track, gathered while it is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgeface.recognition.crops import Crop
from edgeface.recognition.liveness import Liveness, Policy, Source, fuse, passive
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


def score_faces(scorer: LivenessScorer, image_bgr: Image, faces: Sequence[Face]) -> list[float]:
    """The scorer's of each face of the image BGR uint8 `(h, w, 3)`, in its pixels. Raises what the
    scorer raises."""
    parts = [with_surroundings(image_bgr, face.box, scorer.surroundings) for face in faces]
    return [float(score) for score in scorer.score(parts)]


class Assessment:
    """Of one track: its crops' scores and its motion. Not thread-safe; times are seconds of the
    frames' clock."""

    def __init__(self, rules: AssessmentRules, threshold: float) -> None:
        """`threshold` is that of the scorer of single crops."""
        self._rules = rules
        self._threshold = threshold
        self._motion = Planarity()
        self._moments = 0

    def observe(self, image_bgr: Image, face: Face, time_s: float) -> None:
        """Take the face in the next frame, BGR uint8 `(h, w, 3)`."""
        self._motion.observe(image_bgr, face, time_s)
        self._moments += 1

    def evidence(self, crops: Sequence[Crop], least: int, *others: Source) -> Liveness:
        """What is known by now: of the scores of the best `crops`, of which `least` are needed, of
        the motion, and of what `others` say."""
        scores = [crop.liveness for crop in crops if crop.liveness is not None]
        sources = [passive(scores, self._threshold, least)] if scores else []
        if self._moments:
            sources.append(self._motion.verdict())
        return fuse([*sources, *others], self._rules.policy)

    def may_wait(self, since_first_s: float) -> bool:
        """Whether a name has to wait for what the motion says, so long after the first good
        frame."""
        waits = self._rules.policy != "report" and since_first_s < self._rules.wait_s
        return waits and self._motion.verdict().live is None
