"""The stored form of an embedding, a byte a number and a scale; many, multiplied as if decoded.

An embedding has d numbers, as the embedder says: 128 of the one that ships, and 512 is common. A
gallery of 100,000 people with two templates of 128 has 26 MB of codes, and would have 102 MB of
decoded rows; while one index takes the place of another there are two of them. Rows are decoded in
blocks that stay in the processor's cache; a small matrix keeps its decoded rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.values import Embedding

DIMENSIONS: Final = 128
"""d of the embedder that ships, and of every template that does not say its own."""
MAX_DIMENSIONS: Final = 1024
_MIN_DIMENSIONS: Final = 64
_STEP_DIMENSIONS: Final = 8
_LARGEST_CODE: Final = 127


def check_dimensions(count: int) -> int:
    """`count`, where it can be that of an embedding's numbers: a multiple of 8 from 64 to 1024.
    Raises ValueError. Up to there sums of squared codes are exact in float32."""
    if not can_be_dimensions(count):
        raise ValueError(
            f"an embedding or template has {_MIN_DIMENSIONS} to {MAX_DIMENSIONS} numbers, a "
            f"multiple of {_STEP_DIMENSIONS}; {count} is none"
        )
    return count


def can_be_dimensions(count: int) -> bool:
    """Whether `count` can be how many numbers an embedding has."""
    return _MIN_DIMENSIONS <= count <= MAX_DIMENSIONS and count % _STEP_DIMENSIONS == 0


@dataclass(frozen=True, slots=True, eq=False)
class Template:
    """A quantized embedding; immutable. Raises ValueError when the parts do not fit.

    Equal when codes and scale are equal.
    """

    codes: NDArray[np.int8]
    """int8 `(d,)` in [-127, 127], not all zero; d as in `check_dimensions`."""
    scale: np.float32
    """Embedding value per code, finite and positive."""

    def __post_init__(self) -> None:
        codes = np.array(self.codes, copy=True)
        if codes.dtype != np.int8 or codes.ndim != 1:
            raise ValueError(f"template codes are {codes.dtype} {codes.shape}, not int8 (d,)")
        check_dimensions(len(codes))
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

    `embedding` is float `(d,)`. Raises ValueError when it has another shape, is zero or not
    finite.
    """
    values = np.asarray(embedding, dtype=np.float32)
    if values.ndim != 1:
        raise ValueError(f"embedding is {values.shape}, not (d,)")
    largest = np.abs(values).max()
    scale = np.float32(largest / np.float32(_LARGEST_CODE))
    if not np.isfinite(largest) or scale < np.finfo(np.float32).tiny:
        raise ValueError("embedding is zero or not finite")
    codes = np.clip(np.rint(values / scale), -_LARGEST_CODE, _LARGEST_CODE).astype(np.int8)
    return Template(codes, scale)


def decode_template(template: Template) -> Embedding:
    """A new float32 `(d,)` of unit length."""
    return np.asarray(decode_codes(template.codes[np.newaxis])[0], dtype=np.float32)


def decode_codes(codes: NDArray[np.int8]) -> NDArray[np.float32]:
    """Many templates at once: int8 `(n, d)` to float32 `(n, d)` of unit rows.

    The scales are not needed, as the rows are renormalized. Raises ValueError for a row of zeros.
    """
    values = np.asarray(codes, dtype=np.float32)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    if not length.all():
        raise ValueError("template codes are all zero")
    return np.asarray(values / length, dtype=np.float32)


def encode_rows(rows: NDArray[np.float32]) -> NDArray[np.int8]:
    """The codes of many vectors, float32 `(n, d)`, none of them zero, to int8 `(n, d)`."""
    largest = np.abs(rows).max(axis=1, keepdims=True) if len(rows) else np.ones((0, 1), np.float32)
    return np.rint(rows * (np.float32(_LARGEST_CODE) / largest)).astype(np.int8)


KEEP_DECODED: Final = 8192
"""Up to so many rows are also kept decoded: 4 MiB where d is 128."""
_BLOCK: Final = 512
"""Rows decoded at once: 256 KiB likewise."""
_SPAN: Final = 16384
"""Rows whose cosines are worked on at once; whole blocks."""
_STEP: Final = 8192
"""Rows by which the memory of a changed matrix grows: 1 MiB likewise; what is not used is not
touched."""


