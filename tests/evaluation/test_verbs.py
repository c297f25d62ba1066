"""`edgeface evaluate` and `edgeface compare`, through the command line, on small real models."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeface.cli.main import main
from edgeface.evaluation.operating_points import SIZES
from edgeface.evaluation.protocol import read_protocol
from edgeface.inference.named_shares import NamedShares
from edgeface.inference.package import load_package
from edgeface.recognition.thresholds import Calibration
from tests.support.packages import CALIBRATION, edit_description
from tests.support.pages import assert_stands_alone
from tests.support.patterned_people import picture, png


@pytest.fixture
def models(detector_package: Path, embedder_package: Path) -> list[str]:
    return ["--detector", str(detector_package), "--embedder", str(embedder_package)]


def _measure(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["evaluate", *arguments, "--json"]) == 0
    measured: dict[str, Any] = json.loads(capsys.readouterr().out)
    return measured


def test_verification_measures_the_shipped_pipeline_on_a_zip(
    capsys: pytest.CaptureFixture[str], people: Path, pairs: Path, models: list[str]
) -> None:
    measured = _measure(
        capsys, "verification", "--pairs", str(pairs), "--root", str(people), *models
    )
    assert {"accuracy", "accuracy_std", "eer", "tar_at_far", "threshold", "pairs"} < set(measured)
    assert measured["pairs"] == 48
    assert measured["faces_not_found"] == 1
    # The picture without a face is in two genuine and two impostor pairs; the rest is easy.
    assert measured["pairs_not_found"] == 4
    assert measured["accuracy"] == pytest.approx(1 - 2 / 48)
    assert list(measured["accuracy_by_fold"]) == pytest.approx([1.0, 1 - 2 / 24])
    # 24 impostor pairs expect 2.4 errors at FAR 0.1.
    assert set(measured["tar_at_far"].values()) == {None}
    assert set(measured["stage_ms"]) == {"decode", "find", "align", "embed"}


def test_all_pairs_takes_every_cross_person_pair(
    capsys: pytest.CaptureFixture[str], people: Path, pairs: Path, models: list[str]
) -> None:
    measured = _measure(
        capsys,
        *("verification", "--pairs", str(pairs), "--root", str(people)),
        *("--all-pairs", *models),
    )
    # 8 people x 3 pictures: 24 * 23 / 2 - 8 * 3 cross-person pairs, less those with both pictures
    # only on one side: `0.png` never stands in column b, `2.png` never in column a.
    protocol = read_protocol(pairs)
    sides = [{pair.a for pair in protocol.pairs}, {pair.b for pair in protocol.pairs}]
    names = protocol.pictures
    expected = sum(
        1
        for i, first in enumerate(names)
        for second in names[i + 1 :]
        if first[:2] != second[:2]
        and (
            (first in sides[0] and second in sides[1]) or (second in sides[0] and first in sides[1])
        )
    )
    assert measured["impostor_pairs"] == expected
    assert measured["tar_at_far"]["0.1"] == pytest.approx(22 / 24)
    assert measured["tar_at_far"]["0.001"] is None


def test_the_table_says_what_cannot_be_measured(
    capsys: pytest.CaptureFixture[str], people: Path, pairs: Path, models: list[str], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    arguments = ["--pairs", str(pairs), "--root", str(people), "--report", str(page)]
    assert main(["evaluate", "verification", *arguments, *models]) == 0
    text = capsys.readouterr().out
    assert "accuracy         95.83%" in text
    assert text.count("not measurable") == 4
    assert "1 of 24 pictures" in text
    assert_stands_alone(page)
    html = page.read_text()
    assert html.count("data:image/jpeg;base64,") == 2 * 2 * 12
    for said in ("95.83%", "1. two photographs", "10,000 people", "DET curve", "ROC curve"):
        assert said in html


def test_missing_and_damaged_pictures_are_counted_and_the_rest_is_measured(
    capsys: pytest.CaptureFixture[str], people: Path, pairs: Path, models: list[str], tmp_path: Path
) -> None:
    with zipfile.ZipFile(people) as archive:
        archive.extractall(tmp_path)
    first, second = read_protocol(pairs).pictures[:2]
    (tmp_path / first).unlink()
    (tmp_path / second).write_bytes(b"P6\n70000 70000\n255\n")
    arguments = ["verification", "--pairs", str(pairs), "--root", str(tmp_path), *models]
    measured = _measure(capsys, *arguments)
    assert measured["pictures"] == 24
    assert measured["faces_not_found"] == 3
    assert measured["pictures_unread"] == [
        f"{tmp_path}: has no picture {first}",
        f"{tmp_path / second}: not a picture that can be read (use JPEG or PNG)",
    ]
    assert main(["evaluate", *arguments]) == 0
    output = capsys.readouterr()
    assert "3 of 24 pictures (2 of them not read), in " in output.out
    assert f"{tmp_path}: has no picture {first}\n" in output.err
    assert "07/frontal/2.png: no face found\n" in output.err


def test_a_root_without_any_of_the_pictures_is_an_error(
    capsys: pytest.CaptureFixture[str], pairs: Path, models: list[str], tmp_path: Path
) -> None:
    arguments = ["verification", "--pairs", str(pairs), "--root", str(tmp_path), *models]
    assert main(["evaluate", *arguments]) == 2
    assert "none of 24 pictures can be read; " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param({"--pairs": "none.csv"}, "none.csv: no such file", id="no-pairs"),
        pytest.param({"--root": "none.zip"}, "none.zip: no such file", id="no-root"),
        pytest.param({"--detector": "yunet:none.onnx"}, "none.onnx: no such YuNet", id="no-yunet"),
    ],
)
def test_what_is_missing_is_one_line(
    capsys: pytest.CaptureFixture[str],
    people: Path,
    pairs: Path,
    models: list[str],
    change: dict[str, str],
    message: str,
) -> None:
    given = {"--pairs": str(pairs), "--root": str(people), models[0]: models[1]}
    given |= {models[2]: models[3]} | change
    arguments = [word for item in given.items() for word in item]
    assert main(["evaluate", "verification", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("edgeface: error: ")
    assert message in error
    assert error.count("\n") == 1


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """24 people with 6 pictures each, the first half in fold 1; pairs file and zip."""
    folder = tmp_path_factory.mktemp("halves")
    rows = ["fold,a,b,same"]
    with zipfile.ZipFile(folder / "people.zip", "w") as archive:
        for person in range(24):
            names = [f"{person:02d}/{number}.png" for number in range(6)]
            for number, name in enumerate(names):
                large = cv2.resize(
                    picture(person, number), (384, 256), interpolation=cv2.INTER_NEAREST
                )
                archive.writestr(name, png(np.asarray(large, np.uint8)))
            rows += [f"{1 + person // 12},{names[0]},{name},1" for name in names[1:]]
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n")
    return folder / "pairs.csv", folder / "people.zip"


def test_calibration_is_fitted_on_one_half_and_checked_on_the_other(
    capsys: pytest.CaptureFixture[str],
    halves: tuple[Path, Path],
    models: list[str],
    tmp_path: Path,
) -> None:
    pairs, root = map(str, halves)
    arguments = ["--pairs", pairs, "--root", root, "--fit-folds", "1", "--check-folds", "2"]
    measured = _measure(capsys, "calibration", *arguments, *models)
    # 12 people x 6 pictures: 72 * 71 / 2 pairs less 12 * 15 of one person.
    assert measured["impostors"] == measured["check_impostors"] == 2376
    assert measured["people"] == 12
    assert [check["fmr"] for check in measured["checks"]] == [1e-3, 1e-4, 1e-5]
    assert all(check["extrapolated"] for check in measured["checks"])
    calibration = Calibration.from_mapping(measured["calibration"])
    assert calibration.smallest_fmr >= 10 / 2376
    named = NamedShares.model_validate(measured["identification"])
    assert (named.people, [size.people for size in named.sizes]) == (12, list(SIZES))
    assert named.sizes[0].threshold == pytest.approx(
        calibration.identification_threshold(1e-3, 3, 12).value, abs=0.05
    )

    assert main(["evaluate", "calibration", *arguments, *models]) == 0
    assert main(["evaluate", "calibration", *arguments, "--write"]) == 2
    assert "name your own package with --embedder" in capsys.readouterr().err
    mine = tmp_path / "mine"
    shutil.copytree(models[3], mine)
    assert (
        main(
            ["evaluate", "calibration", *arguments, *models[:2], "--embedder", str(mine), "--write"]
        )
        == 0
    )
    written = load_package(mine)
    assert written.calibration.smallest_fmr == pytest.approx(
        measured["calibration"]["smallest_fmr"]
    )
    assert written.identification is not None
    assert written.identification.people == 12
    assert "of other people" in capsys.readouterr().out
    page = tmp_path / "page.html"
    assert main(["evaluate", "calibration", *arguments, *models, "--report", str(page)]) == 0
    text = capsys.readouterr().out
    assert "of other people" in text
    assert "12 of other people enrolled, threshold 0." in text
    assert_stands_alone(page)

    assert main(["evaluate", "calibration", *arguments[:-1], "1-2", *models]) == 2
    assert "12 people are in both parts" in capsys.readouterr().err


def test_detection_measures_boxes_and_pictures_of_one_face(
    capsys: pytest.CaptureFixture[str], people: Path, detector_package: Path, tmp_path: Path
) -> None:
    boxes, page = tmp_path / "boxes.csv", tmp_path / "page.html"
    # The small detector's face: 1.5 strides of 8 px to each side of (44, 28), 2 below.
    rows = [
        "image,x,y,w,h,ignore",
        "00/frontal/0.png,32,16,24,28,0",
        "01/frontal/0.png,0,40,24,24,0",
    ]
    boxes.write_text("\n".join(rows) + "\n")
    measured = _measure(
        capsys,
        *("detection", "--root", str(people), "--boxes", str(boxes), "--min-face-px", "20"),
        *("--one-face", "/frontal/", "--detector", str(detector_package)),
        *("--report", str(page)),
    )
    found = measured["boxes"]
    # One face found, one missed, and a false alarm with the same score: 1/2 * 1 or 1/2 * 1/2.
    assert found["recall"] == 0.5
    assert found["precision"] == 0.5
    assert found["average_precision"] in (0.25, 0.5)
    assert measured["one_face"]["missed"] == ["07/frontal/2.png"]
    assert measured["one_face"]["recall"] == pytest.approx(23 / 24)
    assert measured["input_size_px"] == [96, 64]
    assert_stands_alone(page)


def test_detection_without_anything_to_measure_on_is_refused(
    capsys: pytest.CaptureFixture[str], people: Path
) -> None:
    assert main(["evaluate", "detection", "--root", str(people)]) == 2
    assert "--boxes, --one-face or both" in capsys.readouterr().err


@pytest.fixture
def photographs(people: Path, tmp_path: Path) -> Path:
    """As large as photographs are."""
    with zipfile.ZipFile(people) as archive:
        archive.extractall(tmp_path)
    for path in tmp_path.rglob("*.png"):
        image = cv2.imread(str(path))
        assert image is not None
        enlarged = cv2.resize(image, None, fx=8, fy=8, interpolation=cv2.INTER_NEAREST)
        assert cv2.imwrite(str(path), enlarged)
    return tmp_path


def test_compare_tells_one_person_from_two_and_what_lies_between(
    capsys: pytest.CaptureFixture[str],
    photographs: Path,
    models: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b, other, none = (
        str(photographs / name)
        for name in ("00/frontal/0.png", "00/frontal/1.png", "01/frontal/0.png", "07/frontal/2.png")
    )
    assert main(["compare", a, b, "--json", *models]) == 0
    same = json.loads(capsys.readouterr().out)
    assert same["same"] is True
    start, scale = CALIBRATION["tail_start"], CALIBRATION["tail_scale"]
    rate = CALIBRATION["tail_rate"]
    assert same["threshold"] == pytest.approx(start + scale * np.log(rate / 1e-4))

    assert main(["compare", a, b, *models]) == 0
    text = capsys.readouterr().out
    assert f"similarity {same['similarity']:.3f}" in text
    assert "threshold  0.484" in text

    similarity = _similarity(capsys, a, other, models)
    assert similarity < same["similarity"]
    # With a threshold between the two they are not said to be one.
    between = (same["similarity"] + similarity) / 2
    strict = rate * np.exp((start - between) / scale)
    monkeypatch.setattr("edgeface.recognition.thresholds.DOUBT_FMR", strict)
    assert main(["compare", a, other, "--fmr", f"{strict:.12g}", *models]) == 1
    assert capsys.readouterr().out.endswith("two people\n")
    # Nor to be two, where so few strangers are as alike.
    monkeypatch.setattr("edgeface.recognition.thresholds.DOUBT_FMR", 0.999)
    assert main(["compare", a, other, "--fmr", f"{strict:.12g}", *models]) == 1
    assert capsys.readouterr().out.endswith("not sure\n")
    assert main(["compare", a, other, "--fmr", f"{strict:.12g}", "--json", *models]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["same"], answer["verdict"]) == (False, "not sure")
    assert answer["doubt_threshold"] <= answer["similarity"] < answer["threshold"]

    assert main(["compare", a, none, *models]) == 2
    assert "2.png: no face found" in capsys.readouterr().err
    assert main(["compare", a, str(photographs), *models]) == 2
    assert "cannot be read: Is a directory" in capsys.readouterr().err


def test_compare_refuses_what_is_no_photograph_of_one_person(
    capsys: pytest.CaptureFixture[str], photographs: Path, tmp_path: Path, models: list[str]
) -> None:
    good = photographs / "00/frontal/0.png"
    text = tmp_path / "notes.jpg"
    text.write_text("not a picture\n")
    assert main(["compare", str(good), str(text), *models]) == 2
    shown = capsys.readouterr().err
    assert shown == f"edgeface: error: {text}: not a picture that can be read (use JPEG or PNG)\n"


def _similarity(capsys: pytest.CaptureFixture[str], a: str, b: str, models: list[str]) -> float:
    main(["compare", a, b, "--json", *models])
    return float(json.loads(capsys.readouterr().out)["similarity"])


def test_compare_without_a_calibration_says_so(
    capsys: pytest.CaptureFixture[str], photographs: Path, tmp_path: Path, models: list[str]
) -> None:
    import shutil

    folder = tmp_path / "uncalibrated"
    shutil.copytree(models[3], folder)
    edit_description(folder, lambda description: description.pop("calibration"))
    a = str(photographs / "00/frontal/0.png")
    assert main(["compare", a, a, *models[:3], str(folder)]) == 3
    assert "calibration: missing" in capsys.readouterr().err
