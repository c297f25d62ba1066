"""The contact sheet: for every happening the frames, what was found in them and was decided."""

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
    Rgb,
    cut,
    fill,
    fit,
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
class SheetRow:
    """One happening and what the door did."""

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
    rows: Sequence[SheetRow]
    frames: Sequence[RecordedFrame]


def draw_sheet(sheet: Sheet, output: Path) -> None:
    """Write the PNG. Raises StateError when it cannot be written."""
    canvas = Canvas(WIDTH, HEADER + ROW * len(sheet.rows) + FOOTER)
    _header(canvas, sheet)
    for number, row in enumerate(sheet.rows):
        _row(canvas, HEADER + number * ROW, row, sheet.frames)
    foot = HEADER + ROW * len(sheet.rows)
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
    x = MARGIN
    legend: tuple[tuple[Rgb, str], ...] = (
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
    canvas.frame((left, 24, left + 112, 148), LINE)
    right = left - 16
    canvas.text((right, 36), "A photograph that was enrolled:", 14, SOFT, align="right")
    canvas.text((right, 58), sheet.enrolled, 17, INK, bold=True, align="right")
    for number, line in enumerate(sheet.how):
        canvas.text((right, 84 + 20 * number), line, 14, SOFT, align="right")


def _row(canvas: Canvas, top: int, row: SheetRow, frames: Sequence[RecordedFrame]) -> None:
    canvas.band((MARGIN, top, WIDTH - MARGIN, top + 1), LINE)
    right = canvas.text((MARGIN, top + 12), row.title, 18, bold=True)
    when = "at" if row.happening.live_s is not None else "in the log at"
    canvas.text((right + 14, top + 16), f"{when} {row.happening.first_s:.1f} s", 14, SOFT)
    found = row.happening.event
    track = [item for item in frames if _face_of(item, found.track.id) is not None]
    y = top + 44
    decided = _nearest(track, row.happening)
    if decided is not None:
        image = decided.image()
        if image is not None:
            canvas.picture(MARGIN, y, fill(image, *PICTURE))
    canvas.frame((MARGIN, y, MARGIN + PICTURE[0], y + PICTURE[1]), LINE)
    left = MARGIN + PICTURE[0] + 2 * GAP
    for frame in _chosen(track, decided):
        _tile(canvas, left, y, frame, row, is_decided=frame is decided, first=track[0])
        left += TILE[0] + GAP
    panel = MARGIN + PICTURE[0] + 2 * GAP + TILES * (TILE[0] + GAP) + GAP
    _panel(canvas, panel, y, row)


def _tile(
    canvas: Canvas,
    left: int,
    top: int,
    frame: RecordedFrame,
    row: SheetRow,
    *,
    is_decided: bool,
    first: RecordedFrame,
) -> None:
    """One cut-out with its label and, below it, time and size."""
    found = row.happening.event
    face = _face_of(frame, found.track.id)
    image = frame.image()
    assert face is not None
    width, height = TILE
    if image is not None:
        wide = max(40.0, FACES_WIDE * face.box.width)
        part = cut(image, face.box.centre, (wide, wide * height / width))
        canvas.picture(left, top, fill(part, width, height))
    after = frame.captured_at >= found.captured_at
    label, colour = _label(row, face, after=after)
    bottom = top + height
    canvas.band((left, bottom - 24, left + width, bottom), colour)
    text = fit(label, 13, width - 8, bold=True)
    canvas.text((left + width // 2, bottom - 19), text, 13, WHITE, bold=True, align="middle")
    canvas.frame(
        (left, top, left + width, bottom),
        colour if is_decided else LINE,
        4 if is_decided else 1,
    )
    if is_decided:
        canvas.pill(left + 8, top + 8, "decided", 12, colour)
    since_s = (frame.captured_at - first.captured_at).total_seconds()
    size = "" if face.face_px is None else f"   {face.face_px:.0f} px"
    canvas.text(
        (left + width // 2, bottom + 8),
        f"+{since_s:.1f} s{size}",
        13,
        INK if is_decided else SOFT,
        bold=is_decided,
        align="middle",
    )


def _label(row: SheetRow, face: RecordedFace, *, after: bool) -> tuple[str, Rgb]:
    """What was known about the face at that moment."""
    found = row.happening.event
    if after and found.match is not None:
        return f"{row.happening.name} {found.match.score:.2f}", GREEN
    if after:
        score = (found.why or {}).get("score")
        return found.event_type + (f" {score:.2f}" if isinstance(score, float) else ""), RED
    if face.gate is not None:
        return face.gate.replace("_", " "), GREY
    return "looked at", AMBER


def _panel(canvas: Canvas, left: int, top: int, row: SheetRow) -> None:
    """The decision in numbers, and what the door did."""
    happening = row.happening
    found = happening.event
    why = found.why or {}
    opened = happening.opened
    right = canvas.pill(left, top, "OPEN" if opened else "SHUT", 24, GREEN if opened else RED)
    canvas.text((right + 14, top + 8), found.event_type, 18, INK, bold=True)
    score, threshold = why.get("score"), why.get("threshold")
    frames = [item["score"] for item in why.get("frame_scores", ()) if "score" in item]
    colour = GREEN if found.match is not None else RED
    width = WIDTH - MARGIN - left
    canvas.gauge((left, top + 50), width, frames, score, threshold, colour)
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
    lines += row.remarks
    for number, line in enumerate(lines):
        text = fit(line, 15, width)
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
