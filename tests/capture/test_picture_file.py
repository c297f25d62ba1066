"""A picture from any file: one that can be decoded, or an error that names what is wrong."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.base.errors import PictureError
from edgeface.capture.picture_file import MAX_FILE_BYTES, decode_picture, read_picture


def encoded(suffix: str, width: int = 70, height: int = 34) -> bytes:
    return cv2.imencode(suffix, np.full((height, width, 3), 90, np.uint8))[1].tobytes()


def png_that_claims(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_what_the_four_formats_hold_is_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"good{suffix}"
    path.write_bytes(encoded(suffix))
    assert read_picture(path).shape == (34, 70, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(b"", "the file is empty", id="empty"),
        pytest.param(b"hello", "not a picture", id="text"),
        pytest.param(b"\xff\xd8 no more", "not a picture", id="JPEG without a frame"),
        pytest.param(b"\0\0\0\x18ftypheic" + bytes(64), "save it as JPEG", id="HEIC"),
        pytest.param(png_that_claims(20_000, 20_000), r"20000x20000 pixels", id="bomb"),
        pytest.param(png_that_claims(1, 1 << 26 | 1), "more than 64 megapixels", id="a tall bomb"),
        pytest.param(png_that_claims(0, 9), "not a picture", id="no width"),
        pytest.param(png_that_claims(1 << 31, 0), "not a picture", id="OpenCV refuses the size"),
        pytest.param(b"P6\n70000 70000\n255\n", "not a picture", id="PPM"),
        pytest.param(b"#?RADIANCE\n\n-Y 70000 +X 70000\n", "not a picture", id="HDR"),
    ],
)
def test_what_is_no_picture_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(PictureError, match=message) as error:
        read_picture(path)
    assert str(path) in str(error.value)


def test_a_picture_of_too_many_pixels_is_refused_before_it_is_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(PictureError, match=r"x\.png: 20000x20000 pixels"):
        decode_picture(png_that_claims(20_000, 20_000), "x.png")


def test_what_opencv_raises_is_told_as_a_picture_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> None:
        raise cv2.error("no memory")

    monkeypatch.setattr(cv2, "imdecode", refuse)
    with pytest.raises(PictureError, match=r"x\.png: not a picture that can be read"):
        decode_picture(encoded(".png"), "x.png")


def test_a_large_file_a_pipe_and_a_device_are_not_read(tmp_path: Path) -> None:
    sparse, pipe = tmp_path / "sparse.jpg", tmp_path / "pipe.jpg"
    with sparse.open("wb") as file:
        file.truncate(5 << 30)
    os.mkfifo(pipe)
    for path, message in (
        (sparse, f"larger than {MAX_FILE_BYTES >> 20} MiB"),
        (pipe, "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "absent.png", "No such file"),
    ):
        with pytest.raises(PictureError, match=f"{path}: cannot be read: {message}"):
            read_picture(path)


def textured(progressive: bool) -> bytes:
    image = np.random.default_rng(1).integers(0, 255, (300, 400, 3), np.uint8)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[
        1
    ].tobytes()


@pytest.mark.parametrize("progressive", [False, True])
def test_a_damaged_jpeg_is_no_picture(progressive: bool, capfd: pytest.CaptureFixture[str]) -> None:
    """What libjpeg cannot read comes out gray, and OpenCV says nothing of it."""
    whole = textured(progressive)
    half = len(whole) // 2
    hole = whole[:half] + bytes(8000) + whole[half + 8000 :]
    for content in (whole[:half], whole[:half] + b"\xff\xd9", whole[:-2], hole):
        with pytest.raises(PictureError, match="cut off or damaged"):
            decode_picture(content, "a.jpg")
    padded = whole[:-2] + bytes(3) + whole[-2:]
    assert decode_picture(padded, "a.jpg").shape == decode_picture(whole, "a.jpg").shape
    assert "JPEG" not in capfd.readouterr().err, "what libjpeg says is in the error"
