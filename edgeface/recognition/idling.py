"""A rest for the detector while nobody is there: it looks where the picture changes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from edgeface.recognition.values import Image
from edgeface.recognition.view import GrayMean, changed_cells, small_gray

LOOK_EVERY_S: Final = 1.0
"""At rest the detector looks so often whatever the picture does: nobody who stands still in the
dark is missed for longer."""
_CELLS: Final = 3
"""So many cells of a small picture change when somebody comes; fewer may be noise."""
_REFERENCE_S: Final = 2.0
"""What somebody changes who comes slowly adds up for about so long."""


@dataclass(frozen=True, slots=True)
class IdleRules:
    """When the detector rests."""

    after_s: float | None = None
    """Without a track and without a change for so long; None: never."""


class Governor:
    """Says of each frame whether faces are to be looked for in it. Not thread-safe."""

    def __init__(self, rules: IdleRules) -> None:
        self._rules = rules
        self._reference: GrayMean | None = None
        self._time_s = -math.inf
        self._busy_s: float | None = None
        self._looked_s = -math.inf
        self.idle = False
        """Whether the detector rests; it still looks now and then."""

    def wants(self, image: Image, time_s: float, *, busy: bool) -> bool:
        """Take a frame, BGR `(h, w, 3)`; `busy`: faces are looked for whatever it shows."""
        if self._rules.after_s is None:
            return True
        moving = self._changed(image, time_s)
        if busy or moving or self._busy_s is None:
            self._busy_s = time_s
        self.idle = time_s - self._busy_s >= self._rules.after_s
        if self.idle and 0 <= time_s - self._looked_s < LOOK_EVERY_S:
            return False
        self._looked_s = time_s
        return True

    def _changed(self, image: Image, time_s: float) -> bool:
        now = small_gray(image).astype(np.float32)
        passed_s, self._time_s = time_s - self._time_s, time_s
        before = self._reference
        if before is None or before.shape != now.shape:
            self._reference = now
            return True
        moving = int(changed_cells(now, before).sum()) >= _CELLS
        cv2.accumulateWeighted(now, before, min(1.0, max(0.0, passed_s / _REFERENCE_S)))
        return moving
