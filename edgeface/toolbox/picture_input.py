"""What people have a picture as, made into what the models take."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeface.base.errors import PictureError
from edgeface.capture.picture_file import decode_picture
from edgeface.gallery.gate import fit_photo, read_photo
from edgeface.recognition.values import Image

Color: TypeAlias = Literal["bgr", "rgb"]
"""The order of an array's channels; a file and a PIL image know their own."""

Given: TypeAlias = Any
"""A path, the bytes of a JPEG or PNG file, an array uint8 `(h, w, 3)` or `(h, w)`, a PIL image."""

_TAKEN: Final = (
    "a path, the bytes of a picture file, an array uint8 (height, width, 3) or a PIL image is taken"
)
_ORIENTATION: Final = 0x0112
"""The EXIF tag (CIPA DC-008, 4.6.4): which way the picture has to be turned."""
_ORIENTED: Final = {
    2: (0, True),
    3: (2, False),
    4: (2, True),
    5: (3, True),
    6: (3, False),
    7: (1, True),
    8: (1, False),
}
"""Quarter turns to the left, and whether left and right are exchanged after that."""


def to_image(given: Given, color: str = "bgr") -> Image:
    """BGR uint8 `(h, w, 3)`, the longer side at most 4096 px, as enrollment reads a photograph.

    `color` is the order of an array's channels. Raises PictureError naming what was given and what
    is taken.
    """
    if color not in ("bgr", "rgb"):
        raise PictureError(f'color={color!r}: "bgr", as OpenCV has it, or "rgb" is taken')
    source = name_of(given)
    if given is None:
        raise PictureError(
            f"None was given, which cv2.imread returns for a file it cannot read; {_TAKEN}"
        )
    if isinstance(given, str | os.PathLike):
        return read_photo(Path(given))
    if isinstance(given, bytes | bytearray | memoryview):
        return fit_photo(decode_picture(bytes(given), source), source)
    if isinstance(given, np.ndarray):
        return fit_photo(_from_array(given, color), source)
    if hasattr(given, "getexif") and hasattr(given, "convert"):
        return fit_photo(_from_pil(given), source)
    raise PictureError(f"{source} was given; {_TAKEN}")


def name_of(given: Given) -> str:
    """What an error calls it."""
    if isinstance(given, str | os.PathLike):
        return str(given)
    if isinstance(given, np.ndarray):
        return f"the array {given.dtype} {given.shape}"
    if isinstance(given, bytes | bytearray | memoryview):
        return f"the {len(given)} bytes"
    kind = type(given)
    return f"the {kind.__module__}.{kind.__qualname__}".replace("builtins.", "")


def _from_array(array: NDArray[Any], color: str) -> Image:
    what = f"{name_of(array)} was given"
    if array.size == 0:
        raise PictureError(f"{what}: it is empty")
    if array.dtype != np.uint8:
        hint = ""
        if np.issubdtype(array.dtype, np.floating):
            hint = "; of values from 0 to 1, (255 * array).round().astype('uint8') makes one"
        raise PictureError(f"{what}; uint8 is taken, with values from 0 to 255{hint}")
    if array.ndim == 2:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(array), cv2.COLOR_GRAY2BGR), np.uint8)
    if array.ndim != 3 or array.shape[2] != 3:
        hint = "; array[..., :3] is without the alpha channel" if array.shape[2:] == (4,) else ""
        raise PictureError(f"{what}; (height, width, 3) or (height, width) is taken{hint}")
    return np.ascontiguousarray(array[..., ::-1] if color == "rgb" else array)


def _from_pil(picture: Any) -> Image:
    if min(picture.size) == 0:
        raise PictureError(f"{name_of(picture)} was given: it is empty")
    array = np.asarray(picture.convert("RGB"), np.uint8)[..., ::-1]
    turns, mirrored = _ORIENTED.get(picture.getexif().get(_ORIENTATION, 1), (0, False))
    turned = np.rot90(array, turns)
    return np.ascontiguousarray(np.fliplr(turned) if mirrored else turned)
