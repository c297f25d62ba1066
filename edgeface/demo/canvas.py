"""A page to draw on with OpenCV: text, pictures, pills and a gauge."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.values import Image

Rgb: TypeAlias = tuple[int, int, int]
"""Red, green, blue."""
Align: TypeAlias = Literal["left", "middle", "right"]
"""Which part of a text stands at its place."""

INK: Final[Rgb] = (28, 32, 38)
SOFT: Final[Rgb] = (106, 114, 125)
LINE: Final[Rgb] = (216, 220, 226)
PAPER: Final[Rgb] = (250, 250, 248)
WHITE: Final[Rgb] = (255, 255, 255)
GREEN: Final[Rgb] = (36, 150, 62)
RED: Final[Rgb] = (200, 48, 48)
AMBER: Final[Rgb] = (214, 140, 0)
GRAY: Final[Rgb] = (140, 146, 154)
BELOW: Final[Rgb] = (243, 232, 230)
ABOVE: Final[Rgb] = (226, 240, 228)
"""The two sides of a threshold."""

GAUGE_FROM: Final = -0.2
"""Cosine at the left end of a gauge; 1 is the right end."""

_FONT: Final = cv2.FONT_HERSHEY_SIMPLEX
_CAPITALS_PX: Final = 22.0
"""Height of a capital letter of the font at scale 1."""
_CAPITALS: Final = 0.72
_BASELINE: Final = 0.93
"""Height of a capital and place of the baseline below the top, in sizes of the text."""
_SHIFT: Final = 4
"""Bits behind the point of what OpenCV draws at parts of a pixel."""
_FINE: Final = 8
"""Letters are drawn so many times larger and scaled down, which makes them smooth."""


class Canvas:
    """One page; coordinates in pixels from the top left, boxes are left, top, right and bottom."""

    def __init__(self, width: int, height: int) -> None:
        self._page = np.empty((height, width, 3), np.uint8)
        self.band((0, 0, width, height), PAPER)

    def save(self, path: Path) -> None:
        """Write the page as PNG. Raises OSError."""
        _, png = cv2.imencode(".png", self._page, [cv2.IMWRITE_PNG_COMPRESSION, 9])
        path.write_bytes(png.tobytes())

    @property
    def image(self) -> Image:
        """The page as it is, BGR uint8 `(height, width, 3)`."""
        return self._page.copy()

    def text(
        self,
        at: tuple[int, int],
        text: str,
        size_px: int,
        color: Rgb = INK,
        *,
        bold: bool = False,
        align: Align = "left",
    ) -> int:
        """One line of text below a point; its right end. The font has ASCII alone."""
        text, width = _plain(text), text_width(text, size_px, bold=bold)
        left = at[0] - {"left": 0, "middle": width // 2, "right": width}[align]
        scale, thick = _font(size_px, bold=bold)
        large = np.zeros((2 * size_px * _FINE, (width + size_px) * _FINE), np.uint8)
        start = (size_px // 2 * _FINE, round(_BASELINE * size_px * _FINE))
        cv2.putText(large, text, start, _FONT, scale, 255, thick, cv2.LINE_AA)
        size = (width + size_px, 2 * size_px)
        first = left - size_px // 2
        ground = self._page[at[1] : at[1] + size[1], first : first + size[0]]
        smooth = cv2.resize(large, size, interpolation=cv2.INTER_AREA)[:, :, None] / 255.0
        share = smooth[: ground.shape[0], : ground.shape[1]]
        ground[:] = np.rint(ground * (1 - share) + np.array(color[::-1]) * share)
        return left + width

    def picture(self, left: int, top: int, picture: Image) -> None:
        """Paste a BGR picture."""
        height, width = picture.shape[:2]
        self._page[top : top + height, left : left + width] = picture

    def band(self, box: tuple[int, int, int, int], color: Rgb) -> None:
        """A filled rectangle."""
        left, top, right, bottom = box
        self._page[top:bottom, left:right] = color[::-1]

    def frame(self, box: tuple[int, int, int, int], color: Rgb, thick: int = 1) -> None:
        """The outline of a rectangle, inside it."""
        left, top, right, bottom = box
        within = self._page[top + thick : bottom - thick, left + thick : right - thick].copy()
        self.band(box, color)
        self.picture(left + thick, top + thick, within)

    def line(self, points: NDArray[np.float64], color: Rgb, thick: int = 1) -> None:
        """A line through points float64 `(n, 2)`, x and y, at parts of a pixel too."""
        exact = np.rint(points * (1 << _SHIFT)).astype(np.int32)
        cv2.polylines(self._page, [exact], False, color[::-1], thick, cv2.LINE_AA, _SHIFT)

    def dot(self, at: tuple[float, float], radius: int, color: Rgb) -> None:
        """A filled circle."""
        center = (round(at[0] * (1 << _SHIFT)), round(at[1] * (1 << _SHIFT)))
        reach = radius << _SHIFT
        cv2.circle(self._page, center, reach, color[::-1], -1, cv2.LINE_AA, _SHIFT)

    def pill(self, left: int, top: int, text: str, size_px: int, color: Rgb) -> int:
        """A word on a colored ground; its right end."""
        height = round(1.55 * size_px)
        right = left + text_width(text, size_px, bold=True) + round(1.2 * size_px)
        middle, round_px = top + height // 2, height // 2
        ends = ((left + round_px, middle), (right - round_px, middle))
        cv2.line(self._page, *ends, color[::-1], height, cv2.LINE_AA)
        where = ((left + right) // 2, middle - round((_BASELINE - _CAPITALS / 2) * size_px))
        self.text(where, text, size_px, WHITE, bold=True, align="middle")
        return right

    def gauge(
        self,
        at: tuple[int, int],
        width: int,
        scores: Sequence[float],
        fused: float | None,
        threshold: float | None,
        color: Rgb,
    ) -> None:
        """A scale of cosines: a dot for each frame, a mark for the fused score, a line for the
        threshold. 44 pixels high."""
        left, axis = at[0], at[1] + 22

        def x(value: float) -> int:
            share = (min(1.0, max(GAUGE_FROM, value)) - GAUGE_FROM) / (1 - GAUGE_FROM)
            return round(left + share * width)

        ends: dict[Align, float] = {"left": GAUGE_FROM, "middle": 0.0, "right": 1.0}
        for align, value in ends.items():
            self.text((x(value), axis + 11), f"{value:g}", 11, SOFT, align=align)
        if threshold is not None:
            limit = x(threshold)
            self.band((left, axis - 9, limit, axis + 10), BELOW)
            self.band((limit, axis - 9, left + width, axis + 10), ABOVE)
            self.band((limit - 1, axis - 12, limit + 1, axis + 13), INK)
            self.text((limit, axis + 11), f"threshold {threshold:.2f}", 11, align="middle")
        self.band((left, axis, left + width, axis + 1), GRAY)
        for score in scores:
            cv2.circle(self._page, (x(score), axis), 4, color[::-1], 1, cv2.LINE_AA)
        if fused is not None:
            tip = x(fused)
            corners = np.array([(tip, axis - 3), (tip - 7, axis - 15), (tip + 7, axis - 15)])
            cv2.fillPoly(self._page, [corners.astype(np.int32)], color[::-1], cv2.LINE_AA)


def text_width(text: str, size_px: int, *, bold: bool = False) -> int:
    """In pixels."""
    scale, thick = _font(size_px, bold=bold)
    return round(cv2.getTextSize(_plain(text), _FONT, scale, thick)[0][0] / _FINE)


def fit(text: str, size_px: int, width: int, *, bold: bool = False) -> str:
    """The text, cut so that it is no wider."""
    if text_width(text, size_px, bold=bold) <= width:
        return text
    while text and text_width(f"{text}...", size_px, bold=bold) > width:
        text = text[:-1]
    return f"{text}..."


def _plain(text: str) -> str:
    """ASCII: letters without their accents, a question mark for what is none."""
    letters = unicodedata.normalize("NFKD", text)
    bare = "".join(letter for letter in letters if not unicodedata.combining(letter))
    return bare.encode("ascii", "replace").decode()


def _font(size_px: int, *, bold: bool) -> tuple[float, int]:
    """Scale and thickness of the letters, drawn `_FINE` times larger."""
    large = size_px * _FINE
    return _CAPITALS * large / _CAPITALS_PX, round((0.115 if bold else 0.075) * large)


def cut(image: Image, center: tuple[float, float], size: tuple[float, float]) -> Image:
    """A part of a BGR picture about a point, as large as fits; moved inwards at the edges."""
    height, width = image.shape[:2]
    wide, high = min(width, round(size[0])), min(height, round(size[1]))
    left = min(max(0, round(center[0] - wide / 2)), width - wide)
    top = min(max(0, round(center[1] - high / 2)), height - high)
    return image[top : top + high, left : left + wide]


def fill(image: Image, width: int, height: int) -> Image:
    """The picture resized to cover `(height, width)`, its middle kept."""
    rows, columns = image.shape[:2]
    scale = max(width / columns, height / rows)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (max(width, round(columns * scale)), max(height, round(rows * scale)))
    resized = cv2.resize(image, size, interpolation=way)
    middle = (size[0] / 2, size[1] / 2)
    return np.ascontiguousarray(cut(np.asarray(resized, np.uint8), middle, (width, height)))
