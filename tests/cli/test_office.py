"""An office's people, enrolled from portraits of 96x96, at its door: with their own card, with
somebody else's, without one, and strangers. Everything as its user does it, from the command line.

With the project's own two photographs, and a dozen people of CFP where its pictures are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest

from edgeface.demo.photographs import COLLINS, HOPPER, in_other_light
from edgeface.evaluation.pictures import PictureRoot
from edgeface.gallery.locate import FaceProblem, find_face
from edgeface.inference.detector import Detector
from edgeface.inference.models import open_on_cpu
from edgeface.inference.package import find_package, load_package
from edgeface.inference.runtimes import find_runtime
from edgeface.recognition.values import Image
from tests.cli.conftest import Edgeface

PORTRAIT_PX = 96
FRAME_PX = (640, 480)
FACE_PX = 110
"""Width of a face at the door."""
ENROLLED = range(251, 263)
"""People of CFP whom the calibration has not seen; of each three pictures are enrolled."""
STRANGERS = range(263, 275)
MISSED_OF = 6
"""Of so many one may be missed by a single frame, of fewer nobody: it is 94 % who are not."""


class Office(NamedTuple):
    """Who comes to the door, and with whose card they are shut out."""

    at_the_door: Mapping[str, Path]
    """Name of somebody enrolled -> a picture of the camera."""
    strangers: tuple[Path, ...]


class Photographer:
    """Makes portraits and camera pictures of photographs."""

    def __init__(self) -> None:
        model = open_on_cpu(load_package(find_package("face_detector")), find_runtime())
        assert isinstance(model, Detector)
        self._detector = model

    def portrait(self, image: Image, path: Path) -> None:
        """Head and shoulders, 96x96."""
        left, top, right, bottom = self._face(image)
        side = 1.7 * max(right - left, bottom - top)
        place = np.array([(left + right) / 2 - side / 2, (top + bottom) / 2 - side / 2])
        scale = PORTRAIT_PX / side
        self._write(path, image, scale, -place * scale, (PORTRAIT_PX, PORTRAIT_PX))

    def frame(self, image: Image, path: Path) -> Path:
        """Somebody before the camera, in a room that is gray."""
        left, top, right, bottom = self._face(image)
        scale = FACE_PX / (right - left)
        middle = np.array([(left + right) / 2, (top + bottom) / 2]) * scale
        self._write(path, image, scale, np.array(FRAME_PX) / 2 - middle, FRAME_PX)
        return path

    def _face(self, image: Image) -> tuple[float, float, float, float]:
        face = find_face(self._detector, image)
        assert not isinstance(face, FaceProblem), face
        return face.box.left, face.box.top, face.box.right, face.box.bottom

    def _write(
        self,
        path: Path,
        image: Image,
        scale: float,
        shift: np.ndarray,
        size: tuple[int, int],
    ) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if scale < 0.5:  # a plain warp of a large photograph would alias
            small = cv2.resize(
                image, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA
            )
            image, scale = np.asarray(small, np.uint8), 0.5
        matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float64)
        made = cv2.warpAffine(image, matrix, size, borderValue=(110, 110, 110))
        assert cv2.imwrite(str(path), made)


def of_two(folder: Path) -> Office:
    """Eileen Collins is enrolled, Grace Hopper is a stranger."""
    photographer = Photographer()
    eileen, grace = (np.asarray(cv2.imread(str(path)), np.uint8) for path in (COLLINS, HOPPER))
    portraits = folder / "team" / "Eileen Collins"
    photographer.portrait(in_other_light(eileen), portraits / "1.png")
    photographer.portrait(np.ascontiguousarray(eileen[:, ::-1]), portraits / "2.png")
    return Office(
        {"Eileen Collins": photographer.frame(eileen, folder / "eileen.png")},
        (photographer.frame(grace, folder / "grace.png"),),
    )


def of_a_dozen(folder: Path, pictures: Path) -> Office:
    """People of CFP; the picture at the door is none of those enrolled."""
    photographer = Photographer()
    with PictureRoot(pictures) as root:
        for number in ENROLLED:
            for shot in (1, 2, 3):
                image = root.read(f"{number:03d}/frontal/{shot:02d}.jpg")
                photographer.portrait(image, folder / "team" / f"No {number}" / f"{shot}.png")
        doors = {
            number: photographer.frame(
                root.read(f"{number:03d}/frontal/10.jpg"), folder / f"{number}.png"
            )
            for number in (*ENROLLED, *STRANGERS)
        }
    return Office(
        {f"No {number}": doors[number] for number in ENROLLED},
        tuple(doors[number] for number in STRANGERS),
    )


@pytest.fixture(params=["two", "a dozen"])
def office(request: pytest.FixtureRequest, edgeface: Edgeface, tmp_path: Path) -> Office:
    """The portraits are in `team`, and everybody is enrolled."""
    if request.param == "two":
        made = of_two(tmp_path)
    else:
        pictures = request.getfixturevalue("shared") / "data" / "cfp.zip"
        if not pictures.is_file():
            pytest.skip(f"no {pictures}")
        made = of_a_dozen(tmp_path, pictures)
    Path("edgeface.yaml").write_text(
        "site: hq\ndevice: door-1\nstate_dir: state\ncamera: {source: images, folder: .}\n"
    )
    code, out, err = edgeface("enroll", "--folder", "team", "-c", "edgeface.yaml")
    assert (code, f"{len(made.at_the_door)} enrolled, 0 skipped, 0 failed" in out) == (0, True), err
    return made


def test_the_door_opens_for_those_who_show_their_own_card(
    edgeface: Edgeface, office: Office
) -> None:
    shut = []
    for name, picture in office.at_the_door.items():
        code, out, err = edgeface("verify", picture, name, "-c", "edgeface.yaml")
        assert (code, out.split(":")[0]) in ((0, "door open"), (1, "door shut")), (name, out, err)
        if code:
            shut.append(name)
    assert len(shut) <= len(office.at_the_door) // MISSED_OF
    shown = [*office.at_the_door.values(), office.strangers[0]][1:]
    for name, picture in zip(office.at_the_door, shown, strict=True):
        code, out, _ = edgeface("verify", picture, name, "-c", "edgeface.yaml")
        assert (code, out.startswith("door shut")) == (1, True), (name, out)
    assert edgeface("verify", office.strangers[0], "Nobody", "-c", "edgeface.yaml")[0] == 2


def test_who_has_no_card_is_named_and_a_stranger_is_nobody(
    edgeface: Edgeface, office: Office
) -> None:
    missed = []
    for name, picture in office.at_the_door.items():
        code, out, err = edgeface("identify", picture, "-c", "edgeface.yaml")
        if code:
            missed.append(name)
        assert (f": {name}, score" in out, ": nobody" in out) == (not code, bool(code)), (out, err)
    assert len(missed) <= len(office.at_the_door) // MISSED_OF
    for picture in office.strangers:
        code, out, _ = edgeface("identify", picture, "-c", "edgeface.yaml")
        assert (code, ": nobody" in out) == (1, True), out
