from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgeface.inference.decode import Candidates, LevelDecoder, best_first, level_shapes, suppress
from edgeface.inference.description import DetectorOutput, Level
from edgeface.inference.network import Quantization, TensorSpec
from tests.support.yardstick import in_yardsticks

LEVEL = Level(stride=8, score="s", box="b", landmarks="l")


def output(**rules: Any) -> DetectorOutput:
    return DetectorOutput(layout="anchor-free", levels=(LEVEL,), **rules)


def spec(scale: float, zero: int = 0) -> TensorSpec:
    return TensorSpec("t", 0, (), np.dtype(np.int8), Quantization(scale, zero))


def decoder(rules: DetectorOutput, threshold: float = 0.5, zero: int = 0) -> LevelDecoder:
    """32x16 pixels: 2 rows of 4 cells."""
    return LevelDecoder(rules, LEVEL, (32, 16), (spec(0.1), spec(0.25, zero), spec(0.5)), threshold)


def raw(rows: int = 2, columns: int = 4, anchors: int = 1) -> tuple[NDArray[np.int8], ...]:
    def shaped(k: int, value: int) -> NDArray[np.int8]:
        return np.full((1, rows, columns, anchors * k), value, np.int8)

    return shaped(1, -100), shaped(4, 0), shaped(10, 0)


def test_ltrb_distances_from_the_centre_of_the_cell() -> None:
    score, box, marks = raw()
    score[0, 1, 2] = 20
    box[0, 1, 2] = (4, 8, 12, 2)
    marks[0, 1, 2] = (-1, -1, 1, -1, 0, 0, -1, 1, 1, 1)
    found = decoder(output()).decode(score, box, marks)
    # The center of row 1, column 2 is (20, 12); a raw step of a box is 0.25 * 8 = 2 pixels.
    assert found.boxes.tolist() == [[12, -4, 44, 16]]
    assert found.landmarks.tolist() == [[[16, 8], [24, 8], [20, 12], [16, 16], [24, 16]]]
    assert found.scores == pytest.approx([1 / (1 + math.exp(-2))])


def test_centre_and_log_size_from_the_corner_of_the_cell() -> None:
    score, box, marks = raw()
    score[0, 1, 2] = 20
    box[0, 1, 2] = (2, 4, 4, 0)
    found = decoder(output(box="cxcywh-log", cell_offset=0.0)).decode(score, box, marks)
    # The corner is (16, 8), the center (20, 16), the size e * 8 by 8.
    width = math.e * 8
    assert found.boxes[0] == pytest.approx([20 - width / 2, 12, 20 + width / 2, 20], rel=1e-5)


def test_zero_points_are_taken_off() -> None:
    score, box, marks = raw()
    score[0, 0, 0] = 20
    box[0, 0, 0] = 8
    found = decoder(output(), zero=4).decode(score, box, marks)
    assert found.boxes.tolist() == [[-4, -4, 12, 12]]


def test_probabilities_are_not_squashed_again() -> None:
    score, box, marks = raw()
    score[0, 0, 0], score[0, 0, 1] = 7, 4
    found = decoder(output(score="probability")).decode(score, box, marks)
    assert found.scores == pytest.approx([0.7])


def test_anchors_of_a_cell_share_its_point() -> None:
    score, box, marks = raw(anchors=2)
    score[0, 0, 1] = (20, 30)
    box[0, 0, 1, :4], box[0, 0, 1, 4:] = 4, 8
    found = decoder(output(anchors_per_cell=2)).decode(score, box, marks)
    assert found.boxes.tolist() == [[4, -4, 20, 12], [-4, -12, 28, 20]]


def test_flattened_tensors_decode_alike() -> None:
    random = np.random.default_rng(2)
    score, box, marks = (random.integers(-99, 99, part.shape).astype(np.int8) for part in raw())
    whole = decoder(output()).decode(score, box, marks)
    flat = decoder(output()).decode(
        score.reshape(1, 8, 1), box.reshape(8, 4), marks.reshape(1, 8, 10)
    )
    assert len(whole) > 0
    assert np.array_equal(whole.boxes, flat.boxes)
    assert np.array_equal(whole.landmarks, flat.landmarks)


