"""Draws what `edgeface inspect` shows: the picture marked, and of each face what the models see."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from edgeface.demo.canvas import (
    AMBER,
    GRAY,
    GREEN,
    INK,
    LINE,
    PAPER,
    RED,
    SOFT,
    WHITE,
    Canvas,
    Rgb,
    fit,
    text_width,
)
from edgeface.gallery.gate import explain
from edgeface.recognition.quality import QualityLimits, refusal
from edgeface.recognition.values import Image
from edgeface.service.annotation import draw_face
from edgeface.toolbox.gradients import draw_gradients
from edgeface.toolbox.marking import numbered
from edgeface.toolbox.measures import Measure, measures
from edgeface.toolbox.seen_face import SeenFace

WIDTH: Final = 1240
_MARGIN: Final = 28
_TOP: Final = 92
_PICTURE: Final = (WIDTH - 2 * _MARGIN, 560)
_BLOCK: Final = 272
_CROP: Final = 176
_TABLE: Final = 372

_FRAME_HEIGHT: Final = 640
_PANEL: Final = 400
_LEAST_CLOSER: Final = 300
"""So much room beside the picture is used for a closer look."""
_SMALL_BLOCK: Final = 296
_SMALL_CROP: Final = 132


@dataclass(frozen=True, slots=True)
class Showing:
    """What is shown of each face."""

    limits: QualityLimits
    components: tuple[int, ...] = ()
    """Of the embedding, to be marked on its curve."""
    gradients: bool = False


def draw_page(
    title: str, subtitle: str, image_bgr: Image, faces: Sequence[SeenFace], showing: Showing
) -> Image:
    """BGR uint8 `(h, w, 3)`: the picture with its faces numbered, and below it each face."""
    height, width = image_bgr.shape[:2]
    scale = min(_PICTURE[0] / width, _PICTURE[1] / height, max(1.0, 480 / max(height, width)))
    marked = numbered(image_bgr, [(face, state(face, showing)[1][::-1]) for face in faces], scale)
    first = _TOP + marked.shape[0] + 18
    canvas = Canvas(WIDTH, first + _BLOCK * len(faces) + 8)
    canvas.text((_MARGIN, 20), fit(title, 24, _PICTURE[0], bold=True), 24, bold=True)
    canvas.text((_MARGIN, 58), fit(subtitle, 14, _PICTURE[0]), 14, SOFT)
    canvas.picture(_MARGIN, _TOP, marked)
    beside = _MARGIN + marked.shape[1] + 16
    if faces and WIDTH - _MARGIN - beside > _LEAST_CLOSER:
        size = (min(WIDTH - _MARGIN - beside, round(1.3 * marked.shape[0])), marked.shape[0])
        canvas.picture(beside, _TOP, _closer(image_bgr, faces, showing, size))
    for place, face in enumerate(faces):
        _draw_face(canvas, first + place * _BLOCK, place + 1, face, showing)
    return canvas.image


def draw_frame(image_bgr: Image, line: str, faces: Sequence[SeenFace], showing: Showing) -> Image:
    """BGR uint8 `(640, w, 3)`, w even: a frame of a video marked, and beside it its first faces."""
    scale = _FRAME_HEIGHT / image_bgr.shape[0]
    marked = numbered(image_bgr, [(face, state(face, showing)[1][::-1]) for face in faces], scale)
    wide = marked.shape[1] + marked.shape[1] % 2
    canvas = Canvas(wide + _PANEL, _FRAME_HEIGHT)
    canvas.picture(0, 0, marked)
    canvas.text((wide + 16, 14), line, 15, SOFT)
    shown = (_FRAME_HEIGHT - 44) // _SMALL_BLOCK
    for place, face in enumerate(faces[:shown]):
        _draw_small(canvas, (wide + 16, 44 + place * _SMALL_BLOCK), face, showing)
    if len(faces) > shown:
        more = f"and {len(faces) - shown} more"
        canvas.text((wide + _PANEL - 16, 14), more, 15, SOFT, align="right")
    return canvas.image


def _closer(
    image_bgr: Image, faces: Sequence[SeenFace], showing: Showing, size: tuple[int, int]
) -> Image:
    """The largest face and what is about it, of this width and height, marked."""
    face = max(faces, key=lambda face: face.box.area)
    scale = size[1] / (1.5 * max(face.box.height, face.box.width))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    (x, y), (wide, high) = face.box.center, size
    shift = np.array([[scale, 0, wide / 2 - scale * x], [0, scale, high / 2 - scale * y]])
    part = np.asarray(
        cv2.warpAffine(image_bgr, shift, size, flags=way, borderValue=PAPER[::-1]), np.uint8
    )
    box = face.box.scale(scale, scale).translate(shift[0, 2], shift[1, 2])
    landmarks = np.asarray(face.landmarks * scale + shift[:, 2], np.float32)
    draw_face(part, replace(face.face, box=box, landmarks=landmarks), state(face, showing)[1][::-1])
    return part


def state(face: SeenFace, showing: Showing) -> tuple[str, Rgb, str]:
    """A word, its color, and in a clause what is wrong: by the door's limits, and by those of
    enrollment, which are stricter."""
    if face.gate is not None:
        return face.gate, RED, explain(face.gate, face.quality, showing.limits)
    stricter = showing.limits.for_enrollment()
    gate = refusal(face.quality, stricter)
    if gate is None:
        return "good", GREEN, "compared at a door, and may be enrolled"
    why = explain(gate, face.quality, stricter)
    return "good at a door", AMBER, f"not to be enrolled: {gate}, {why}"


def _draw_face(canvas: Canvas, top: int, number: int, face: SeenFace, showing: Showing) -> None:
    canvas.band((_MARGIN, top, WIDTH - _MARGIN, top + 1), LINE)
    word, color, why = state(face, showing)
    right = canvas.text((_MARGIN, top + 15), str(face.track_id or number), 20, bold=True) + 14
    right = canvas.pill(right, top + 13, word, 14, color) + 14
    canvas.text((right, top + 17), fit(why, 14, WIDTH - _MARGIN - right), 14, SOFT)
    top += 56
    left = _picture(canvas, (_MARGIN, top), _scaled(face.crop, _CROP), "what is embedded")
    if showing.gradients:
        picture = draw_gradients(face.crop, _CROP)
        left = _picture(canvas, (left, top), picture, "oriented gradients")
    for row, measure in enumerate(measures(face.quality, showing.limits)):
        _draw_measure(canvas, (left + 6, top + 20 * row), _TABLE, measure)
    left += _TABLE + 34
    box = (left, top, WIDTH - _MARGIN, top + _CROP)
    _draw_curve(canvas, box, face, showing.components)


def _draw_small(canvas: Canvas, at: tuple[int, int], face: SeenFace, showing: Showing) -> None:
    left, top = at
    wide = _PANEL - 32
    canvas.band((left, top, left + wide, top + 1), LINE)
    word, color, _ = state(face, showing)
    right = canvas.text((left, top + 12), str(face.track_id), 18, bold=True) + 12
    canvas.pill(right, top + 10, word, 12, color)
    top += 44
    side = 116 if showing.gradients else _SMALL_CROP
    canvas.picture(left, top, _scaled(face.crop, side))
    beside = left + side + 14
    if showing.gradients:
        canvas.picture(beside, top, draw_gradients(face.crop, side))
        beside += side + 14
    for row, measure in enumerate(measures(face.quality, showing.limits)):
        place = (beside, top + row * 13)
        _draw_measure(canvas, place, left + wide - beside, measure, size=10)
    box = (left, top + _SMALL_CROP + 18, left + wide, top + _SMALL_BLOCK - 66)
    _draw_curve(canvas, box, face, showing.components)


def _picture(canvas: Canvas, at: tuple[int, int], picture: Image, text: str) -> int:
    """Where the next thing beside it begins."""
    left, top = at
    canvas.picture(left, top, picture)
    side = int(picture.shape[0])
    canvas.text((left + side // 2, top + side + 8), text, 12, SOFT, align="middle")
    return left + side + 18


def _scaled(crop_rgb: Image, side_px: int) -> Image:
    bgr = np.ascontiguousarray(crop_rgb[..., ::-1])
    return np.asarray(cv2.resize(bgr, (side_px, side_px), interpolation=cv2.INTER_CUBIC), np.uint8)


def _draw_measure(
    canvas: Canvas, at: tuple[int, int], wide: int, measure: Measure, size: int = 13
) -> None:
    """Name, a bar with the limit on it, the value, and where there is room the limit in words."""
    left, top = at
    words = wide > 300
    color = RED if measure.gates else INK
    canvas.text((left, top), measure.name, size, SOFT)
    begin, end = left + 6 * size, left + wide - (210 if words else 4 * size + 4)
    if end - begin > 20:
        middle, high = top + round(0.62 * size), max(2, size // 4)

        def x(value: float) -> int:
            return round(begin + min(1.0, abs(value) / measure.full) * (end - begin))

        canvas.band((begin, middle - high, end, middle + high), LINE)
        fill_color = RED if measure.gates else GREEN if measure.enrollable else AMBER
        canvas.band((begin, middle - high, x(measure.value), middle + high), fill_color)
        for limit, ink in ((x(measure.stricter), GRAY), (x(measure.limit), INK)):
            if begin < limit < end:
                canvas.band((limit - 1, middle - high - 2, limit + 1, middle + high + 2), ink)
    where = (left + wide - (148 if words else 0), top)
    canvas.text(where, measure.shown, size, color, bold=bool(measure.gates), align="right")
    if words:
        canvas.text((left + wide - 140, top + 1), measure.limit_shown, size - 2, SOFT)


def _draw_curve(
    canvas: Canvas, box: tuple[int, int, int, int], face: SeenFace, components: tuple[int, ...]
) -> None:
    """The embedding, its numbers from left to right."""
    left, top, right, bottom = box
    values = face.embedding.astype(np.float64)
    most = max(0.3, float(np.abs(values).max()) * 1.05)
    canvas.band(box, WHITE)
    canvas.frame(box, LINE)
    xs = left + 8 + np.arange(len(values)) * (right - left - 16) / max(1, len(values) - 1)
    ys = (top + bottom) / 2 - values / most * ((bottom - top) / 2 - 8)
    canvas.band((left + 1, (top + bottom) // 2, right - 1, (top + bottom) // 2 + 1), LINE)
    small = 12 if right - left > 380 else 10
    for value, y in ((most, top + 5), (-most, bottom - small - 7)):
        canvas.text((left + 6, y), f"{value:+z.2f}", small, SOFT)
    canvas.line(np.stack([xs, ys], 1), INK if face.gate is None else SOFT)
    free = left - 12
    for component in sorted(set(components)) or (0, len(values) // 2, len(values) - 1):
        text = str(component)
        if components:
            canvas.dot((float(xs[component]), float(ys[component])), 4, AMBER)
            text += f": {values[component]:+z.2f}"
        half = text_width(text, small) // 2 + 1
        middle = min(max(round(xs[component]), left + half), right - half)
        if middle - half >= free:  # of values that lie close together the first is named
            canvas.text((middle, bottom + 6), text, small, SOFT, align="middle")
            free = middle + half + 5
