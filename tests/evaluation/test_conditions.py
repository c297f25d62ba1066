"""`edgeface evaluate conditions` and `quantization`: on small real models, and on photographs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeface.cli.main import main
from edgeface.evaluation.conditions import CLEAN, CONDITIONS, DegradedPictures
from edgeface.evaluation.impostors import share_interval
from edgeface.recognition.values import Box, Face, Image
from tests.support.packages import edit_description
from tests.support.pages import assert_stands_alone
from tests.support.patterned_people import picture, png


@pytest.fixture
def models(detector_package: Path, embedder_package: Path) -> list[str]:
    return ["--detector", str(detector_package), "--embedder", str(embedder_package)]


class OnePicture:
    """Noise with a face of 100 pixels in it."""

    image: Image = np.random.default_rng(1).integers(40, 200, (240, 200, 3)).astype(np.uint8)
    face = Face(
        Box(50, 60, 150, 180),
        np.array([[75, 100], [125, 102], [100, 125], [80, 150], [120, 151]], np.float32),
        0.9,
    )

    def read(self, _: str) -> Image:
        return self.image.copy()


@pytest.mark.parametrize("condition", CONDITIONS)
def test_what_is_done_to_a_picture_follows_from_its_name(condition: str) -> None:
    source = OnePicture()
    faces = {"a": source.face, "b": source.face}
    first, again = (DegradedPictures(source, faces, condition).read("a") for _ in range(2))
    assert np.array_equal(first, again)
    assert first.dtype == np.uint8
    assert not np.array_equal(first, source.image)
    assert np.array_equal(source.image, OnePicture.image)


def test_the_coverings_hide_their_part_of_the_face_alone() -> None:
    source = OnePicture()
    eyes, mouth = (slice(96, 106), slice(70, 80)), (slice(146, 154), slice(95, 105))
    hair = (slice(70, 76), slice(90, 110))
    for condition, hidden, seen in (
        ("masked", mouth, eyes),
        ("sunglasses", eyes, mouth),
        ("cap", hair, mouth),
    ):
        image = DegradedPictures(source, {"a": source.face}, condition).read("a")
        assert image[hidden].std(axis=(0, 1)).max() < 1
        assert np.array_equal(image[seen], source.image[seen])
    small = DegradedPictures(source, {"a": source.face}, "40 px").read("a")
    assert small.shape[:2] == (96, 80)
    gray = DegradedPictures(source, {"a": source.face}, "gray").read("a")
    assert np.ptp(gray, axis=2).max() == 0


def test_each_condition_is_measured_on_the_same_pairs(
    capsys: pytest.CaptureFixture[str], people: Path, pairs: Path, models: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    given = ["evaluate", "conditions", "--pairs", str(pairs), "--root", str(people), *models]
    assert main([*given, "--json", "--report", str(page)]) == 0
    measured: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert [row["condition"] for row in measured["conditions"]] == [CLEAN, *CONDITIONS]
    assert measured["pictures_faceless"] == ["07/frontal/2.png"]
    clean = measured["conditions"][0]
    # 24 same-person pairs less the two with the picture without a face.
    assert {row["genuine_pairs"] for row in measured["conditions"]} == {22}
    assert (clean["found"], clean["operating_points"][0]["tar"]) == (1.0, 1.0)
    assert [point["name"] for point in clean["operating_points"]] == [
        "two photographs",
        "card and face",
        "12 people",
        "100 people",
    ]
    # The small detector sees red: nothing is red in gray pictures, and what is not found is missed.
    gray = next(row for row in measured["conditions"] if row["condition"] == "gray")
    assert (gray["found"], gray["gate_passed"]) == (0.0, 0.0)
    assert {point["tar"] for point in gray["operating_points"]} == {0.0}
    assert_stands_alone(page)
    assert page.read_text().count("<img") == len(CONDITIONS) + 1

    assert main([*given, "--folds", "1"]) == 0
    output = capsys.readouterr()
    assert "12 pairs of one person" in output.out
    assert all(condition in output.out for condition in CONDITIONS)


def test_conditions_need_a_calibration_and_a_pair(
    capsys: pytest.CaptureFixture[str], people: Path, pairs: Path, models: list[str], tmp_path: Path
) -> None:
    given = ["evaluate", "conditions", "--pairs", str(pairs), "--root", str(people), *models]
    assert main([*given, "--folds", "9"]) == 2
    assert "no pair is in the folds [9]" in capsys.readouterr().err
    shutil.copytree(models[3], tmp_path / "bare")
    edit_description(tmp_path / "bare", lambda description: description.pop("calibration"))
    assert main([*given, "--embedder", str(tmp_path / "bare")]) == 3
    assert "calibration: missing" in capsys.readouterr().err


def test_the_interval_of_a_share_is_that_of_its_people(rng: np.random.Generator) -> None:
    subjects = np.repeat(np.arange(40), 10).astype(np.int32)
    alike = np.repeat(rng.random(40) < 0.5, 10)
    mixed = rng.permutation(alike)
    wide, narrow = (share_interval(hits, subjects, 40) for hits in (alike, mixed))
    assert wide is not None
    assert narrow is not None
    assert wide[1] - wide[0] > 2 * (narrow[1] - narrow[0])
    assert share_interval(alike[:10], subjects[:10], 1) is None


def test_bytes_cost_next_to_nothing(
    capsys: pytest.CaptureFixture[str], people: Path, pairs: Path, models: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    given = ["--pairs", str(pairs), "--root", str(people), *models]
    assert main(["evaluate", "quantization", *given, "--json", "--report", str(page)]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert (measured["pairs"], measured["compared"]) == (48, 44)
    exact, mixed, both = measured["forms"]
    assert (exact["difference_mean"], exact["difference_max"]) == (0, 0)
    for form in (mixed, both):
        assert 0 < form["difference_mean"] < form["difference_max"] < 0.01
        assert form["accuracy"] == pytest.approx(exact["accuracy"], abs=0.05)
    assert mixed["difference_mean"] < both["difference_mean"]
    assert {point["verdicts_changed"] for point in exact["operating_points"]} == {0}
    assert_stands_alone(page)

    assert main(["evaluate", "quantisation", *given]) == 0
    output = capsys.readouterr()
    assert "44 of 48 pairs have two faces" in output.out
    assert "07/frontal/2.png: no face found" in output.err


def test_pairs_without_any_face_are_one_line(
    capsys: pytest.CaptureFixture[str], models: list[str], tmp_path: Path
) -> None:
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(png(picture(1, 1, face=False)))
    (tmp_path / "pairs.csv").write_text("fold,a,b,same\n1,a.png,b.png,1\n1,a.png,c.png,0\n")
    given = ["--pairs", str(tmp_path / "pairs.csv"), "--root", str(tmp_path), *models]
    for kind, said in (
        ("quantization", "no pair has a face in both pictures"),
        ("conditions", "no pair of one person has a face in both pictures"),
    ):
        assert main(["evaluate", kind, *given]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error == f"edgeface: error: {said}"
    assert main(["evaluate", "verification", *given]) == 0
    assert "3 of 3 pictures" in capsys.readouterr().out


def test_pictures_are_asked_for_in_one_line(
    capsys: pytest.CaptureFixture[str], pairs: Path
) -> None:
    for kind in ("verification", "quantization"):
        assert main(["evaluate", kind, "--pairs", str(pairs)]) == 2
        assert "Give --root, --embeddings or both" in capsys.readouterr().err


def test_the_shipped_models_lose_what_is_covered(
    capsys: pytest.CaptureFixture[str], shared: Path, tmp_path: Path
) -> None:
    pictures = shared / "data" / "cfp.zip"
    if not pictures.is_file():
        pytest.skip(f"no {pictures}")
    rows = ["fold,a,b,same"]
    for person in range(401, 413):
        first, second = (f"{person}/frontal/{number:02d}.jpg" for number in (1, 2))
        other = f"{person + 1 if person < 412 else 401}/frontal/02.jpg"
        rows += [f"1,{first},{second},1", f"1,{first},{other},0"]
    (tmp_path / "pairs.csv").write_text("\n".join(rows) + "\n")
    given = ["--pairs", str(tmp_path / "pairs.csv"), "--root", str(pictures)]
    assert main(["evaluate", "conditions", *given, "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    by_name = {row["condition"]: row for row in measured["conditions"]}
    tar = {name: row["operating_points"][0]["tar"] for name, row in by_name.items()}
    assert tar[CLEAN] > 0.7
    assert tar["sunglasses"] <= tar[CLEAN]
    assert by_name["backlit"]["found"] > 0.8
    assert by_name[CLEAN]["gate_passed"] > by_name["blurred"]["gate_passed"]
