"""`edgeface map` on the photographs that ship."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.demo.photographs import COLLINS, HOPPER, write_enrollment
from tests.cli.conftest import Edgeface


@pytest.fixture
def team(tmp_path: Path) -> Path:
    """Two photographs of each of two people, one of them a mirror image, and two of no use."""
    folder = tmp_path / "team"
    for name, photograph in (("Eileen", COLLINS), ("Grace", HOPPER)):
        (folder / name).mkdir(parents=True)
        shutil.copy(photograph, folder / name)
    write_enrollment(folder / "Eileen")
    image = cv2.imread(str(HOPPER))
    assert image is not None
    cv2.imwrite(str(folder / "Grace" / "mirrored.png"), image[:, ::-1])
    cv2.imwrite(str(folder / "Grace" / "blank.png"), np.zeros((99, 99, 3), np.uint8))
    (folder / "Grace" / "broken.jpg").write_bytes(b"x")
    return folder


def test_people_lie_together_and_the_picture_shows_them(edgeface: Edgeface, team: Path) -> None:
    code, out, err = edgeface("map", team, "-o", "map.png", "--csv", "map.csv")
    assert code == 0
    first, *faces = out.splitlines()
    assert first.startswith("4 faces of 2 people in the plane; the two axes carry 9")
    assert len(faces) == 4
    assert "blank.png: no face found" in err
    assert "broken.jpg: not a picture that can be read" in err
    with Path("map.csv").open() as file:
        rows = list(csv.DictReader(file))
    at = {(row["person"], float(row["x"]) > 0) for row in rows}
    assert len(at) == 2  # each person on a side of the first axis
    picture = cv2.imread("map.png")
    assert picture is not None
    assert picture.std() > 10
    code, out, _ = edgeface("map", team, "--json")
    found = json.loads(out)
    assert [face["name"] for face in found["faces"]] == [row["name"] for row in rows]
    assert sum(found["axes_share"]) > 0.9


def test_photographs_by_name_are_nobodys(edgeface: Edgeface) -> None:
    code, out, _ = edgeface("map", COLLINS, HOPPER, "-o", "map.png")
    assert (code, out.startswith("2 faces in the plane; the two axes carry 100%")) == (0, True)
    assert out.count(" +0.000 ") == 2, "the second axis carries nothing, and a zero has no minus"


def test_what_is_no_map_ends_with_two(edgeface: Edgeface, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for arguments, said in (
        (("empty",), "empty: has no pictures"),
        ((COLLINS,), "1 face: a map needs two"),
        (("nowhere",), "nowhere: no such file or folder"),
        (("empty", "-o", "map.gif"), "ends in .png or .jpg"),
    ):
        code, _, err = edgeface("map", *arguments)
        assert (code, said in err) == (2, True), err


@pytest.mark.parametrize(
    "line",
    [
        "inspect a.png -o a.png",
        "compare a.png b.png -o b.png",
        "identify a.png --gallery team -o a.png",
        "identify a.png --gallery team -o team/Grace/mirrored.png",
        "map a.png b.png -o link.png",
        "map team -o team/Grace/mirrored.png",
        "matrix team -o team/Grace/mirrored.png",
        "map team --csv a.png",
        "matrix team --csv a.png",
        "evaluate verification --pairs a --root team --report a.png",
    ],
)
def test_no_picture_that_is_looked_at_is_written_over(
    edgeface: Edgeface, team: Path, tmp_path: Path, line: str
) -> None:
    for name in "ab":
        shutil.copy(team / "Grace" / "mirrored.png", tmp_path / f"{name}.png")
    (tmp_path / "link.png").symlink_to("b.png")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    code, _, err = edgeface(*line.split())
    assert code == 2
    assert f"{line.rsplit(maxsplit=1)[-1]}: " in err
    assert ("write to another name" in err) != ("a name that ends in" in err)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
