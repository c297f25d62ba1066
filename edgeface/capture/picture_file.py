"""A picture from a file that somebody named: bounded before it is read and before it is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgeface.base.errors import PictureError
from edgeface.base.files import read_file
from edgeface.capture.picture_size import picture_size
from edgeface.recognition.values import Image

MAX_FILE_BYTES: Final = 64 << 20

MAX_PIXELS: Final = 64 << 20
"""64 megapixels: decoded they take 200 MB, and a small file can claim any size."""


def read_picture(path: Path) -> Image:
    """BGR uint8 `(h, w, 3)`, turned as its EXIF data say.

    Raises PictureError naming the file and what is wrong with it.
    """
    try:
        content = read_file(path, MAX_FILE_BYTES)
    except OSError as error:
        raise PictureError(f"{path}: cannot be read: {error.strerror}") from error
    return decode_picture(content, str(path))


def decode_picture(content: bytes, source: str) -> Image:
    """BGR uint8 `(h, w, 3)`, turned as its EXIF data say, of a JPEG, PNG, WebP or BMP file.

    Raises PictureError naming `source` and what is wrong with it.
    """
    if not content:
        raise PictureError(f"{source}: the file is empty")
    if content[4:8] == b"ftyp":
        raise PictureError(f"{source}: HEIC, AVIF and video files cannot be read; save it as JPEG")
    size = picture_size(content)
    if size is None:
        raise PictureError(f"{source}: not a picture that can be read (use JPEG or PNG)")
    width, height = size
    if width * height > MAX_PIXELS:
        raise PictureError(
            f"{source}: {width}x{height} pixels are more than {MAX_PIXELS >> 20} megapixels; make "
            "it smaller"
        )
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:  # more than there is memory for, or a header of nonsense
        raise PictureError(f"{source}: not a picture that can be read: {error.err}") from error
    if image is None:
        raise PictureError(f"{source}: not a picture that can be read (use JPEG or PNG)")
    return np.asarray(image, np.uint8)
