"""All pairs of a set of faces: order, outliers, and `edgeface matrix` through the command line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeface.cli.main import main
from edgeface.cli.matrix_picture import draw_matrix
from edgeface.demo.photographs import COLLINS, HOPPER, in_other_light
from edgeface.evaluation.similarity import SimilarityMatrix, clustered, grouped

ONE_AND_OTHER = np.array(
    [[1, 0.1, 0.9, 0.1], [0.1, 1, 0.1, 0.8], [0.9, 0.1, 1, 0.1], [0.1, 0.8, 0.1, 1]], np.float32
)


def test_like_faces_become_neighbors_and_each_stands_once() -> None:
    order = clustered(ONE_AND_OTHER)
    assert sorted(order) == [0, 1, 2, 3]
    assert {frozenset(order[:2]), frozenset(order[2:])} == {frozenset((0, 2)), frozenset((1, 3))}
    assert clustered(np.ones((2, 2), np.float32)) == [0, 1]


def test_a_chain_of_likenesses_is_one_group_only_while_the_mean_cosine_holds() -> None:
    chain = np.array([[1, 0.7, 0.1], [0.7, 1, 0.6], [0.1, 0.6, 1]], np.float32)
    assert grouped(chain, 0.5) == [[0, 1], [2]], "0 and 2 are two people, whoever is between them"
    assert grouped(chain, 0.35) == [[0, 1, 2]]
    assert grouped(chain, 0.8) == [[0], [1], [2]]


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_face_unlike_the_others_stands_out_in_either_metric(metric: str) -> None:
    cosines = np.full((5, 5), 0.8, np.float32)
    cosines[4], cosines[:, 4] = 0.1, 0.1
    np.fill_diagonal(cosines, 1)
    matrix = SimilarityMatrix(cosines, metric)  # type: ignore[arg-type]
    assert matrix.stands_out[4] == pytest.approx(2.0)
    assert matrix.stands_out[:4] == pytest.approx([-0.5] * 4)
    mean = 0.1 if metric == "cosine" else np.sqrt(2 - 0.2)
    assert matrix.means[4] == pytest.approx(mean)
    assert set(matrix.nearest[:4].tolist()) <= {0, 1, 2, 3}


def test_faces_that_are_all_alike_do_not_stand_out() -> None:
    matrix = SimilarityMatrix(np.ones((3, 3), np.float32), "cosine")
    assert matrix.stands_out.tolist() == [0, 0, 0]


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """Two people, two pictures each; two people in one; one without a face; one torn."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    collins, hopper = (cv2.imread(str(path)) for path in (COLLINS, HOPPER))
    assert collins is not None
    assert hopper is not None
    for name, image in {
        "a-collins": collins,
        "b-hopper": hopper,
        "c-collins": in_other_light(np.asarray(collins, np.uint8)),
        "d-hoppers": np.hstack([hopper, hopper[:, ::-1]]),
        "e-nobody": np.full((120, 120, 3), 90, np.uint8),
    }.items():
        cv2.imwrite(str(folder / f"{name}.png"), image)
    (folder / "torn.jpg").write_bytes(b"\xff\xd8torn")
    return folder


def test_a_folder_becomes_a_picture_a_table_and_numbers(
    capsys: pytest.CaptureFixture[str], photographs: Path, tmp_path: Path
) -> None:
    png, table = tmp_path / "m.png", tmp_path / "m.csv"
    command = ["matrix", str(photographs), "-o", str(png), "--csv", str(table)]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    names = [face["name"] for face in found["faces"]]
    assert {name[2:7] for name in names[:2]} in ({"colli"}, {"hoppe"})
    values = np.array(found["values"])
    people = np.array([name[2] for name in names])
    same = people[:, None] == people
    assert (values[same] >= found["threshold"]).all()
    assert (values[~same] < found["doubt_threshold"]).all()
    assert len(found["troubles"]) == 3
    with table.open(newline="") as lines:
        rows = list(csv.reader(lines))
    assert rows[0] == ["name", "mean", "stands_out", *names]
    assert [float(value) for value in rows[2][3:]] == pytest.approx(values[1], abs=1e-4)
    drawn = cv2.imread(str(png))
    assert drawn is not None
    assert min(drawn.shape[:2]) > 300
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "e-nobody.png: no face found" in printed.err
    assert "d-hoppers.png: 2 faces, and none clearly dominates" in printed.err
    assert "torn.jpg" in printed.err
    assert "4 faces, cosine: the same person from" in printed.out


@pytest.mark.parametrize("count", [2, 3, 20])
def test_nothing_that_is_drawn_touches_the_edge(tmp_path: Path, count: int) -> None:
    matrix = SimilarityMatrix(np.full((count, count), 0.3, np.float32), "cosine")
    crops = [np.zeros((8, 8, 3), np.uint8)] * count
    draw_matrix(matrix, ["a" * 40] * count, crops, (0.2, 0.46), tmp_path / "m.png")
    drawn = cv2.imread(str(tmp_path / "m.png"))
    assert drawn is not None
    for edge in (drawn[:, :16], drawn[:, -16:], drawn[:16], drawn[-16:]):
        assert (edge == drawn[0, 0]).all()


def test_photographs_in_the_other_metric_and_by_name(
    capsys: pytest.CaptureFixture[str], photographs: Path
) -> None:
    photos = [str(photographs / f"{name}.png") for name in ("c-collins", "b-hopper", "a-collins")]
    gone = str(photographs / "gone.png")
    options = ["--metric", "euclidean", "--order", "name", "--json"]
    assert main(["matrix", *photos, gone, *options]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [face["name"] for face in found["faces"]] == sorted(photos)
    assert found["values"][0][2] < found["threshold"] < found["values"][0][1]
    assert found["troubles"] == [f"{gone}: no such file"]


def test_fewer_than_two_faces_are_nothing_to_compare(
    capsys: pytest.CaptureFixture[str], photographs: Path, tmp_path: Path
) -> None:
    assert main(["matrix", str(COLLINS), str(photographs / "e-nobody.png")]) == 2
    told = capsys.readouterr().err
    assert "1 face: two are needed to compare" in told
    assert "no face found" in told
    assert main(["matrix", str(COLLINS)]) == 2
    assert "1 face: two are needed" in capsys.readouterr().err
    assert main(["matrix", str(photographs), str(COLLINS)]) == 2
    assert "give one alone, or photographs" in capsys.readouterr().err
    many = [str(photographs / f"{number}.png") for number in range(101)]
    assert main(["matrix", *many, "-o", str(tmp_path / "m.png")]) == 2
    assert "at most 100 are drawn" in capsys.readouterr().err
