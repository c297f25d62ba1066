"""The immutable gallery index and who may match when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgeface.recognition.index import GalleryIndex, UnsyncedClock
from edgeface.recognition.templates import CodedRows
from tests.support.people import gallery, identity, view

NOW = 1_000_000.0


def three() -> GalleryIndex:
    """p_always has two templates, p_now a window around NOW, p_past an ended one."""
    rng = np.random.default_rng(1)
    first = identity(rng)
    index = gallery(
        [np.stack([first, view(first, rng)]), identity(rng), identity(rng)],
        ["p_always", "p_now", "p_past"],
    )
    return replace(
        index,
        valid_from_s=np.array([-np.inf, NOW - 10, -np.inf]),
        valid_to_s=np.array([np.inf, NOW + 10, NOW - 5]),
    )


@pytest.mark.parametrize(
    ("now_s", "synced", "unsynced", "expected"),
    [
        pytest.param(NOW, True, "refuse", [True, True, False], id="synced"),
        pytest.param(NOW - 10, True, "refuse", [True, True, True], id="the first instant"),
        pytest.param(NOW + 10, True, "refuse", [True, False, False], id="the last is outside"),
        pytest.param(NOW, False, "refuse", [True, False, False], id="unsynced, refuse"),
        pytest.param(NOW - 99, False, "allow", [True, True, True], id="unsynced, allow"),
        pytest.param(NOW, False, "allow", [True, True, False], id="surely ended"),
    ],
)
def test_who_may_match(
    now_s: float, synced: bool, unsynced: UnsyncedClock, expected: list[bool]
) -> None:
    index = three()
    mask = index.allowed(now_s, synced, unsynced)
    assert mask.dtype == np.bool_
    assert mask.tolist() == expected
    assert index.templates_allowed(mask) == sum(expected)


def test_the_rows_of_one_person() -> None:
    index = three()
    assert index.templates_of("p_always").tolist() == [0, 1]
    assert index.templates_of("p_past").tolist() == [3]
    assert index.templates_of("p_nobody").tolist() == []


def test_an_empty_index_has_nobody() -> None:
    index = GalleryIndex.empty("space", 2, 7)
    mask = index.allowed(NOW, True, "refuse")
    assert mask.shape == (0,)
    assert index.templates_allowed(mask) == 0
    assert (index.space, index.epoch, index.revision) == ("space", 2, 7)


def test_its_arrays_cannot_be_written() -> None:
    index = three()
    for array in (index.matrix.codes, index.owners, index.valid_from_s, index.valid_to_s):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"matrix": CodedRows(np.eye(3, 128, dtype=np.int8))}, id="too few rows"),
        pytest.param({"owners": np.array([0, 0, 1, 3], np.int32)}, id="an owner who is nobody"),
        pytest.param({"owners": np.array([0, 0, 1, -1], np.int32)}, id="a negative owner"),
        pytest.param({"owners": np.array([0, 0, 1], np.int32)}, id="too few owners"),
        pytest.param({"owners": np.array([0, 0, 1, 2])}, id="int64 owners"),
        pytest.param({"people": ("a", "b", "b")}, id="a person twice"),
        pytest.param({"display_names": ("a",)}, id="too few names"),
        pytest.param({"valid_to_s": np.full(3, np.nan)}, id="no bound"),
    ],
)
def test_an_index_that_does_not_fit_together_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="index"):
        replace(three(), **change)
