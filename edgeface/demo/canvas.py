"""A page to draw on: text, pictures, pills and a gauge, with Pillow and DejaVu Sans."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

import cv2
import numpy as np

from edgeface.recognition.values import Image

Colour: TypeAlias = tuple[int, int, int]
"""Red, green, blue."""

INK: Final[Colour] = (28, 32, 38)
SOFT: Final[Colour] = (106, 114, 125)
LINE: Final[Colour] = (216, 220, 226)
PAPER: Final[Colour] = (250, 250, 248)
WHITE: Final[Colour] = (255, 255, 255)
GREEN: Final[Colour] = (36, 150, 62)
RED: Final[Colour] = (200, 48, 48)
AMBER: Final[Colour] = (214, 140, 0)
GREY: Final[Colour] = (140, 146, 154)

GAUGE_FROM: Final = -0.2
"""Cosine at the left end of a gauge; 1 is the right end."""


class Canvas:
    """One page; coordinates in pixels from the top left. Needs the extra `demo`."""

    def __init__(self, width: int, height: int) -> None:
        import matplotlib as mpl
        from PIL import Image as PilImage
        from PIL import ImageDraw, ImageFont

        self._images = PilImage
        self._image_font = ImageFont
        self._fonts: dict[tuple[int, bool], ImageFont.FreeTypeFont] = {}
        self._font_folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
        self._page = PilImage.new("RGB", (width, height), PAPER)
        self._draw = ImageDraw.Draw(self._page)

    def save(self, path: Path) -> None:
        """Write the page as PNG."""
        self._page.save(path, format="PNG", optimize=True)

    def text(
        self,
        at: tuple[float, float],
        text: str,
        size_px: int,
        colour: Colour = INK,
        *,
        bold: bool = False,
        anchor: str = "la",
    ) -> float:
        """One line of text; where it ends. `anchor` is Pillow's: `la` left and ascender, `mm` the
        middle, `ra` right and ascender."""
        font = self._font(size_px, bold=bold)
        self._draw.text(at, text, fill=colour, font=font, anchor=anchor)
        return at[0] + self._draw.textlength(text, font=font)

    def fit(self, text: str, size_px: int, width: float, *, bold: bool = False) -> str:
        """The text, cut so that it is no wider."""
        font = self._font(size_px, bold=bold)
        if self._draw.textlength(text, font=font) <= width:
            return text
        while text and self._draw.textlength(f"{text}…", font=font) > width:
            text = text[:-1]
        return f"{text}…"

    def picture(self, left: int, top: int, picture: Image) -> None:
        """Paste a BGR picture."""
        rgb = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        self._page.paste(self._images.fromarray(rgb), (left, top))

    def frame(self, box: tuple[float, float, float, float], colour: Colour, thick: int = 1) -> None:
        """The outline of left, top, right, bottom."""
        self._draw.rectangle(box, outline=colour, width=thick)

    def band(self, box: tuple[float, float, float, float], colour: Colour) -> None:
        """A filled rectangle."""
        self._draw.rectangle(box, fill=colour)

    def pill(self, left: float, top: float, text: str, size_px: int, colour: Colour) -> float:
        """A word on a coloured ground; its right end."""
        font = self._font(size_px, bold=True)
        width = self._draw.textlength(text, font=font) + 1.2 * size_px
        height = 1.55 * size_px
        box = (left, top, left + width, top + height)
        self._draw.rounded_rectangle(box, radius=0.35 * size_px, fill=colour)
        self._draw.text(
            (left + width / 2, top + height / 2), text, fill=WHITE, font=font, anchor="mm"
        )
        return left + width

    def rule(self, left: float, right: float, y: float) -> None:
        """A thin horizontal line."""
        self._draw.line((left, y, right, y), fill=LINE)

    def gauge(
        self,
        box: tuple[float, float, float],
        scores: Sequence[float],
        fused: float | None,
        threshold: float | None,
        colour: Colour,
    ) -> None:
        """A scale of cosines at left, top and of a width: a dot for each frame, a mark for the
        fused score, a line for the threshold. 44 pixels high."""
        left, top, width = box

        def x(value: float) -> float:
            share = (min(1.0, max(GAUGE_FROM, value)) - GAUGE_FROM) / (1 - GAUGE_FROM)
            return left + share * width

        axis = top + 22
        if threshold is not None:
            self._draw.rectangle((left, axis - 9, x(threshold), axis + 9), fill=(243, 232, 230))
            self._draw.rectangle((x(threshold), axis - 9, x(1.0), axis + 9), fill=(226, 240, 228))
            self._draw.line((x(threshold), axis - 12, x(threshold), axis + 12), fill=INK, width=2)
        self._draw.line((left, axis, left + width, axis), fill=GREY)
        for score in scores:
            at = x(score)
            self._draw.ellipse((at - 4, axis - 4, at + 4, axis + 4), outline=colour, width=2)
        if fused is not None:
            at = x(fused)
            corners = [(at, axis - 3), (at - 7, axis - 15), (at + 7, axis - 15)]
            self._draw.polygon(corners, fill=colour)
        small = self._font(11, bold=False)
        for value, anchor in ((GAUGE_FROM, "lt"), (0.0, "mt"), (1.0, "rt")):
            text = f"{value:g}"
            self._draw.text((x(value), axis + 13), text, fill=SOFT, font=small, anchor=anchor)
        if threshold is not None:
            text = f"threshold {threshold:.2f}"
            self._draw.text((x(threshold), axis + 13), text, fill=INK, font=small, anchor="mt")

    def _font(self, size_px: int, *, bold: bool) -> Any:
        key = (size_px, bold)
        if key not in self._fonts:
            name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
            self._fonts[key] = self._image_font.truetype(self._font_folder / name, size_px)
        return self._fonts[key]


def cut(image: Image, centre: tuple[float, float], size: tuple[float, float]) -> Image:
    """A part of a BGR picture about a point, as large as fits; moved inwards at the edges."""
    height, width = image.shape[:2]
    wide, high = min(width, round(size[0])), min(height, round(size[1]))
    left = min(max(0, round(centre[0] - wide / 2)), width - wide)
    top = min(max(0, round(centre[1] - high / 2)), height - high)
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
