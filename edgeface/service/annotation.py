"""A frame with what was found in it drawn on: boxes, landmarks, and a caption below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

import cv2
import numpy as np

from edgeface.recognition.decision import Decision
from edgeface.recognition.frame import Frame
from edgeface.recognition.pipeline import FrameResult, Sight
from edgeface.recognition.values import Face, Image

Color: TypeAlias = tuple[int, int, int]
"""Blue, green, red."""

REFUSED: Final[Color] = (150, 150, 150)
UNDECIDED: Final[Color] = (0, 176, 255)
RECOGNIZED: Final[Color] = (70, 190, 60)
UNKNOWN: Final[Color] = (60, 60, 225)
"""Of a face that the quality gate refused, and of tracks by what was decided last."""

LINE_PX: Final = 24
"""Height of one line of the caption."""
_TEXT: Final = 0.55


def _color(sight: Sight, outcomes: Mapping[int, str]) -> Color:
    outcome = outcomes.get(sight.track_id)
    if outcome == "recognized":
        return RECOGNIZED
    if outcome is not None:
        return UNKNOWN
    return UNDECIDED if sight.gate is None else REFUSED


def annotate(frame: Frame, result: FrameResult, outcomes: Mapping[int, str]) -> Image:
    """A new BGR picture: the frame, with a caption of one line for the frame and for each face and
    decision below it. Nothing is written over the faces. `outcomes`: what was decided last about
    each track, by its id."""
    picture = frame.image.copy()
    for sight in result.sights:
        draw_face(picture, sight.face, _color(sight, outcomes))
    lines = [f"{frame.captured_at:%H:%M:%S.%f}"[:-3] + f"  frame {frame.sequence}"]
    lines += [_face_line(sight) for sight in result.sights]
    lines += [_decision_line(decision) for decision in result.decisions]
    return np.concatenate([picture, caption(lines, picture.shape[1])])


def draw_face(picture: Image, face: Face, color: Color) -> None:
    """Box and landmarks, as thick as the face is large: a cut-out of any size looks alike."""
    box = face.box
    thick = max(1, round(max(box.width, box.height) / 64))
    left_top = (round(box.left), round(box.top))
    right_bottom = (round(box.right), round(box.bottom))
    cv2.rectangle(picture, left_top, right_bottom, color, thick, cv2.LINE_AA)
    for x, y in face.landmarks:
        at = (round(float(x)), round(float(y)))
        cv2.circle(picture, at, round(1.6 * thick) + 1, (255, 255, 255), -1, cv2.LINE_AA)
        cv2.circle(picture, at, round(1.6 * thick), color, -1, cv2.LINE_AA)


def _face_line(sight: Sight) -> str:
    text = f"track {sight.track_id}  score {sight.face.score:.2f}"
    quality = sight.quality
    if quality is not None:
        text += (
            f"  {quality.face_px:.0f} px  sharpness {quality.sharpness:.2f}"
            f"  yaw {quality.yaw_deg:z.0f}  pitch {quality.pitch_deg:z.0f}"
        )
    return text + (f"  refused: {sight.gate}" if sight.gate else "")


def _decision_line(decision: Decision) -> str:
    text = f"track {decision.track_id} is {decision.outcome}"
    if decision.person_id is not None:
        text += f": {decision.person_id}"
    if decision.score is not None and decision.threshold is not None:
        text += f"  score {decision.score:z.3f}  threshold {decision.threshold:.3f}"
    return text


def caption(lines: Sequence[str], width: int) -> Image:
    """BGR uint8 `(h, width, 3)`: the lines, white on black."""
    strip = np.zeros((LINE_PX * len(lines) + 6, width, 3), np.uint8)
    for row, text in enumerate(lines):
        at = (8, LINE_PX * (row + 1) - 5)
        cv2.putText(strip, text, at, cv2.FONT_HERSHEY_SIMPLEX, _TEXT, (235,) * 3, 1, cv2.LINE_AA)
    return strip
