"""Read a still picture from a file, with an error that says what is wrong with the file."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from edgeface.base.errors import GalleryError
from edgeface.capture.picture_size import MAX_PIXELS, picture_size
from edgeface.recognition.values import Image

MAX_FILE_BYTES: Final = 64 << 20
MAX_SIDE_PX: Final = 4096
"""Larger photographs are scaled down: a face needs no more, and a Pi has little memory."""
_MIN_SIDE_PX: Final = 16


def read_photo(path: Path) -> Image:
    """BGR uint8 `(h, w, 3)`, turned upright as its EXIF data say, the longer side at most 4096 px.

    Raises GalleryError naming the file and what is wrong.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise GalleryError(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB")
        content = path.read_bytes()
    except OSError as error:
        raise GalleryError(f"{path}: cannot be read: {error.strerror}") from error
    if not content:
        raise GalleryError(f"{path}: the file is empty")
    if content[4:8] == b"ftyp":
        raise GalleryError(f"{path}: HEIC, AVIF and video files cannot be read; save it as JPEG")
    unreadable = GalleryError(f"{path}: not a picture that can be read (use JPEG or PNG)")
    size = picture_size(content)
    if size is None:
        raise unreadable
    width, height = size
    if width * height > MAX_PIXELS:
        raise GalleryError(
            f"{path}: {width}x{height} pixels are more than {MAX_PIXELS >> 20} megapixels; make it "
            f"smaller, e.g. `convert {path.name} -resize {MAX_SIDE_PX}x{MAX_SIDE_PX} small.jpg`"
        )
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise GalleryError(f"{path}: not a picture that can be read: {error.err}") from error
    if image is None:
        raise unreadable
    height, width = image.shape[:2]
    if min(height, width) < _MIN_SIDE_PX:
        raise GalleryError(f"{path}: only {width}x{height} pixels")
    shrink = MAX_SIDE_PX / max(height, width)
    if shrink < 1.0:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(image, np.uint8)
