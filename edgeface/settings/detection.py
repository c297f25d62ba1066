"""Section `detection`: which faces the detector reports."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgeface.settings.base import Section


class DetectionSettings(Section):
    """Which faces the detector reports."""

    score_threshold: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The least score of a face, in (0, 1); null takes the model package's."""
    max_faces: Annotated[int, Field(ge=1, le=64)] = 8
    """At most so many faces of a frame are looked at, the best scores first."""
