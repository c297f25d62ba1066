"""Good and different frames of one person, and what the next one should be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

from edgeface.base.clock import NS
from edgeface.contract.answers import Hint
from edgeface.gallery.gate import explain
from edgeface.gallery.likeness import ALIKE
from edgeface.recognition.crops import Crop
from edgeface.recognition.pipeline import Sight
from edgeface.recognition.quality import refusal
from edgeface.service.commanding.evidence import Evidence, take_crop
from edgeface.service.commanding.peephole import View

MIN_APART_S: Final = 0.4
"""Two frames of an enrollment are captured so long after one another at least."""
PATIENCE_S: Final = 3.0
"""After so long without a different frame one that is alike is taken: some people cannot turn."""
TURNED_DEG: Final = 8.0
"""So far from the first frame a head was turned or tilted a little."""

_HINTS: Final[dict[str, Hint]] = {
    "too_small": "come_nearer",
    "turned_away": "look_into_camera",
    "cut_off": "stay_inside_the_picture",
    "too_dark": "more_light",
    "too_bright": "less_light",
    "blurred": "hold_still",
    "eyes_covered": "uncover_face",
    "backlit": "more_light",
    "uncertain": "uncover_face",
}


class Posing:
    """Takes the frames of one enrollment into its evidence."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._kept_ns: int | None = None

    def take(self, view: View) -> tuple[Hint, str]:
        """Keep the frame if it is good and different; what the next one should be."""
        sights = view.sights
        if len(sights) > 1:
            return "only_one_person", "several people are in view; only one may be"
        if not sights:
            far = [sight for sight in view.result.sights if sight.quality is not None]
            if not far:
                return "step_into_view", "nobody is in view; step before the camera"
            return self._advice(far[0], view)
        sight = sights[0]
        if _gate(sight, view) is not None:
            return self._advice(sight, view)
        waited_s = math.inf
        if self._kept_ns is not None:
            waited_s = (view.frame.boottime_ns - self._kept_ns) / NS
        if waited_s < MIN_APART_S:
            return self._turn()
        crop = take_crop(view, sight)
        another = self._evidence.is_another(crop, sight.track_id)
        if not another and waited_s < PATIENCE_S and self._alike(crop):
            return self._turn()
        self._evidence.take(crop, sight.track_id)
        self._kept_ns = crop.at.boottime_ns
        return self._turn()

    def _alike(self, crop: Crop) -> bool:
        return bool((self._evidence.embeddings() @ crop.embedding > ALIKE).any())

    def _turn(self) -> tuple[Hint, str]:
        return "turn_a_little", missing_pose(self._evidence.kept)

    def _advice(self, sight: Sight, view: View) -> tuple[Hint, str]:
        """What is wrong with a face, for the person who stands there."""
        gate = _gate(sight, view)
        if gate is None:
            return self._turn()
        assert sight.quality is not None
        return _HINTS[gate], explain(gate, sight.quality, view.rules.limits.for_enrollment())


def missing_pose(kept: Sequence[Crop]) -> str:
    """The way in which the head was not turned or tilted yet, seen from the first frame on and by
    the person's own left and right."""
    if not kept:
        return "look into the camera"
    yaws, pitches = (
        [value - values[0] for value in values]
        for values in (
            [crop.quality.yaw_deg for crop in kept],
            [crop.quality.pitch_deg for crop in kept],
        )
    )
    ways = {
        "turn the head a little to the left": max(yaws),
        "turn the head a little to the right": -min(yaws),
        "lift the chin a little": max(pitches),
        "lower the chin a little": -min(pitches),
    }
    todo = [words for words, turned_deg in ways.items() if turned_deg < TURNED_DEG]
    return todo[0] if todo else "turn or tilt the head a little"


def _gate(sight: Sight, view: View) -> str | None:
    """What keeps a face from being enrolled, which is more than keeps it from being recognized."""
    if sight.gate is not None or sight.quality is None:
        return sight.gate
    return refusal(sight.quality, view.rules.limits.for_enrollment())
