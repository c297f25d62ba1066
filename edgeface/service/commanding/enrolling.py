"""`enroll`: templates of the person at the door, sealed to the administrator.

The device's own gallery is not changed by it: what comes back is a gallery export of one person.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import numpy as np

from edgeface.base.clock import NS
from edgeface.base.ids import new_person_id
from edgeface.contract.answers import EnrollData, EnrollProgress, Hint
from edgeface.contract.command_requests import Enroll
from edgeface.gallery.gate import explain
from edgeface.gallery.likeness import ALIKE, find_lookalikes
from edgeface.gallery.person import Person, StoredTemplate
from edgeface.gallery.portable import export_one
from edgeface.recognition.crops import Crop
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.pipeline import Sight
from edgeface.recognition.quality import refusal
from edgeface.recognition.templates import encode_template
from edgeface.service.commanding.admission import Outcome, Request, Seal, refusing
from edgeface.service.commanding.evidence import Evidence, take_crop
from edgeface.service.commanding.peephole import Glance
from edgeface.service.sightings import face_quality

MIN_APART_S: Final = 0.4
"""Two frames of an enrollment are captured so long after one another at least."""
PATIENCE_S: Final = 3.0
"""After so long without a different frame one that is alike is taken: some people cannot turn."""
TELL_EVERY_S: Final = 0.5
"""Progress is sent at most this often, but for every frame that was kept."""

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
_MESSAGES: Final[dict[Hint, str]] = {
    "step_into_view": "nobody is in view; step before the camera",
    "only_one_person": "several people are in view; only one may be",
    "turn_a_little": "turn or tilt the head a little",
}


class Enrolling:
    """One enrollment."""

    def __init__(
        self,
        request: Request,
        rules: DecisionRules,
        seal: Seal,
        tell: Callable[[EnrollProgress], None],
    ) -> None:
        """`tell` sends progress; it never waits."""
        assert isinstance(request.command, Enroll)
        self.request = request
        self._wanted = request.command.frames
        self._person_id = request.command.person_id
        self._seal = seal
        self._tell = tell
        self._evidence = Evidence(self._wanted, rules.same_track_min)
        self._kept_ns = 0
        self._told: tuple[Hint, int] | None = None
        self._told_ns = 0

    def see(self, glance: Glance, *, last: bool) -> Outcome | None:
        """Take a frame if it is good and different; the outcome when there are enough."""
        hint, message = self._take(glance)
        kept = len(self._evidence.kept)
        if kept >= self._wanted:
            return self._finish(glance)
        if last:
            text = f"{kept} of {self._wanted} good and different frames in time; {message}"
            return refusing("incomplete", text)
        self._say(glance, hint, message)
        return None

    def _take(self, glance: Glance) -> tuple[Hint, str]:
        """Keep the frame or not; what the next one should be."""
        sights = glance.sights
        if len(sights) > 1:
            return "only_one_person", _MESSAGES["only_one_person"]
        if not sights:
            far = [sight for sight in glance.result.sights if sight.quality is not None]
            if not far:
                return "step_into_view", _MESSAGES["step_into_view"]
            return _advice(far[0], glance)
        sight = sights[0]
        if _gate(sight, glance) is not None:
            return _advice(sight, glance)
        turn: tuple[Hint, str] = ("turn_a_little", _MESSAGES["turn_a_little"])
        waited_s = (glance.frame.boottime_ns - self._kept_ns) / NS
        if self._evidence.kept and waited_s < MIN_APART_S:
            return turn
        crop = take_crop(glance, sight)
        another = self._evidence.is_another(crop, sight.track_id)
        if not another and waited_s < PATIENCE_S and self._alike(crop):
            return turn
        self._evidence.take(crop, sight.track_id)
        self._kept_ns = crop.at.boottime_ns
        return turn

    def _alike(self, crop: Crop) -> bool:
        return bool((self._evidence.embeddings() @ crop.embedding > ALIKE).any())

    def _say(self, glance: Glance, hint: Hint, message: str) -> None:
        now_ns, kept = glance.frame.boottime_ns, len(self._evidence.kept)
        if self._told == (hint, kept):
            return
        grown = self._told is None or self._told[1] != kept
        if not grown and now_ns - self._told_ns < TELL_EVERY_S * NS:
            return
        self._told, self._told_ns = (hint, kept), now_ns
        self._tell(EnrollProgress(kept=kept, wanted=self._wanted, hint=hint, message=message))

    def _finish(self, glance: Glance) -> Outcome:
        crops, index = tuple(self._evidence.kept), glance.gallery.index
        rows = self._evidence.embeddings()
        cosines = (rows @ rows.T)[~np.eye(len(rows), dtype=np.bool_)]
        rules = glance.rules.decision
        templates = max(1, len(index.compared))
        bar = glance.calibration.identification_threshold(
            rules.target_fpir, rules.max_looks, templates
        )
        known = find_lookalikes(rows, index, bar.value)
        seal, person_id = self._seal, self._person_id

        def sealed() -> EnrollData:
            now = datetime.now(UTC)
            person = Person(person_id or new_person_id(), created_s=now.timestamp())
            stored = [
                StoredTemplate(
                    encode_template(crop.embedding),
                    float(np.clip(crop.quality.weight, 0.0, 1.0)),
                    crop.at.captured_at.timestamp(),
                )
                for crop in crops
            ]
            content = export_one(person, stored, index.space, now)
            return EnrollData(
                frames=len(crops),
                space=index.space,
                quality=tuple(q for crop in crops if (q := face_quality(crop.quality))),
                likeness=None if len(crops) < 2 else round(float(cosines.min()), 4),
                known_as=known[0].person_id if known else None,
                sealed=seal(content),
            )

        return sealed


def _advice(sight: Sight, glance: Glance) -> tuple[Hint, str]:
    """What is wrong with a face, for the person who stands there."""
    gate = _gate(sight, glance)
    if gate is None:
        return "turn_a_little", _MESSAGES["turn_a_little"]
    assert sight.quality is not None
    return _HINTS[gate], explain(gate, sight.quality, glance.rules.limits.for_enrollment())


def _gate(sight: Sight, glance: Glance) -> str | None:
    """What keeps a face from being enrolled, which is more than keeps it from being recognized."""
    if sight.gate is not None or sight.quality is None:
        return sight.gate
    return refusal(sight.quality, glance.rules.limits.for_enrollment())
