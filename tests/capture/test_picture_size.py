"""The size of a picture, read from the head of its file."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeface.capture.picture_size import picture_size

LOSSLESS = [cv2.IMWRITE_WEBP_QUALITY, 101]
PROGRESSIVE = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_RST_INTERVAL, 2]


def encoded(suffix: str, options: list[int] | None = None, channels: int = 3) -> bytes:
    """A picture 70 wide and 34 high."""
    image = np.random.default_rng(2).integers(0, 256, (34, 70, channels), np.uint8)
    return cv2.imencode(suffix, image, options or [])[1].tobytes()


def with_exif(jpeg: bytes) -> bytes:
    """An application segment with a thumbnail in it, and fill bytes before the next marker."""
    thumbnail = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    size = (len(thumbnail) + 8).to_bytes(2, "big")
    return jpeg[:2] + b"\xff\xe1" + size + b"Exif\0\0" + thumbnail + b"\xff\xff" + jpeg[2:]


def top_down(bmp: bytes) -> bytes:
    """The height of a picture whose first row is the top one is negative."""
    return bmp[:22] + (-34).to_bytes(4, "little", signed=True) + bmp[26:]


def of_os2(bmp: bytes) -> bytes:
    head = (12).to_bytes(4, "little") + b"".join(n.to_bytes(2, "little") for n in (70, 34, 1, 24))
    return bmp[:10] + (26).to_bytes(4, "little") + head + bmp[54:]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(encoded(".jpg"), id="jpeg"),
        pytest.param(encoded(".jpg", PROGRESSIVE), id="progressive jpeg"),
        pytest.param(with_exif(encoded(".jpg")), id="jpeg with a thumbnail"),
        pytest.param(encoded(".png"), id="png"),
        pytest.param(encoded(".png", channels=4), id="png with alpha"),
        pytest.param(encoded(".webp", [cv2.IMWRITE_WEBP_QUALITY, 80]), id="webp"),
        pytest.param(encoded(".webp", LOSSLESS), id="lossless webp"),
        pytest.param(encoded(".webp", [cv2.IMWRITE_WEBP_QUALITY, 80], 4), id="webp with alpha"),
        pytest.param(encoded(".bmp"), id="bmp"),
        pytest.param(top_down(encoded(".bmp")), id="bmp from the top"),
        pytest.param(of_os2(encoded(".bmp")), id="bmp of OS/2"),
    ],
)
def test_it_is_what_the_decoder_finds(content: bytes) -> None:
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape[:2] == (34, 70)
    assert picture_size(content) == (70, 34)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp"])
def test_a_head_that_is_cut_off_or_damaged_is_no_error(suffix: str) -> None:
    whole = encoded(suffix)
    sizes = {picture_size(whole[:length]) for length in range(min(len(whole), 900))}
    assert sizes == {None, (70, 34)}


@given(
    st.sampled_from([b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"RIFF1234WEBP", b"BM"]), st.binary()
)
def test_any_bytes_give_a_size_or_none(head: bytes, rest: bytes) -> None:
    found = picture_size(head + rest)
    assert found is None or min(found) >= 0
