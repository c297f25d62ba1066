from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgeface.base.errors import EvaluationError
from edgeface.evaluation.detection import (
    Annotation,
    Matches,
    average_precision,
    landmark_distance,
    pair_faces,
    read_boxes,
)
from edgeface.evaluation.reference import open_reference
from edgeface.recognition.values import Box, Face


def _face(left: float, top: float, side: float, score: float) -> Face:
    eyes = np.array([[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]], np.float32)
    landmarks = (eyes * side + np.array([left, top])).astype(np.float32)
    return Face(Box(left, top, left + side, top + side), landmarks, score)


def _wanted(left: float, top: float, side: float, ignore: bool = False) -> Annotation:
    return Annotation(Box(left, top, left + side, top + side), ignore)


def test_average_precision_by_hand() -> None:
    # Right, wrong, right of three faces: precision 1, 1/2, 2/3; recall 1/3, 1/3, 2/3.
    # Area: 1/3 * 1 + 1/3 * 2/3 + nothing for the third face.
    hits = np.array([True, False, True])
    assert average_precision(hits, 3) == pytest.approx(1 / 3 + 2 / 9)


def test_average_precision_takes_the_better_precision_further_right() -> None:
    # Wrong, right, right: precision 0, 1/2, 2/3, monotone from the right 2/3 at both hits.
    assert average_precision(np.array([False, True, True]), 2) == pytest.approx(2 / 3)


def test_a_face_is_matched_once_and_by_the_best_score() -> None:
    matches = Matches()
    matches.add([_face(0, 0, 40, 0.7), _face(1, 0, 40, 0.9)], [_wanted(0, 0, 40)], 24)
    assert sorted(matches.found) == [(0.7, False), (0.9, True)]


def test_ignored_and_small_faces_are_neither_demanded_nor_errors() -> None:
    matches = Matches()
    found = [
        _face(100, 100, 40, 0.9),  # on the ignored region
        _face(200, 200, 20, 0.8),  # on a face too small to be demanded
        _face(300, 300, 10, 0.7),  # on nothing, too small to be counted
        _face(400, 400, 40, 0.6),  # on nothing
        _face(0, 0, 40, 0.5),
    ]
    annotated = [_wanted(90, 90, 60, ignore=True), _wanted(200, 200, 20), _wanted(0, 0, 40)]
    matches.add(found, annotated, 24)
    assert sorted(matches.found) == [(0.5, True), (0.6, False)]
    result = matches.result(0.55)
    assert result.faces == 1
    assert result.average_precision == pytest.approx(0.5)
    assert result.recall == 0.0
    assert result.precision == 0.0
    assert matches.result(0.5).recall == 1.0


def test_nothing_demanded_is_said() -> None:
    matches = Matches()
    matches.add([], [_wanted(0, 0, 10)], 24)
    with pytest.raises(EvaluationError, match="large enough"):
        matches.result(0.5)


def test_the_landmark_distance_is_a_percentage_of_the_eyes_distance() -> None:
    reference = _face(0, 0, 100, 0.9)  # eyes 40 px apart
    moved = Face(reference.box, reference.landmarks + np.float32([0, 2]), 0.9)
    pairs = pair_faces([_face(500, 0, 100, 0.9), moved], [reference, _face(0, 300, 10, 0.9)], 24)
    assert len(pairs) == 1
    distance = landmark_distance(pairs)
    assert distance is not None
    assert distance.mean_percent == pytest.approx(5.0)
    assert distance.faces == 1


def test_profiles_whose_eyes_coincide_are_left_out_and_counted() -> None:
    profile = _face(0, 0, 100, 0.9)
    profile.landmarks[1] = profile.landmarks[0] + 1
    good = _face(0, 0, 100, 0.9)
    distance = landmark_distance([(good, profile), (good, good)])
    assert distance is not None
    assert (distance.faces, distance.left_out) == (1, 1)
    assert distance.mean_percent == 0
    assert landmark_distance([(good, profile)]) is None


def test_boxes_are_read_with_their_flags_and_faults_with_their_line(tmp_path: Path) -> None:
    file = tmp_path / "boxes.csv"
    file.write_text("image,x,y,w,h,ignore\na.jpg,1,2,30,40,0\na.jpg,5,5,2.5,2,1\n")
    assert read_boxes(file) == {
        "a.jpg": [Annotation(Box(1, 2, 31, 42), False), Annotation(Box(5, 5, 7.5, 7), True)]
    }
    file.write_text("image,x,y,w,h,ignore\na.jpg,1,2,30\n")
    with pytest.raises(EvaluationError, match=":2: expected image"):
        read_boxes(file)
    file.write_text("image,x,y,w,h,ignore\n")
    with pytest.raises(EvaluationError, match="no boxes"):
        read_boxes(file)


@pytest.mark.parametrize("spec", ["yunet", "yunet:", "other:file.onnx"])
def test_a_reference_has_one_spelling(spec: str) -> None:
    with pytest.raises(EvaluationError, match="expected yunet:"):
        open_reference(spec)


def test_a_missing_reference_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no such YuNet model"):
        open_reference(f"yunet:{tmp_path}/none.onnx@320x240")


def test_the_reference_gives_pixels_of_the_picture_at_any_input_size(shared: Path) -> None:
    import cv2

    model = shared / "teachers" / "face_detection_yunet_2023mar.onnx"
    capture = cv2.VideoCapture(str(next((shared / "data" / "clips").glob("*.mp4"))))
    picture = capture.read()[1]
    capture.release()
    (full, *_), (small, *_) = (
        open_reference(f"yunet:{model}{size}").detect(picture) for size in ("", "@320x240")
    )
    assert full.box.iou(small.box) > 0.7
    eyes = np.linalg.norm(full.landmarks[0] - full.landmarks[1])
    assert np.abs(full.landmarks - small.landmarks).mean() < 0.15 * eyes
    assert full.landmarks[0, 0] < full.landmarks[1, 0]
    assert full.landmarks[3, 0] < full.landmarks[4, 0]
