"""The stored form of an embedding: 128 signed bytes and a scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.values import Embedding

DIMENSIONS: Final = 128
_LARGEST_CODE: Final = 127


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A quantised embedding; immutable. Raises ValueError when the parts do not fit.

    Equal when codes and scale are equal.
    """

    codes: NDArray[np.int8]
    """int8 `(128,)` in [-127, 127], not all zero."""
    scale: np.float32
    """Embedding value per code, finite and positive."""

    def __post_init__(self) -> None:
        codes = np.array(self.codes, copy=True)
        if codes.dtype != np.int8 or codes.shape != (DIMENSIONS,):
            raise ValueError(
                f"template codes are {codes.dtype} {codes.shape}, not int8 ({DIMENSIONS},)"
            )
        if not codes.any() or codes.min() < -_LARGEST_CODE:
            raise ValueError("template codes are all zero or outside [-127, 127]")
        scale = np.float32(self.scale)
        if not np.isfinite(scale) or scale <= 0:
            raise ValueError(f"template scale {scale} is not a positive number")
        codes.setflags(write=False)
        object.__setattr__(self, "codes", codes)
        object.__setattr__(self, "scale", scale)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Template):
            return NotImplemented
        return bool(self.scale == other.scale) and bool(np.array_equal(self.codes, other.codes))

    def __hash__(self) -> int:
        return hash((self.codes.tobytes(), float(self.scale)))


def encode_template(embedding: Embedding) -> Template:
    """`scale = max|x| / 127`, `codes = round_half_even(x / scale)`, both in float32.

    `embedding` is float `(128,)`. Raises ValueError when it has another shape, is zero or not
    finite.
    """
    values = np.asarray(embedding, dtype=np.float32)
    if values.shape != (DIMENSIONS,):
        raise ValueError(f"embedding is {values.shape}, not ({DIMENSIONS},)")
    largest = np.abs(values).max()
    scale = np.float32(largest / np.float32(_LARGEST_CODE))
    if not np.isfinite(largest) or scale < np.finfo(np.float32).tiny:
        raise ValueError("embedding is zero or not finite")
    codes = np.clip(np.rint(values / scale), -_LARGEST_CODE, _LARGEST_CODE).astype(np.int8)
    return Template(codes, scale)


def decode_template(template: Template) -> Embedding:
    """A new float32 `(128,)` of unit length."""
    return np.asarray(decode_codes(template.codes[np.newaxis])[0], dtype=np.float32)


def decode_codes(codes: NDArray[np.int8]) -> NDArray[np.float32]:
    """Many templates at once: int8 `(n, 128)` to float32 `(n, 128)` of unit rows.

    The scales are not needed, as the rows are renormalised. Raises ValueError for a row of zeros.
    """
    values = np.asarray(codes, dtype=np.float32)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    if not length.all():
        raise ValueError("template codes are all zero")
    return np.asarray(values / length, dtype=np.float32)
