"""The contact sheet: for every happening the frames, what was found in them and was decided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np

from edgeface.base.errors import StateError
from edgeface.demo.canvas import (
    AMBER,
    GRAY,
    GREEN,
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
from edgeface.demo.plan import People
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

_Sighting: TypeAlias = tuple[RecordedFrame, RecordedFace]
"""A frame, and in it the face of the track."""


def draw_sheet(
    people: People,
    rows: Sequence[tuple[str, Happening]],
    frames: Sequence[RecordedFrame],
    output: Path,
) -> None:
    """Write the PNG, a row for each happening with its title.

    Raises StateError when it cannot be written.
    """
    foot = HEADER + ROW * len(rows)
    canvas = Canvas(WIDTH, foot + FOOTER)
    _header(canvas, people)
    for number, (title, happening) in enumerate(rows):
        _row(canvas, HEADER + number * ROW, title, happening, frames)
    canvas.text(
        (MARGIN, foot + 8),
        "A photograph may pass: evidence of liveness is weak. For an entrance use card and face "
        "(verify), not a face alone.",
        14,
        SOFT,
    )
    try:
        canvas.save(output)
    except OSError as error:
        raise StateError(f"{output}: cannot write the picture: {error.strerror}") from error


def _header(canvas: Canvas, people: People) -> None:
    canvas.text((MARGIN, 30), "edgeface demo", 34, bold=True)
    camera = "real" if people.stranger is None else "simulated"
    did = "saw, what the daemon decided, and what the door did."
    canvas.text((MARGIN, 78), f"What a {camera} camera {did}", 17, SOFT)
    x = MARGIN
    legend: tuple[tuple[Rgb, str], ...] = (
        (AMBER, "a face that is looked at"),
        (GREEN, "recognized"),
        (RED, "unknown, or not live"),
        (GRAY, "refused by the quality gate"),
    )
    for color, text in legend:
        canvas.frame((x, 119, x + 14, 133), color, 3)
        x = canvas.text((x + 22, 117), text, 14, INK) + 26
    picture = cv2.imread(str(people.photograph))
    if picture is None:
        return
    portrait = fill(np.asarray(picture, np.uint8), 112, 124)
    left = WIDTH - MARGIN - 112
    canvas.picture(left, 24, portrait)
    canvas.frame((left, 24, left + 112, 148), LINE)
    right = left - 16
    canvas.text((right, 36), "A photograph that was enrolled:", 14, SOFT, align="right")
    canvas.text((right, 58), people.enrolled, 17, INK, bold=True, align="right")
    if people.stranger is not None:
        how = ("another crop, in other light,", "than the camera sees")
        for number, line in enumerate(how):
            canvas.text((right, 84 + 20 * number), line, 14, SOFT, align="right")


def _row(
    canvas: Canvas, top: int, title: str, happening: Happening, frames: Sequence[RecordedFrame]
) -> None:
    canvas.band((MARGIN, top, WIDTH - MARGIN, top + 1), LINE)
    right = canvas.text((MARGIN, top + 12), title, 18, bold=True)
    when = "at" if happening.live_s is not None else "in the log at"
    canvas.text((right + 14, top + 16), f"{when} {happening.first_s:.1f} s", 14, SOFT)
    found = happening.event
    track = [
        (frame, face) for frame in frames for face in frame.faces if face.track_id == found.track.id
    ]
    y = top + 44
    # The frame that the decision rests on, or the one next to it.
    decided = min(
        track, key=lambda item: abs(item[0].captured_at - found.captured_at), default=None
    )
    if decided is not None:
        image = decided[0].image()
        if image is not None:
            canvas.picture(MARGIN, y, fill(image, *PICTURE))
    canvas.frame((MARGIN, y, MARGIN + PICTURE[0], y + PICTURE[1]), LINE)
    left = MARGIN + PICTURE[0] + 2 * GAP
    for item in _chosen(track, decided):
        since_s = (item[0].captured_at - track[0][0].captured_at).total_seconds()
        _tile(canvas, (left, y), *item, happening, since_s, is_decided=item is decided)
        left += TILE[0] + GAP
    panel = MARGIN + PICTURE[0] + 2 * GAP + TILES * (TILE[0] + GAP) + GAP
    _panel(canvas, panel, y, happening)


def _tile(
    canvas: Canvas,
    at: tuple[int, int],
    frame: RecordedFrame,
    face: RecordedFace,
    happening: Happening,
    since_s: float,
    *,
    is_decided: bool,
) -> None:
    """One cut-out with its label and, below it, time and size."""
    image = frame.image()
    (left, top), (width, height) = at, TILE
    if image is not None:
        wide = max(40.0, FACES_WIDE * face.box.width)
        part = cut(image, face.box.center, (wide, wide * height / width))
        canvas.picture(left, top, fill(part, width, height))
    after = frame.captured_at >= happening.event.captured_at
    label, color = _label(happening, face, after=after)
    bottom = top + height
    canvas.band((left, bottom - 24, left + width, bottom), color)
    text = fit(label, 13, width - 8, bold=True)
    canvas.text((left + width // 2, bottom - 19), text, 13, WHITE, bold=True, align="middle")
    box = (left, top, left + width, bottom)
    if is_decided:
        canvas.frame(box, color, 4)
        canvas.pill(left + 8, top + 8, "decided", 12, color)
    else:
        canvas.frame(box, LINE)
    size = "" if face.face_px is None else f"   {face.face_px:.0f} px"
    when, below = f"+{since_s:.1f} s{size}", (left + width // 2, bottom + 8)
    canvas.text(below, when, 13, INK if is_decided else SOFT, bold=is_decided, align="middle")


def _label(happening: Happening, face: RecordedFace, *, after: bool) -> tuple[str, Rgb]:
    """What was known about the face at that moment."""
    found = happening.event
    if after and found.match is not None:
        return f"{happening.name} {found.match.score:.2f}", GREEN
    if after:
        score = (found.why or {}).get("score")
        return found.event_type + (f" {score:z.2f}" if isinstance(score, float) else ""), RED
    if face.gate is not None:
        return face.gate.replace("_", " "), GRAY
    return "looked at", AMBER


def _panel(canvas: Canvas, left: int, top: int, happening: Happening) -> None:
    """The decision in numbers, and what the door did."""
    found = happening.event
    why = found.why or {}
    opened = happening.opened
    right = canvas.pill(left, top, "OPEN" if opened else "SHUT", 24, GREEN if opened else RED)
    canvas.text((right + 14, top + 8), found.event_type, 18, INK, bold=True)
    score, threshold = why.get("score"), why.get("threshold")
    frames = [item["score"] for item in why.get("frame_scores", ()) if "score" in item]
    color = GREEN if found.match is not None else RED
    width = WIDTH - MARGIN - left
    canvas.gauge((left, top + 50), width, frames, score, threshold, color)
    lines: list[str] = []
    if found.match is not None:
        margin = found.match.margin
        lines.append(f"score {found.match.score:.2f}, threshold {found.match.threshold:.2f}")
        lines.append(
            "margin: nobody else is enrolled" if margin is None else f"margin {margin:.2f}"
        )
    elif isinstance(score, float):
        lines.append(f"best score {score:z.2f}, threshold {threshold:.2f}")
    lines.append(f"{found.track.agreeing} of {found.track.frames} frames name the same person")
    if found.event_type == "rejected_pad":
        lines += [f"{source.name} {source.told}" for source in found.pad.sources or ()]
    if happening.live_s is None:
        lines.append("waited in the outbox, never sent live")
        if happening.historical:
            lines.append("later on event/log: historical")
    elif found.match is not None:
        lines.append(f"{happening.latency_ms} ms from capture to event")
    for number, line in enumerate(lines):
        text = fit(line, 15, width)
        canvas.text((left, top + 110 + 23 * number), text, 15)


def _chosen(track: list[_Sighting], decided: _Sighting | None) -> list[_Sighting]:
    """At most `TILES` frames over the whole track, the one of the decision among them."""
    if decided is None or len(track) <= TILES:
        return track
    places = {round(at) for at in np.linspace(0, len(track) - 1, TILES)}
    wanted = track.index(decided)
    if wanted not in places:
        inner = sorted(places)[1:-1]
        places.remove(min(inner, key=lambda place: abs(place - wanted)))
        places.add(wanted)
    return [track[place] for place in sorted(places)]
