"""The contact sheet: for every scene the frames, what was found in them, and what was decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgeface.base.errors import StateError
from edgeface.demo.canvas import (
    AMBER,
    GREEN,
    GREY,
    INK,
    LINE,
    RED,
    SOFT,
    WHITE,
    Canvas,
    Colour,
    cut,
    fill,
)
from edgeface.demo.recordings import RecordedFace, RecordedFrame
from edgeface.demo.story import Happening

WIDTH: Final = 1680
MARGIN: Final = 36
HEADER: Final = 168
ROW: Final = 296
FOOTER: Final = 52
PICTURE: Final = (384, 216)
"""Width and height of the whole frame of a decision."""
TILE: Final = (162, 216)
TILES: Final = 5
GAP: Final = 10
FACES_WIDE: Final = 2.3
"""Width of a cut-out in widths of the face."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One row of the sheet."""

    title: str
    happening: Happening
    remarks: tuple[str, ...] = ()
    """Lines for the panel, besides the decision's own numbers."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is to be drawn."""

    subtitle: str
    enrolled_from: Path
    """The photograph that was enrolled."""
    enrolled: str
    how: tuple[str, ...]
    """Lines about that photograph."""
    scenes: Sequence[Scene]
    frames: Sequence[RecordedFrame]


def draw_sheet(sheet: Sheet, output: Path) -> None:
    """Write the PNG. Raises StateError when it cannot be written."""
    canvas = Canvas(WIDTH, HEADER + ROW * len(sheet.scenes) + FOOTER)
    _header(canvas, sheet)
    for number, scene in enumerate(sheet.scenes):
        _scene(canvas, HEADER + number * ROW, scene, sheet.frames)
    foot = HEADER + ROW * len(sheet.scenes)
    canvas.text(
        (MARGIN, foot + 8),
        "A photograph may pass: liveness is not assessed yet. For an entrance use card and face "
        "(verify), not a face alone.",
        14,
        SOFT,
    )
    try:
        canvas.save(output)
    except OSError as error:
        raise StateError(f"{output}: cannot write the picture: {error.strerror}") from error


def _header(canvas: Canvas, sheet: Sheet) -> None:
    canvas.text((MARGIN, 30), "edgeface demo", 34, bold=True)
    canvas.text((MARGIN, 78), sheet.subtitle, 17, SOFT)
    x: float = MARGIN
    legend: tuple[tuple[Colour, str], ...] = (
        (AMBER, "a face that is looked at"),
        (GREEN, "recognized"),
        (RED, "unknown"),
        (GREY, "refused by the quality gate"),
    )
    for colour, text in legend:
        canvas.frame((x, 119, x + 14, 133), colour, 3)
        x = canvas.text((x + 22, 117), text, 14, INK) + 26
    picture = cv2.imread(str(sheet.enrolled_from))
    if picture is None:
        return
    portrait = fill(np.asarray(picture, np.uint8), 112, 124)
    left = WIDTH - MARGIN - 112
    canvas.picture(left, 24, portrait)
    canvas.frame((left, 24, left + 111, 147), LINE)
    right = left - 16
    canvas.text((right, 36), "A photograph that was enrolled:", 14, SOFT, anchor="ra")
    canvas.text((right, 58), sheet.enrolled, 17, INK, bold=True, anchor="ra")
    for number, line in enumerate(sheet.how):
        canvas.text((right, 84 + 20 * number), line, 14, SOFT, anchor="ra")


def _scene(canvas: Canvas, top: int, scene: Scene, frames: Sequence[RecordedFrame]) -> None:
    canvas.rule(MARGIN, WIDTH - MARGIN, top)
    right = canvas.text((MARGIN, top + 12), scene.title, 18, bold=True)
    when = "at" if scene.happening.live_s is not None else "in the log at"
    canvas.text((right + 14, top + 16), f"{when} {scene.happening.first_s:.1f} s", 14, SOFT)
    found = scene.happening.event
    track = [item for item in frames if _face_of(item, found.track.id) is not None]
    y = top + 44
    decided = _nearest(track, scene.happening)
    if decided is not None:
        image = decided.image()
        if image is not None:
            canvas.picture(MARGIN, y, fill(image, *PICTURE))
    canvas.frame((MARGIN, y, MARGIN + PICTURE[0] - 1, y + PICTURE[1] - 1), LINE)
    left = MARGIN + PICTURE[0] + 2 * GAP
    for frame in _chosen(track, decided):
        _tile(canvas, left, y, frame, scene, is_decided=frame is decided, first=track[0])
        left += TILE[0] + GAP
    panel = MARGIN + PICTURE[0] + 2 * GAP + TILES * (TILE[0] + GAP) + GAP
    _panel(canvas, panel, y, scene)


