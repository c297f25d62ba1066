"""Section `tracking`: how faces of successive frames become tracks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgeface.settings.base import Seconds, Section


class TrackingSettings(Section):
    """How faces of successive frames become tracks; the fields of `TrackerRules`."""

    min_iou: Annotated[float, Field(gt=0, lt=1)] = 0.3
    """The least overlap of a face with the track's predicted box."""
    max_gap_s: Seconds = 0.7
    """A track without a face for so long has ended."""
