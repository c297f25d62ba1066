"""Templates of a person that agree become one row; the others stay."""

from __future__ import annotations

import numpy as np
import pytest

from edgeface.recognition import fusion
from edgeface.recognition.fusion import fuse_templates
from edgeface.recognition.templates import CodedRows, encode_rows
from tests.support.people import identity, unit, view


def test_a_gallery_of_one_template_each_is_left_as_it_is() -> None:
    rows = encode_rows(np.stack([identity(np.random.default_rng(n)) for n in range(3)]))
    matrix, owners = CodedRows(rows), np.arange(3, dtype=np.int32)
    assert fuse_templates(matrix, owners) == (matrix, owners)


@pytest.mark.parametrize("block", [1, 4, 8192])
def test_each_person_keeps_their_own(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the rows of a person lie apart, and at whatever place a block ends."""
    monkeypatch.setattr(fusion, "_BLOCK", block)
    rng = np.random.default_rng(4)
    anna, bert, carl = identity(rng), identity(rng), identity(rng)
    views = [view(anna, rng, 0.8) for _ in range(3)]
    rows = encode_rows(np.stack([views[0], bert, views[1], carl, views[2], identity(rng)]))
    owners = np.array([2, 0, 2, 1, 2, 2], dtype=np.int32)
    matrix, kept = fuse_templates(CodedRows(rows), owners)
    assert sorted(kept.tolist()) == [0, 1, 2, 2]
    assert matrix[kept == 0][0] @ bert == pytest.approx(1, abs=1e-3)
    assert matrix[kept == 1][0] @ carl == pytest.approx(1, abs=1e-3)
    of_anna = matrix[kept == 2]
    assert (of_anna @ unit(np.sum(views, axis=0))).max() == pytest.approx(1, abs=1e-3)
    assert any(np.array_equal(codes, rows[5]) for codes in matrix.codes[kept == 2])


def test_two_photographs_of_two_people_under_one_name_stay_two() -> None:
    rng = np.random.default_rng(5)
    rows = encode_rows(np.stack([identity(rng), identity(rng)]))
    matrix, owners = fuse_templates(CodedRows(rows), np.zeros(2, np.int32))
    assert np.array_equal(matrix.codes, rows)
    assert owners.tolist() == [0, 0]


def test_the_same_photograph_twice_is_one() -> None:
    row = encode_rows(identity(np.random.default_rng(6))[np.newaxis])
    matrix, owners = fuse_templates(CodedRows(np.repeat(row, 3, axis=0)), np.zeros(3, np.int32))
    assert np.array_equal(matrix.codes, row)
    assert owners.tolist() == [0]
