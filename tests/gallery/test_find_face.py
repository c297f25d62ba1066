from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.base.errors import PictureError
from edgeface.gallery.gate import MAX_SIDE_PX, read_photo
from edgeface.gallery.locate import FaceProblem, find_face
from edgeface.recognition.values import Box, Face
from tests.support.gallery import PaintedDetector, picture, write_photo


def found(result: Face | FaceProblem) -> Box:
    assert isinstance(result, Face)
    return result.box


def close_to(box: Box, expected: tuple[float, ...], within: float) -> bool:
    sides = (box.left, box.top, box.right, box.bottom)
    return bool(np.allclose(sides, expected, atol=within))


def test_a_face_of_ordinary_size_is_found_at_the_first_look() -> None:
    detector = PaintedDetector()
    box = found(find_face(detector, picture(640, 480, (200, 100, 320, 230))))
    assert close_to(box, (200, 100, 320, 230), 0)
    assert detector.sizes == [(640, 480)]


@pytest.mark.parametrize("side", [48, 96, 600])
def test_a_picture_that_is_nothing_but_a_face_is_found_with_a_border(side: int) -> None:
    face = find_face(PaintedDetector(), picture(side, side, (0, 0, side, side)))
    assert close_to(found(face), (0, 0, side, side), 1.5)
    assert isinstance(face, Face)
    eyes, mouth = face.landmarks[:2], face.landmarks[3:]
    assert np.all(eyes > 0)
    assert np.all(mouth < side)
    assert np.allclose(eyes[0], np.array([38.3, 51.7]) * side / 112, atol=1.5)


def test_a_small_face_in_a_large_picture_is_found_in_a_tile() -> None:
    detector = PaintedDetector(smallest=0.08)
    box = found(find_face(detector, picture(2000, 1500, (1500, 900, 1600, 1020))))
    assert close_to(box, (1500, 900, 1600, 1020), 0)


def test_a_face_seen_in_several_tiles_is_one_face() -> None:
    image = picture(2000, 1500, (950, 700, 1050, 820))
    assert isinstance(find_face(PaintedDetector(), image, prefer="dominant"), Face)


@pytest.mark.parametrize("size", [(640, 480), (96, 96), (20, 400)])
def test_no_face_is_said_so(size: tuple[int, int]) -> None:
    problem = find_face(PaintedDetector(), picture(*size))
    assert problem == FaceProblem("no_face", 0)
    assert problem.message == "no face found"


def test_two_rivals_are_refused_or_the_central_one_taken() -> None:
    image = picture(640, 480, (20, 100, 160, 260), (250, 110, 390, 270))
    problem = find_face(PaintedDetector(), image, prefer="dominant")
    assert problem == FaceProblem("several_faces", 2)
    assert "2 faces" in problem.message
    assert found(find_face(PaintedDetector(), image, prefer="central")).left == 250


def test_a_clearly_larger_face_dominates_the_one_behind() -> None:
    image = picture(640, 480, (20, 60, 90, 140), (200, 100, 420, 400))
    assert found(find_face(PaintedDetector(), image, prefer="dominant")).left == 200


def test_a_photo_is_read_from_any_path(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "Jörg's photo.png", picture(64, 48, (10, 10, 30, 30)))
    assert read_photo(path).shape == (48, 64, 3)
    gray = tmp_path / "gray.png"
    assert cv2.imwrite(str(gray), np.full((48, 64), 90, np.uint8))
    assert read_photo(gray).shape == (48, 64, 3)


def test_a_very_large_photo_is_scaled_down(tmp_path: Path) -> None:
    path = write_photo(tmp_path / "large.png", np.zeros((20, 5000, 3), np.uint8))
    assert read_photo(path).shape == (16, MAX_SIDE_PX, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(None, "No such file", id="absent"),
        pytest.param(b"", "is empty", id="empty"),
        pytest.param(b"hello", "not a picture", id="text"),
        pytest.param(b"\0\0\0\x18ftypheic" + bytes(64), "save it as JPEG", id="heic"),
        pytest.param(cv2.imencode(".png", np.zeros((9, 9, 3)))[1].tobytes(), "only 9x9", id="tiny"),
    ],
)
def test_what_is_no_photo_is_named(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "photo.jpg"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PictureError, match=message) as error:
        read_photo(path)
    assert str(path) in str(error.value)


def test_a_photo_of_too_many_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = bytearray(cv2.imencode(".jpg", picture(64, 48))[1].tobytes())
    at = content.index(b"\xff\xc0") + 5
    content[at : at + 4] = bytes.fromhex("4e207530")
    path = tmp_path / "huge.jpg"
    path.write_bytes(content)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(PictureError, match=r"30000x20000 pixels.*64 megapixels"):
        read_photo(path)


def test_a_cut_off_photo_is_read_as_far_as_it_goes_or_refused(tmp_path: Path) -> None:
    whole = cv2.imencode(".png", picture(64, 48))[1].tobytes()
    path = tmp_path / "half.png"
    path.write_bytes(whole[:40])
    with pytest.raises(PictureError, match="not a picture"):
        read_photo(path)
