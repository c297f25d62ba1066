"""A picture from a file that somebody named: bounded before it is read and before it is decoded."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import cv2
import numpy as np

from edgeface.base.errors import PictureError
from edgeface.base.files import read_file
from edgeface.capture.picture_size import picture_size
from edgeface.recognition.values import Image

READABLE: Final = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
"""How the names of pictures end that can be read."""
PICTURES: Final = (*READABLE, ".tif", ".tiff", ".gif", ".heic", ".heif", ".avif")
"""Those of all pictures: one that cannot be read is told of, where a folder is looked through."""

MAX_FILE_BYTES: Final = 64 << 20

MAX_PIXELS: Final = 64 << 20
"""64 megapixels: decoded they take 200 MB, and a small file can claim any size."""

_JPEG: Final = b"\xff\xd8"
_STANDARD_ERROR: Final = 2
_DAMAGE: Final = re.compile(
    rb"premature end of|bad Huffman code|instead of RST|\d{3,} extraneous bytes", re.IGNORECASE
)
"""What libjpeg says of a picture of which a part is missing; a few stray bytes are usual."""
_decoding: Final = threading.Lock()


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
        image, damaged = _decode(content)
    except cv2.error as error:  # more than there is memory for, or a header of nonsense
        raise PictureError(f"{source}: not a picture that can be read: {error.err}") from error
    if damaged or (image is None and content.startswith(_JPEG)):
        raise PictureError(
            f"{source}: the picture is cut off or damaged; fetch it anew from where it is whole"
        )
    if image is None:
        raise PictureError(f"{source}: not a picture that can be read (use JPEG or PNG)")
    return image


def _decode(content: bytes) -> tuple[Image | None, bool]:
    """The picture, if there is one, and whether libjpeg has made up a part of it.

    It says so on standard error alone, and what is missing comes out gray.
    """
    with _decoding, _standard_error() as said:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    damaged = any(_DAMAGE.search(line) for line in said)
    return None if image is None else np.asarray(image, np.uint8), damaged


@contextmanager
def _standard_error() -> Iterator[list[bytes]]:
    """The lines that are written to file descriptor 2 within; those that are not libjpeg's go on to
    it afterwards. None where it is closed."""
    said: list[bytes] = []
    try:
        place = os.dup(_STANDARD_ERROR)
    except OSError:
        yield said
        return
    with open(place, "wb", buffering=0) as onward, TemporaryFile() as file:  # noqa: PTH123
        os.dup2(file.fileno(), _STANDARD_ERROR)
        try:
            yield said
        finally:
            os.dup2(onward.fileno(), _STANDARD_ERROR)
            file.seek(0)
            said += file.readlines()
            for line in said:
                if b"JPEG" not in line:
                    onward.write(line)
