"""One template of a person out of several that agree, for the matcher."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from edgeface.recognition.templates import CodedRows, encode_rows

AGREES: Final = 0.3
"""The least cosine of a template to the mean direction of the person's others."""
_BLOCK: Final = 8192
"""Rows decoded at once: 4 MiB."""


def fuse_templates(
    matrix: CodedRows, owners: NDArray[np.int32]
) -> tuple[CodedRows, NDArray[np.int32]]:
    """What a probe is compared with: the mean of each person's templates, and beside it those that
    do not agree with the person's others, as another look may not.

    `owners` int32 `(n,)` has the person of each row. Returns rows and their owners, at most n; the
    same objects where nobody has two templates. One mean instead of k templates is a third of the
    chances to be taken for that person at k = 3, and is nearer to every other photograph of them:
    both were measured (docs/models.md).
    """
    if not len(owners) or np.bincount(owners).max() < 2:
        return matrix, owners
    order = np.argsort(owners, kind="stable")
    ordered = owners[order]
    codes: list[NDArray[np.int8]] = []
    people: list[NDArray[np.int32]] = []
    start = 0
    while start < len(ordered):
        end = _end_of_person(ordered, start + _BLOCK)
        own = ordered[start:end]
        rows = matrix[order[start:end]]
        first = np.flatnonzero(np.diff(own, prepend=-1))
        agree = _agree(rows, own, first)
        means = np.add.reduceat(rows * agree[:, np.newaxis], first)
        some = np.logical_or.reduceat(agree, first)
        codes += [encode_rows(means[some]), matrix.codes[order[start:end][~agree]]]
        people += [own[first][some], own[~agree]]
        start = end
    return CodedRows(np.concatenate(codes)), np.concatenate(people)


def _agree(
    rows: NDArray[np.float32], own: NDArray[np.int32], first: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Bool `(k,)`: the unit rows that agree with the sum of the others of their person; `first` are
    the places where a person begins."""
    sums = np.repeat(np.add.reduceat(rows, first), np.diff(first, append=len(own)), axis=0)
    dots = np.einsum("ij,ij->i", sums, rows)
    rest = np.einsum("ij,ij->i", sums, sums) - 2 * dots + 1
    alone = rest < 1e-6
    return np.asarray(~alone & ((dots - 1) >= AGREES * np.sqrt(np.maximum(rest, 1e-6))), np.bool_)


def _end_of_person(ordered: NDArray[np.int32], place: int) -> int:
    """The first place from `place` on at which another person begins."""
    if place >= len(ordered):
        return len(ordered)
    return int(np.searchsorted(ordered, ordered[place - 1], side="right"))
