"""How large a picture is, from the head of its file: known before memory is taken for it.

JPEG: ITU-T T.81, B.2.2. PNG: W3C PNG, 11.2.1. WebP: RFC 9649, 2.5 to 2.7. BMP: BITMAPCOREHEADER
and BITMAPINFOHEADER.
"""

from __future__ import annotations

from typing import Final, Literal

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_FRAME_HEADERS: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_START_OF_SCAN: Final = 0xDA


def picture_size(content: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, as stored, of a JPEG, PNG, WebP or BMP file; None when it is
    none of them or is cut off before it says."""
    if content.startswith(b"\xff\xd8"):
        return _jpeg(content)
    if content.startswith(_PNG) and content[12:16] == b"IHDR" and len(content) >= 24:
        return _number(content, 16, 4, "big"), _number(content, 20, 4, "big")
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP" and len(content) >= 30:
        return _webp(content)
    if content.startswith(b"BM") and len(content) >= 26:
        return _bmp(content)
    return None


def _jpeg(content: bytes) -> tuple[int, int] | None:
    at = 2
    while (at := content.find(b"\xff", at)) >= 0:
        while content[at : at + 1] == b"\xff":
            at += 1
        marker = content[at] if at < len(content) else _START_OF_SCAN
        if marker == _START_OF_SCAN:
            return None
        if marker in _FRAME_HEADERS:
            if at + 8 > len(content):
                return None
            return _number(content, at + 6, 2, "big"), _number(content, at + 4, 2, "big")
        if marker != 0 and marker not in _WITHOUT_LENGTH:
            at += _number(content, at + 1, 2, "big")
        at += 1
    return None


def _webp(content: bytes) -> tuple[int, int] | None:
    kind = content[12:16]
    if kind == b"VP8X":
        return _number(content, 24, 3) + 1, _number(content, 27, 3) + 1
    if kind == b"VP8L":
        bits = _number(content, 21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return _number(content, 26, 2) & 0x3FFF, _number(content, 28, 2) & 0x3FFF
    return None


def _bmp(content: bytes) -> tuple[int, int]:
    if _number(content, 14, 4) == 12:
        return _number(content, 18, 2), _number(content, 20, 2)
    width, height = (int.from_bytes(content[at : at + 4], "little", signed=True) for at in (18, 22))
    return abs(width), abs(height)


def _number(content: bytes, at: int, size: int, order: Literal["big", "little"] = "little") -> int:
    return int.from_bytes(content[at : at + size], order)
