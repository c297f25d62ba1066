"""Draws the contact sheet of `edgeface events unknown --cluster`: a row of faces for each group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import cv2
import numpy as np

from edgeface.base.counting import counted
from edgeface.demo.canvas import INK, SOFT, Canvas, fill
from edgeface.recognition.values import Image

MOST_DRAWN: Final = 100
"""Groups on one sheet."""
_IN_A_ROW: Final = 10
_SIDE: Final = 88
_GAP: Final = 6
_MARGIN: Final = 28
_ROW: Final = _SIDE + 44


@dataclass(frozen=True, slots=True, eq=False)
class FaceGroup:
    """The pictures of one face, the oldest first."""

    crops: Sequence[Image]
    """RGB uint8 `(s, s, 3)`, at least one."""
    first: datetime
    last: datetime


def draw_groups(groups: Sequence[FaceGroup]) -> bytes:
    """A PNG of the first `MOST_DRAWN` groups; of one with many pictures the latest are shown."""
    drawn = groups[:MOST_DRAWN]
    width = 2 * _MARGIN + _IN_A_ROW * (_SIDE + _GAP)
    canvas = Canvas(width, 2 * _MARGIN + 40 + _ROW * len(drawn))
    canvas.text((_MARGIN, 20), counted(len(groups), "unknown face"), 24, bold=True)
    for row, group in enumerate(drawn):
        top = _MARGIN + 40 + row * _ROW
        right = canvas.text(
            (_MARGIN, top), f"{row + 1}  {counted(len(group.crops), 'time')}", 14, INK, bold=True
        )
        times = spanned(f"{group.first:%Y-%m-%d %H:%M}", f"{group.last:%Y-%m-%d %H:%M}")
        canvas.text((right + 14, top), f"{times} UTC", 14, SOFT)
        for column, crop in enumerate(group.crops[-_IN_A_ROW:]):
            face = fill(np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), np.uint8), _SIDE, _SIDE)
            canvas.picture(_MARGIN + column * (_SIDE + _GAP), top + 22, face)
    _, png = cv2.imencode(".png", canvas.image)
    return png.tobytes()


def spanned(first: str, last: str) -> str:
    """From when to when, or at which one time."""
    return first if first == last else f"{first} to {last}"
