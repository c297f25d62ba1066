"""Single bits that flip in a file, as on a worn card."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

PAGE = 4096


def flip(path: Path, byte: int, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[byte] ^= 1 << bit
    path.write_bytes(content)


def bits_of(
    content: bytes, first: int, end: int, count: int, seed: int = 1
) -> list[tuple[int, int]]:
    """A sample of (byte, bit) of what is not empty between two offsets."""
    used = [at for at in range(first, end) if any(content[max(first, at - 8) : at + 8])]
    rng = random.Random(seed)
    return [(rng.choice(used), rng.randrange(8)) for _ in range(count)]


def flipped(content: bytes, path: Path, bits: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """`content` at `path` with one bit flipped, one after another, and nothing beside it."""
    for byte, bit in bits:
        for old in path.parent.glob(f"{path.name}*"):
            old.unlink()
        path.write_bytes(content)
        flip(path, byte, bit)
        yield byte, bit
