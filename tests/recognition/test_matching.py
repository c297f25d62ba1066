"""Fusion over frames and the ranking of people."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeface.recognition.index import GalleryIndex
from edgeface.recognition.matching import LEAST_LENGTH, NOBODY, match, mean_direction
from tests.support.people import everybody, gallery, identity, stored, unit, view


def axis(*places: tuple[int, float]) -> np.ndarray:
    """A vector with these entries, not normalized."""
    vector = np.zeros(128, dtype=np.float32)
    for place, value in places:
        vector[place] = value
    return vector


WEIGHTS = np.array([3.0, 1.0], dtype=np.float32)
FRAMES = np.stack([axis((0, 0.8), (1, 0.6)), axis((0, 0.6), (1, 0.8))])
"""Two frames of unit length between the first two axes."""


def test_the_fused_score_by_hand() -> None:
    # Anna has the diagonal of the first two axes, Bert the second axis, Carl a third.
    diagonal = axis((0, 0.5**0.5), (1, 0.5**0.5))
    index = gallery([diagonal, axis((1, 1)), axis((2, 1))], ["anna", "bert", "carl"])
    ranking = match(FRAMES, WEIGHTS, index, everybody(index))
    # The mean of the frames is (3 * 0.8 + 0.6, 3 * 0.6 + 0.8) / 4 = (0.75, 0.65).
    length = (0.75**2 + 0.65**2) ** 0.5
    assert [person for person, _ in ranking.people] == [0, 1, 2]
    assert [score for _, score in ranking.people] == pytest.approx(
        [1.4 * 0.5**0.5 / length, 0.65 / length, 0.0]
    )
    assert ranking.frame_people.tolist() == [0, 0]
    assert ranking.frame_scores == pytest.approx([1.4 * 0.5**0.5] * 2)
    assert ranking.templates == 3
    assert ranking.second_score == pytest.approx(0.65 / length)


def test_the_templates_of_a_person_that_agree_are_one() -> None:
    index = gallery([FRAMES, axis((1, 1))])
    ranking = match(FRAMES, np.ones(2, np.float32), index, everybody(index))
    assert ranking.templates == 2
    assert ranking.best_score == pytest.approx(1.0, abs=1e-4)


def test_a_template_that_does_not_agree_stands_for_itself() -> None:
    index = gallery([np.stack([axis((0, 1)), axis((1, 1))])])
    ranking = match(FRAMES, np.ones(2, np.float32), index, everybody(index))
    assert ranking.templates == 2
    assert ranking.best_score == pytest.approx(0.5**0.5)
    assert ranking.frame_scores == pytest.approx([0.8, 0.8])


def test_frames_that_show_nothing_in_common_are_not_made_to_show_somebody() -> None:
    frames = np.stack([axis((number, 1)) for number in range(4)])
    index = gallery([axis((0, 0.5), (1, 0.5), (2, 0.5), (3, 0.5))])
    ranking = match(frames, np.ones(4, np.float32), index, everybody(index))
    assert ranking.best_score == pytest.approx(0.5 / LEAST_LENGTH, abs=1e-4)


def test_each_frame_has_its_own_top_person() -> None:
    index = gallery([axis((0, 1)), axis((1, 1))])
    ranking = match(FRAMES, WEIGHTS, index, everybody(index))
    assert ranking.frame_people.tolist() == [0, 1]


def test_who_is_not_allowed_is_not_there() -> None:
    index = gallery([axis((0, 1)), axis((1, 1)), axis((2, 1))])
    ranking = match(FRAMES, WEIGHTS, index, np.array([False, True, True]))
    assert ranking.best == 1
    assert ranking.frame_people.tolist() == [1, 1]
    assert ranking.templates == 2
    assert 0 not in [person for person, _ in ranking.people]


@pytest.mark.parametrize(
    "index", [GalleryIndex.empty(), gallery([axis((0, 1))])], ids=["empty", "nobody allowed"]
)
def test_nobody_is_ranked_when_nobody_can_match(index: GalleryIndex) -> None:
    ranking = match(FRAMES, WEIGHTS, index, np.zeros(len(index.people), dtype=np.bool_))
    assert ranking.people == ()
    assert (ranking.best, ranking.people) == (NOBODY, ())
    assert ranking.best_score is None
    assert ranking.second_score is None
    assert ranking.frame_people.tolist() == [NOBODY, NOBODY]
    assert ranking.templates == 0


def test_one_person_alone_has_no_second() -> None:
    index = gallery([np.stack([axis((0, 1)), axis((1, 1))])])
    ranking = match(FRAMES, WEIGHTS, index, everybody(index))
    assert len(ranking.people) == 1
    assert ranking.second_score is None


def test_weights_of_zero_count_as_equal() -> None:
    equal = mean_direction(FRAMES, np.ones(2, dtype=np.float32))
    assert mean_direction(FRAMES, np.zeros(2, dtype=np.float32)).tolist() == equal.tolist()


@pytest.mark.parametrize(
    ("embeddings", "weights", "allowed"),
    [
        pytest.param(np.zeros((0, 128)), np.zeros(0), np.ones(1), id="no frame"),
        pytest.param(FRAMES, np.ones(3), np.ones(1), id="weights too many"),
        pytest.param(FRAMES[:, :64], np.ones(2), np.ones(1), id="another embedder"),
        pytest.param(FRAMES, np.ones(2), np.ones(2), id="another gallery's mask"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    embeddings: np.ndarray, weights: np.ndarray, allowed: np.ndarray
) -> None:
    with pytest.raises(ValueError, match=r"match|fit"):
        match(
            embeddings.astype(np.float32),
            weights.astype(np.float32),
            gallery([axis((0, 1))]),
            allowed.astype(np.bool_),
        )


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 8))
def test_it_is_the_same_as_the_definition_written_out(seed: int, people: int, frames: int) -> None:
    rng = np.random.default_rng(seed)
    templates = [
        np.stack([view(one, rng, 0.8) for _ in range(rng.integers(1, 4))])
        for one in (identity(rng) for _ in range(people))
    ]
    index = gallery(templates)
    embeddings = np.stack([view(templates[0][0], rng, 0.7) for _ in range(frames)])
    weights = rng.uniform(0.05, 1, frames).astype(np.float32)
    allowed = rng.random(people) < 0.7
    ranking = match(embeddings, weights, index, allowed)
    probe = unit(weights @ embeddings)
    fused = [unit(np.sum([stored(row) for row in rows], axis=0)) for rows in templates]
    scores = {person: float(probe @ fused[person]) for person in np.flatnonzero(allowed).tolist()}
    # Whose scores are as near as the index's 8 bits tell may stand in either order.
    best = pytest.approx(sorted(scores.values(), reverse=True)[:3], abs=5e-3)
    assert [scores[person] for person, _ in ranking.people] == best
    assert [score for _, score in ranking.people] == best


@pytest.mark.parametrize("people", [50, 20_000], ids=["kept decoded", "piece by piece"])
@pytest.mark.parametrize("share", [0.1, 0.9, 1.0], ids=["few allowed", "most", "all"])
def test_a_gallery_of_any_size_is_ranked_as_one_product_would(people: int, share: float) -> None:
    rng = np.random.default_rng(people)
    index = gallery(list(unit(rng.normal(size=(people, 128)))))
    frames = unit(rng.normal(size=(3, 128)))
    allowed = rng.random(people) < share
    cosines = frames @ np.asarray(index.compared).T
    cosines[:, ~allowed] = -np.inf
    weights = np.array([3.0, 1.0, 2.0], np.float32)
    fused = mean_direction(frames, weights) @ cosines
    ranking = match(frames, weights, index, allowed)
    order = np.argsort(-fused)[:3]
    assert [person for person, _ in ranking.people] == order.tolist()
    assert [score for _, score in ranking.people] == pytest.approx(fused[order], abs=1e-5)
    assert ranking.frame_people.tolist() == cosines.argmax(axis=1).tolist()
    assert ranking.frame_scores == pytest.approx(cosines.max(axis=1), abs=1e-5)
