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
from edgeface.gallery.likeness import find_lookalikes
from edgeface.gallery.person import Person, StoredTemplate
from edgeface.gallery.portable import export_one
from edgeface.recognition.decision import DecisionRules
from edgeface.recognition.templates import encode_template
from edgeface.service.commanding.admission import Outcome, Request, Seal, refusing
from edgeface.service.commanding.evidence import Evidence
from edgeface.service.commanding.peephole import Glance
from edgeface.service.commanding.posing import Posing
from edgeface.service.sightings import face_quality

TELL_EVERY_S: Final = 0.5
"""Progress is sent at most this often, but for every frame that was kept."""


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
        self._posing = Posing(self._evidence)
        self._told: tuple[Hint, int] | None = None
        self._told_ns = 0

    def see(self, glance: Glance, *, last: bool) -> Outcome | None:
        """Take a frame if it is good and different; the outcome when there are enough."""
        hint, message = self._posing.take(glance)
        kept = len(self._evidence.kept)
        if kept >= self._wanted:
            return self._finish(glance)
        if last:
            text = f"{kept} of {self._wanted} good and different frames in time; {message}"
            return refusing("incomplete", text)
        self._say(glance, hint, message)
        return None

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