class CodedRows:
    """An immutable matrix of unit rows, `(n, d)`, of which the codes are held. One without rows is
    multiplied with vectors of every d.

    `rows[i]` gives decoded rows, `rows @ vectors` and `cosines` those of all rows to unit vectors;
    `numpy.asarray` decodes all of them. The product of a large matrix differs from that of decoded
    rows by the rounding of float32 alone: it is divided by the rows' lengths afterwards.
    """

    def __init__(self, codes: NDArray[np.int8]) -> None:
        """`codes` int8 `(n, d)` are kept, not copied, and made read-only; strides do not matter.
        Raises ValueError for another form and for a row of zeros."""
        if (
            codes.dtype != np.int8
            or codes.ndim != 2
            or (len(codes) and not can_be_dimensions(codes.shape[1]))
        ):
            raise ValueError(f"template codes are {codes.dtype} {codes.shape}")
        codes.setflags(write=False)
        self.codes: Final = codes
        """int8 `(n, d)`."""
        self._lengths = np.empty(len(codes), dtype=np.float32)
        self._decoded = decode_codes(codes) if len(codes) <= KEEP_DECODED else None
        if self._decoded is not None:
            self._decoded.setflags(write=False)
            return
        for rows, values in self._blocks():
            # Sums of whole numbers below 2**24: exact, in whatever order they are added.
            np.sqrt(np.einsum("ij,ij->i", values, values), out=self._lengths[rows])
        if not self._lengths.all():
            raise ValueError("template codes are all zero")

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, d)."""
        return len(self.codes), self.codes.shape[1]

    def __getitem__(self, rows: slice | NDArray[np.integer[Any] | np.bool_]) -> NDArray[np.float32]:
        """These rows decoded, float32 `(k, d)`."""
        if self._decoded is not None:
            return np.asarray(self._decoded[rows], dtype=np.float32)
        return decode_codes(self.codes[rows])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All rows decoded."""
        decoded: NDArray[Any] = np.asarray(self[:], dtype=dtype)
        return decoded

    def __matmul__(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 `(d,)` or `(d, k)` to `(n,)` or `(n, k)`."""
        if vectors.ndim == 1:
            return self.cosines(vectors[np.newaxis]).reshape(-1)
        return self.cosines(vectors.T).T

    def cosines(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Unit rows, float32 `(k, d)`, to their cosines with all rows, `(k, n)`."""
        found = np.empty((len(vectors), len(self)), dtype=np.float32)
        for rows, cosines in self.spans(vectors):
            found[:, rows] = cosines
        return found

    def spans(self, vectors: NDArray[np.float32]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """The same piece by piece, `(k, b)` for the rows of the slice, small enough to be worked on
        in the processor's cache; the array is the caller's until the next piece."""
        if not len(self):
            return
        # Many rows by few columns: OpenBLAS takes several times as long the other way round.
        turned = np.ascontiguousarray(vectors.T)
        if self._decoded is not None:
            yield slice(0, len(self)), np.ascontiguousarray(np.dot(self._decoded, turned).T)
            return
        products = np.empty((_SPAN, len(vectors)), dtype=np.float32)
        found = np.empty((len(vectors), _SPAN), dtype=np.float32)
        for rows, values in self._blocks():
            start = rows.start % _SPAN
            end = start + rows.stop - rows.start
            np.dot(values, turned, out=products[start:end])
            if end == _SPAN or rows.stop == len(self):
                span = slice(rows.stop - end, rows.stop)
                yield span, np.divide(products[:end].T, self._lengths[span], out=found[:, :end])

    def changed(self, kept: NDArray[np.bool_], added: NDArray[np.int8]) -> CodedRows:
        """The rows of `kept`, bool `(n,)`, and after them `added`, int8 `(m, d)`; a copy. Raises
        ValueError when both have rows, of different d."""
        count = int(np.count_nonzero(kept))
        total = count + len(added)
        # Whole steps, so that a successor fits where the one before the last has been.
        width = (self.codes if count else added).shape[1]
        codes = np.empty((-(-total // _STEP) * _STEP, width), dtype=np.int8)[:total]
        end = 0
        for start in range(0, len(self), _BLOCK):  # a selection of all rows at once is a copy more
            rows = slice(start, start + _BLOCK)
            some = self.codes[rows][kept[rows]]
            codes[end : end + len(some)] = some
            end += len(some)
        if len(added):
            codes[count:] = added
        return CodedRows(codes)

    def _blocks(self) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Rows, not divided by their lengths; the array is used again for the next ones."""
        values = np.empty((min(_BLOCK, len(self)), self.shape[1]), dtype=np.float32)
        for start in range(0, len(self), _BLOCK):
            rows = slice(start, min(start + _BLOCK, len(self)))
            some = values[: rows.stop - rows.start]
            np.copyto(some, self.codes[rows])
            yield rows, some
