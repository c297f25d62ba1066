"""The shares of a stress table, against a count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.training.stress import Stress, groups_of, shares, table, worst_first


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
    text = table([Stress("wider", 5862, (1.5e-3, 2e-4, 3e-5))], "source")
    assert text.splitlines()[-1] == "| wider | 5,862 | 1.5e-03 | 2.0e-04 | 3.0e-05 |"


def test_a_label_gives_three_groups_and_an_unknown_one_none() -> None:
    assert list(groups_of("27_1_3")) == ["age 20 to 39", "adults, female", "adults, Indian"]
    assert list(groups_of("7_1_3")) == ["age 3 to 12"]
    assert list(groups_of("")) == list(groups_of("39_3_1")) == []


def test_the_worst_group_comes_first() -> None:
    found = [Stress("good", 40, (1e-3, 1e-4, 0.0)), Stress("bad", 40, (1e-3, 9e-4, 0.0))]
    assert [line.group for line in worst_first(found)] == ["bad", "good"]
