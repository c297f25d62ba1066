"""Section `quality`: the limits a crop has to keep before it counts."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgeface.settings.base import Section, Share

Angle = Annotated[float, Field(gt=0, le=90)]


class QualitySettings(Section):
    """The limits a crop has to keep before it counts; the fields of `QualityLimits`."""

    min_face_px: Annotated[float, Field(ge=10, le=2000)] = 40.0
    """The shorter side of the face's box, in pixels of the camera image."""
    min_sharpness: Share = 0.15
    """0 is blurred, 1 is sharp."""
    min_exposure: Share = 0.2
    """0 is black or burnt out, 1 is well exposed."""
    min_score: Share = 0.5
    """The detector's score of the face."""
    max_yaw_deg: Angle = 40.0
    """Turned to the side, in degrees."""
    max_pitch_deg: Angle = 35.0
    """Looking up or down, in degrees."""
    max_roll_deg: Annotated[float, Field(gt=0, le=180)] = 45.0
    """The head leant over, in degrees."""