@given(
    threshold=st.floats(0.01, 0.99),
    scale=st.floats(0.01, 0.5),
    zero=st.integers(-128, 127),
    kind=st.sampled_from(["logit", "probability"]),
)
def test_the_raw_threshold_keeps_what_the_real_one_keeps(
    threshold: float, scale: float, zero: int, kind: str
) -> None:
    values = np.arange(-128, 128, dtype=np.int8)
    scores = spec(scale, zero)
    level = LevelDecoder(
        output(score=kind), LEVEL, (256 * 8, 8), (scores, spec(1.0), spec(1.0)), threshold
    )
    kept = len(level.decode(values, np.zeros((256, 4), np.int8), np.zeros((256, 10), np.int8)))
    real = (values.astype(np.float64) - zero) * scale
    real = 1 / (1 + np.exp(-real)) if kind == "logit" else real
    assert int((real >= threshold + 1e-5).sum()) <= kept <= int((real >= threshold - 1e-5).sum())


def test_the_shapes_round_up_where_the_stride_does_not_divide() -> None:
    shapes = level_shapes(output(), LEVEL, 33, 15)
    assert shapes["s"] == [(1, 2, 5, 1), (1, 10, 1), (10, 1)]
    assert shapes["l"][0] == (1, 2, 5, 10)


def candidates(boxes: list[list[float]], scores: list[float]) -> Candidates:
    return Candidates(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.zeros((len(boxes), 5, 2), np.float32),
        np.array(scores, np.float32),
    )


def test_the_best_of_overlapping_boxes_stays() -> None:
    found = best_first(
        [
            candidates([[0, 0, 10, 10], [50, 50, 60, 60]], [0.6, 0.7]),
            candidates([[1, 0, 11, 10]], [0.9]),
        ]
    )
    assert suppress(found, 0.4, 8).boxes.tolist() == [[1, 0, 11, 10], [50, 50, 60, 60]]


@pytest.mark.parametrize(
    ("iou", "left"), [pytest.param(0.33, 1, id="above"), pytest.param(0.34, 2, id="below")]
)
def test_overlap_is_intersection_over_union(iou: float, left: int) -> None:
    found = candidates([[0, 0, 10, 10], [5, 0, 15, 10]], [0.9, 0.8])  # IoU 1/3
    assert len(suppress(found, iou, 8)) == left


def test_a_chain_of_boxes_is_not_swallowed_by_its_end() -> None:
    found = candidates([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], [0.9, 0.8, 0.7])
    assert suppress(found, 0.4, 8).boxes[:, 0].tolist() == [0, 8]


def test_no_more_than_asked_for_are_kept() -> None:
    found = candidates([[20.0 * n, 0, 20.0 * n + 10, 10] for n in range(9)], [0.9] * 9)
    assert len(suppress(found, 0.4, 3)) == 3


def test_boxes_without_an_area_are_dropped() -> None:
    assert len(suppress(candidates([[5, 5, 5, 9], [9, 9, 2, 2]], [0.9, 0.8]), 0.4, 8)) == 0


def test_nothing_found_is_an_empty_answer() -> None:
    found = suppress(best_first([candidates([], [])]), 0.4, 8)
    assert found.boxes.shape == (0, 4)
    assert found.landmarks.shape == (0, 5, 2)


def test_a_wall_of_faces_is_bounded_and_fast() -> None:
    level = Level(stride=8, score="s", box="b", landmarks="l")
    wall = LevelDecoder(output(), level, (320, 240), (spec(0.1), spec(0.25), spec(0.5)), 0.5)
    cells = 40 * 30
    score = np.random.default_rng(0).integers(1, 100, (1, 30, 40, 1)).astype(np.int8)
    box = np.full((1, 30, 40, 4), 4, np.int8)
    marks = np.zeros((1, 30, 40, 10), np.int8)

    def decode(_: int) -> None:
        found = suppress(best_first([wall.decode(score, box, marks)]), 0.4, 8)
        assert len(found) == 8

    assert cells > 400
    assert in_yardsticks(decode) < 0.7
