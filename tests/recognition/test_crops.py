"""The best crops of one face: which are held, and whom they show."""

from __future__ import annotations

import numpy as np
import pytest

from edgeface.recognition.crops import IMPROVES, BestCrops
from tests.support.people import crop, identity, quality, unit, view

RNG = np.random.default_rng(4)
ANNA, BERT = identity(RNG), identity(RNG)


def weights_and_times(crops: BestCrops) -> list[tuple[float, float]]:
    return [(held.quality.weight, held.at.time_s) for held in crops.kept]


def test_the_best_are_held_in_the_order_in_which_they_came() -> None:
    crops = BestCrops(3, 0.3)
    for time_s, weight in enumerate((0.1, 0.9, 0.2, 0.8, 0.05, 0.7)):
        crops.add(crop(ANNA, time_s, weight))
    assert weights_and_times(crops) == [(0.9, 1), (0.8, 3), (0.7, 5)]
    assert crops.taken == 6
    assert crops.best == quality(0.9)


def test_of_two_equal_ones_the_earlier_stays() -> None:
    crops = BestCrops(2, 0.3)
    for time_s, weight in enumerate((0.5, 0.5, 0.5, 0.6)):
        crops.add(crop(ANNA, time_s, weight))
    assert weights_and_times(crops) == [(0.5, 0), (0.6, 3)]


def test_a_crop_is_worth_its_embedding_while_there_is_room_or_when_it_is_clearly_better() -> None:
    crops = BestCrops(2, 0.3)
    assert crops.improved_by(quality(0.01))
    for time_s, weight in enumerate((0.4, 0.8)):
        crops.add(crop(ANNA, time_s, weight))
    assert not crops.improved_by(quality(0.4 * IMPROVES))
    assert crops.improved_by(quality(0.4 * IMPROVES + 0.01))


def test_the_first_may_show_anybody_and_the_next_have_to_be_like_those_held() -> None:
    crops = BestCrops(4, 0.3)
    assert crops.shows(BERT)
    crops.add(crop(ANNA, 0.0))
    assert crops.shows(view(ANNA, RNG, 0.31))
    assert not crops.shows(view(ANNA, RNG, 0.29))
    assert not crops.shows(np.full(128, np.nan, dtype=np.float32))
    crops.forget()
    assert crops.shows(BERT)
    assert (crops.kept, crops.taken, crops.best) == ([], 0, None)


def test_the_reference_is_the_weighted_mean_and_not_the_last_crop() -> None:
    crops = BestCrops(4, 0.8)
    crops.add(crop(ANNA, 0.0, 0.9))
    crops.add(crop(unit(ANNA + BERT), 0.1, 0.01))
    assert crops.shows(view(ANNA, RNG, 0.85))


def test_weights_that_are_all_zero_count_as_equal() -> None:
    crops = BestCrops(4, 0.3)
    for time_s in (0.0, 0.1):
        crops.add(crop(ANNA, time_s, 0.0))
    assert crops.weights().tolist() == [1.0, 1.0]
    assert crops.embeddings().shape == (2, 128)
    assert len(BestCrops(4, 0.3).embeddings()) == 0


def test_the_newest_frame_is_that_of_the_crops_asked_for() -> None:
    crops = BestCrops(4, 0.3)
    assert crops.newest() is None
    for time_s in (0.0, 0.1, 0.2):
        crops.add(crop(ANNA, time_s))
    newest, named = crops.newest(), crops.newest([True, True, False])
    assert newest is not None
    assert named is not None
    assert (newest.time_s, named.time_s) == (pytest.approx(0.2), pytest.approx(0.1))
    assert crops.newest([False] * 3) is None