def _tile(
    canvas: Canvas,
    left: int,
    top: int,
    frame: RecordedFrame,
    scene: Scene,
    *,
    is_decided: bool,
    first: RecordedFrame,
) -> None:
    """One cut-out with its label and, below it, time and size."""
    found = scene.happening.event
    face = _face_of(frame, found.track.id)
    image = frame.image()
    assert face is not None
    width, height = TILE
    if image is not None:
        wide = max(40.0, FACES_WIDE * face.box.width)
        part = cut(image, face.box.centre, (wide, wide * height / width))
        canvas.picture(left, top, fill(part, width, height))
    after = frame.captured_at >= found.captured_at
    label, colour = _label(scene, face, after=after)
    bottom = top + height
    canvas.band((left, bottom - 24, left + width - 1, bottom - 1), colour)
    text = canvas.fit(label, 13, width - 8, bold=True)
    canvas.text((left + width / 2, bottom - 12), text, 13, WHITE, bold=True, anchor="mm")
    canvas.frame(
        (left, top, left + width - 1, bottom - 1),
        colour if is_decided else LINE,
        4 if is_decided else 1,
    )
    if is_decided:
        canvas.pill(left + 8, top + 8, "decided", 12, colour)
    since_s = (frame.captured_at - first.captured_at).total_seconds()
    size = "" if face.face_px is None else f"   {face.face_px:.0f} px"
    canvas.text(
        (left + width / 2, bottom + 8),
        f"+{since_s:.1f} s{size}",
        13,
        INK if is_decided else SOFT,
        bold=is_decided,
        anchor="ma",
    )


def _label(scene: Scene, face: RecordedFace, *, after: bool) -> tuple[str, Colour]:
    """What was known about the face at that moment."""
    found = scene.happening.event
    if after and found.match is not None:
        name = found.match.display_name or found.match.person_id
        return f"{name} {found.match.score:.2f}", GREEN
    if after:
        score = (found.why or {}).get("score")
        return found.event_type + (f" {score:.2f}" if isinstance(score, float) else ""), RED
    if face.gate is not None:
        return face.gate.replace("_", " "), GREY
    return "looked at", AMBER


def _panel(canvas: Canvas, left: int, top: int, scene: Scene) -> None:
    """The decision in numbers, and what the door did."""
    happening = scene.happening
    found = happening.event
    why = found.why or {}
    opened = happening.opened
    right = canvas.pill(left, top, "OPEN" if opened else "SHUT", 24, GREEN if opened else RED)
    canvas.text((right + 14, top + 8), found.event_type, 18, INK, bold=True)
    score, threshold = why.get("score"), why.get("threshold")
    frames = [item["score"] for item in why.get("frame_scores", ()) if "score" in item]
    colour = GREEN if found.match is not None else RED
    width = WIDTH - MARGIN - left
    canvas.gauge((left, top + 50, width), frames, score, threshold, colour)
    lines: list[str] = []
    if found.match is not None:
        margin = found.match.margin
        lines.append(f"score {found.match.score:.2f}, threshold {found.match.threshold:.2f}")
        lines.append(
            "margin: nobody else is enrolled" if margin is None else f"margin {margin:.2f}"
        )
    elif isinstance(score, float):
        lines.append(f"best score {score:.2f}, threshold {threshold:.2f}")
    lines.append(f"{found.track.agreeing} of {found.track.frames} frames name the same person")
    lines += scene.remarks
    for number, line in enumerate(lines):
        text = canvas.fit(line, 15, width)
        canvas.text((left, top + 110 + 23 * number), text, 15)


def _face_of(frame: RecordedFrame, track_id: int) -> RecordedFace | None:
    return next((face for face in frame.faces if face.track_id == track_id), None)


def _nearest(track: Sequence[RecordedFrame], happening: Happening) -> RecordedFrame | None:
    """The frame that the decision rests on, or the one next to it."""
    at = happening.event.captured_at
    return min(track, key=lambda f: abs((f.captured_at - at).total_seconds()), default=None)


def _chosen(track: Sequence[RecordedFrame], decided: RecordedFrame | None) -> list[RecordedFrame]:
    """At most `TILES` frames over the whole track, the one of the decision among them."""
    if decided is None or len(track) <= TILES:
        return list(track)
    places = {round(at) for at in np.linspace(0, len(track) - 1, TILES)}
    wanted = list(track).index(decided)
    if wanted not in places:
        inner = sorted(places)[1:-1]
        places.remove(min(inner, key=lambda place: abs(place - wanted)))
        places.add(wanted)
    return [track[place] for place in sorted(places)]
