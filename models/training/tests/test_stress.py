"""The shares of a stress table, against a count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.training.stress import Stress, shares, table


def test_every_pair_is_counted_once() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(1500, 4)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = [float(rows[i] @ rows[j]) for i in range(30) for j in range(i + 1, 30)]
    few = shares(rows[:30], (0.2, 0.7))
    assert few == pytest.approx([np.mean(np.array(cosines) >= t) for t in (0.2, 0.7)])
    upper = (rows @ rows.T)[np.triu_indices(1500, 1)]
    assert shares(rows, (0.5,)) == pytest.approx([float((upper >= 0.5).mean())], rel=1e-3)


def test_the_table_has_a_row_for_each_source() -> None:
    text = table([Stress("wider", 5862, (1.5e-3, 2e-4, 3e-5))])
    assert text.splitlines()[-1] == "| wider | 5,862 | 1.5e-03 | 2.0e-04 | 3.0e-05 |"
